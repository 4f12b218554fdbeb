"""Tables of books, accounts and everything that moves money."""

from __future__ import annotations

from trading.models.accounts import Account, EquityPoint, EquityRollup, Standing
from trading.models.books import Book, OperatorAct, TapeSegment
from trading.models.orders import Fill, Order, Posting
from trading.models.positions import Position

__all__ = [
    "Account",
    "Book",
    "EquityPoint",
    "EquityRollup",
    "Fill",
    "OperatorAct",
    "Order",
    "Position",
    "Posting",
    "Standing",
    "TapeSegment",
]
