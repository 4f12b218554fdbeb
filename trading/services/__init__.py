"""The only writers of books, accounts and orders."""

from __future__ import annotations

from trading.services.acts import BookStateError, change_state
from trading.services.advancing import Happening, advance_book
from trading.services.books import open_book
from trading.services.cancelling import cancel_orders, cancel_stranded
from trading.services.closing import CloseResult, close_all, halt_book
from trading.services.equity import record_equity
from trading.services.exits import set_exits
from trading.services.orders import accept_order, place_order
from trading.services.projections import Projections, rewrite_projections
from trading.services.reports import apply_report, end_order
from trading.services.tape import append_tape

__all__ = [
    "BookStateError",
    "CloseResult",
    "Happening",
    "Projections",
    "accept_order",
    "advance_book",
    "append_tape",
    "apply_report",
    "cancel_orders",
    "cancel_stranded",
    "change_state",
    "close_all",
    "end_order",
    "halt_book",
    "open_book",
    "place_order",
    "record_equity",
    "rewrite_projections",
    "set_exits",
]
