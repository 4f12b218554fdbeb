"""Orders and fills behind a turn."""

from __future__ import annotations

from trading.models import Book, Fill, Order
from trading.models.orders import FillQuerySet, OrderQuerySet


def orders_by_turn(book: Book, turn_key: str) -> OrderQuerySet:
    """Return the orders of a turn, refused ones included, in the order of its instructions."""
    return Order.objects.filter(account__book=book, turn_key=turn_key).order_by(
        "leg", "client_order_id"
    )


def fills_by_turn(book: Book, turn_key: str) -> FillQuerySet:
    """Return the fills of a turn's orders, oldest first, each with its order."""
    return (
        Fill.objects.filter(account__book=book, order__turn_key=turn_key)
        .select_related("order")
        .order_by("account__ordinal", "seq")
    )
