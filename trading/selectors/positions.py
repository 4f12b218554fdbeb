"""Holdings, open and closed."""

from __future__ import annotations

import uuid

from trading.models import Book, Position
from trading.models.positions import PositionQuerySet


def positions_of(account_id: uuid.UUID) -> PositionQuerySet:
    """Return the account's open positions by symbol."""
    return Position.objects.open().filter(account_id=account_id).order_by("symbol")


def open_positions(book: Book | uuid.UUID | None) -> PositionQuerySet:
    """Return the book's open positions by ordinal and symbol, each with its account."""
    return (
        Position.objects.open()
        .filter(account__book=book)
        .select_related("account")
        .order_by("account__ordinal", "symbol")
    )


def trades(book: Book, limit: int) -> list[Position]:
    """Return the last ``limit`` positions that were closed in full, newest first, each with its account."""
    closed = Position.objects.closed().filter(account__book=book).select_related("account")
    return list(closed.order_by("-closed_at", "account__ordinal", "-seq")[:limit])
