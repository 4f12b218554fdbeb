"""Row locks, taken in one order: Book, then Account (by ordinal), then the audit head.

Before a book's row its gate, an advisory lock of PostgreSQL: whoever wants the row alone would wait as long as orders go on sharing it,
since a row that is shared is shared further, past those who wait. At the gate they queue: a pause or a stop's price comes after
the orders that are in it, and before all later ones.

SQLite needs none: its transactions are IMMEDIATE, one writer at a time.
"""

from __future__ import annotations

import uuid

from django.db import connection
from django.db.models import BooleanField, Func, QuerySet, Subquery, Value

from trading.models import Account, Book, Order


class _Gate(Func):
    """A condition that is met when the gate of the book with that id has been passed, until the transaction ends.

    It names no column, so that it is asked once for the statement, before any row is locked.
    """

    function = "pg_advisory_xact_lock"
    template = "(SELECT %(function)s(hashtextextended(%(expressions)s::text, 0)) IS NOT NULL)"
    output_field = BooleanField()


class _SharedGate(_Gate):
    function = "pg_advisory_xact_lock_shared"


def lock_book(book_id: uuid.UUID) -> Book:
    """Return the book, locked against everybody who locks it until the transaction ends.

    Its key stays free: a report that holds its account's lock writes postings, which name the book, and whoever has the book may be
    waiting for that account.
    """
    found = Book.objects.select_for_update(no_key=True).filter(pk=book_id)
    return (found.filter(_Gate(Value(str(book_id)))) if _has_gates() else found).get()


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
    book_id = owner.values("book_id")
    book = _shared(Book.objects.filter(pk__in=book_id), Subquery(book_id))
    account = owner.select_for_update().get()
    account.book = book
    return account


def _has_gates() -> bool:
    return connection.vendor == "postgresql"


def _shared(found: QuerySet[Book], book_id: Value | Subquery) -> Book:
    if _has_gates():
        # Django knows no FOR SHARE.
        sql, parameters = found.filter(_SharedGate(book_id)).query.sql_with_params()
        return Book.objects.raw(f"{sql} FOR SHARE", parameters)[0]
    return found.get()


def lock_account(account_id: uuid.UUID) -> Account:
    """Return the account, locked.

    What belongs to it must be read by later statements: a join of this one could show rows from before the lock was granted.
    """
    return Account.objects.select_for_update().get(pk=account_id)
