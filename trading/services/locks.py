"""Row locks, taken in one order: Book, then Account (by ordinal), then the audit head.

SQLite needs none: its transactions are IMMEDIATE, one writer at a time.
"""

from __future__ import annotations

import uuid

from django.db import connection
from django.db.models import QuerySet

from trading.models import Account, Book, Order


def lock_book(book_id: uuid.UUID) -> Book:
    """Return the book, locked against everybody who locks it until the transaction ends.

    Its key stays free: a report that holds its account's lock writes postings, which name the book, and whoever has the book may be
    waiting for that account.
    """
    return Book.objects.select_for_update(no_key=True).get(pk=book_id)


def share_book(book_id: uuid.UUID) -> Book:
    """Return the book, locked against changes of its state; orders of other accounts go on."""
    return _shared(Book.objects.filter(pk=book_id))


def lock_to_trade(account_id: uuid.UUID) -> Account:
    """Return the account, locked, with its book, shared."""
    return _locked_with_book(Account.objects.filter(pk=account_id))


def lock_to_report(order_id: uuid.UUID) -> Account:
    """Return the account of an order, locked, with its book, shared; the order itself must be read afterwards."""
    return _locked_with_book(
        Account.objects.filter(pk__in=Order.objects.filter(pk=order_id).values("account_id"))
    )


def _locked_with_book(owner: QuerySet[Account]) -> Account:
    # Whose an order or account is never changes, so that it may be asked by the statements that lock.
    book = _shared(Book.objects.filter(pk__in=owner.values("book_id")))
    account = owner.select_for_update().get()
    account.book = book
    return account


def _shared(found: QuerySet[Book]) -> Book:
    if connection.vendor == "postgresql":
        # Django knows no FOR SHARE.
        sql, parameters = found.query.sql_with_params()
        return Book.objects.raw(f"{sql} FOR SHARE", parameters)[0]
    return found.get()


def lock_account(account_id: uuid.UUID) -> Account:
    """Return the account, locked.

    What belongs to it must be read by later statements: a join of this one could show rows from before the lock was granted.
    """
    return Account.objects.select_for_update().get(pk=account_id)
