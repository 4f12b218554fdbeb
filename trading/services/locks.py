"""Row locks, taken in one order: Book, then Account (by ordinal), then the audit head.

SQLite needs none: its transactions are IMMEDIATE, one writer at a time.
"""

from __future__ import annotations

import uuid

from django.db import connection

from trading.models import Account, Book


def lock_book(book_id: uuid.UUID) -> Book:
    """Return the book, locked against everybody until the transaction ends."""
    return Book.objects.select_for_update().get(pk=book_id)


def share_book(book_id: uuid.UUID) -> Book:
    """Return the book, locked against changes of its state; orders of other accounts go on."""
    if connection.vendor == "postgresql":
        # Django knows no FOR SHARE.
        table = connection.ops.quote_name(Book._meta.db_table)
        query = f"SELECT * FROM {table} WHERE id = %s FOR SHARE"
        return Book.objects.raw(query, [book_id])[0]
    return Book.objects.get(pk=book_id)


def lock_account(account_id: uuid.UUID) -> Account:
    """Return the account, locked.

    What belongs to it must be read by later statements: a join of this one could show rows from before the lock was granted.
    """
    return Account.objects.select_for_update().get(pk=account_id)
