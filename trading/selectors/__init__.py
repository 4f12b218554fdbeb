"""Reads of books, accounts and their rows."""

from __future__ import annotations

from trading.selectors.invariants import check_invariants, one_view
from trading.selectors.ledger import house_balances
from trading.selectors.positions import open_positions, positions_of, trades
from trading.selectors.stakes import has_stakes
from trading.selectors.tape import marks_at, tape_events

__all__ = [
    "check_invariants",
    "has_stakes",
    "house_balances",
    "marks_at",
    "one_view",
    "open_positions",
    "positions_of",
    "tape_events",
    "trades",
]
