"""Booking an execution: holdings, wallet and postings in one piece."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from marketdata.domain.instruments import round_money
from trading.domain.intents import Exits, Side
from trading.domain.money import ZERO
from trading.domain.outcome import EntryKind, House, PostingLine
from trading.domain.positions import enter, leave, open_position
from trading.domain.state import AccountState, PositionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A quantity that changed hands at a price for a fee; ``leverage`` and ``exits`` hold for a position that it opens."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    leverage: int
    at: datetime
    exits: Exits = field(default_factory=Exits)


@dataclass(frozen=True, slots=True)
class Booking:
    """``positions`` are those touched: the closed one first, when the execution flips."""

    state: AccountState
    positions: tuple[PositionState, ...]
    postings: tuple[PostingLine, ...]
    realised: Decimal
    seq: int


def closing_part(held: Decimal, side: Side, *, quantity: Decimal) -> Decimal:
    """Return how much of an order's ``quantity`` closes the signed quantity ``held``; the rest opens."""
    against = held * side.sign < 0
    return min(abs(held), quantity) if against else ZERO


def book_execution(state: AccountState, execution: Execution) -> Booking:
    """Return the account after ``execution``; one that is larger than the opposite position closes it and opens the other side."""
    held = state.positions.get(execution.symbol)
    quantity = execution.quantity
    closing = closing_part(held.quantity, execution.side, quantity=quantity) if held else ZERO
    # The closing part bears its share of the fee, the opening part the rest.
    closing_fee = (
        execution.fee if closing == quantity else round_money(execution.fee * closing / quantity)
    )
    touched: list[PositionState] = []
    realised = ZERO
    if held and closing:
        held, realised = leave(held, closing, execution.price, fee=closing_fee, at=execution.at)
        touched.append(held)
        state = state.with_position(held)
    if closing < quantity:
        grown = _entered(
            state, execution, quantity=quantity - closing, fee=execution.fee - closing_fee
        )
        touched.append(grown)
        is_new = execution.symbol not in state.positions
        state = replace(
            state.with_position(grown), next_position=state.next_position + (1 if is_new else 0)
        )
    return _booking(state, execution, tuple(touched), realised)


def _entered(
    state: AccountState, execution: Execution, *, quantity: Decimal, fee: Decimal
) -> PositionState:
    position = state.positions.get(execution.symbol) or open_position(
        execution.symbol,
        seq=state.next_position,
        is_long=execution.side is Side.BUY,
        leverage=execution.leverage,
        at=execution.at,
        exits=execution.exits,
    )
    return enter(position, quantity, execution.price, fee=fee, exits=execution.exits)


def _booking(
    state: AccountState,
    execution: Execution,
    touched: tuple[PositionState, ...],
    realised: Decimal,
) -> Booking:
    seq = state.next_fill
    postings = posting_group(
        f"fill:{state.ordinal}:{seq}",
        execution.at,
        [
            (EntryKind.REALISED, realised, House.CLEARING),
            (EntryKind.FEE, -execution.fee, House.FEES),
        ],
    )
    state = replace(state, wallet=state.wallet + realised - execution.fee, next_fill=seq + 1)
    return Booking(state, touched, postings, realised, seq)


def posting_group(
    cause_id: str, at: datetime, entries: list[tuple[EntryKind, Decimal, House]]
) -> tuple[PostingLine, ...]:
    """Return a balanced group: each amount on the account and its negative on the house; nothing for amounts of 0."""
    lines: list[PostingLine] = []
    for kind, amount, house in entries:
        if amount:
            lines.append(PostingLine(cause_id, len(lines), kind, amount, at))
            lines.append(PostingLine(cause_id, len(lines), kind, -amount, at, house))
    return tuple(lines)
