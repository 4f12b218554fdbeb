"""Accounts in and out of the engine."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import OuterRef, Subquery

from marketdata.domain.canonical import parse_time
from trading.domain.intents import Exits, OrderIntent, OrderKind, Side, TimeInForce
from trading.domain.outcome import OrderChange, Outcome, PostingLine
from trading.domain.outcome import OrderStatus as Status
from trading.domain.state import AccountState, OrderState, PositionState
from trading.models import Account, Book, Fill, Order, Position, Posting, Standing
from trading.models.positions import PositionStatus
from trading.selectors.tape import marks_at

POSITION_FIELDS = (
    "symbol",
    "status",
    "is_long",
    "quantity",
    "entry_cost",
    "leverage",
    "entered_quantity",
    "entered_cost",
    "exited_quantity",
    "exited_proceeds",
    "realised",
    "fees",
    "funding",
    "stop_loss",
    "take_profit",
    "callback_rate",
    "activation_price",
    "trail_extreme",
    "invalidation",
    "opened_at",
    "closed_at",
)

CHANGED_FIELDS = (
    "status",
    "reserved",
    "filled_quantity",
    "quantity",
    "trail_extreme",
    "denial_code",
    "denial_context",
    "venue_order_id",
    "updated_at",
)


def load_state(
    account: Account, marks: Mapping[str, Decimal], *, is_numbered: bool = True
) -> AccountState:
    """Return the account for the engine at ``marks``. Queries three times; lock the account first when something follows from it.

    ``is_numbered`` False leaves out the numbers of the next fill and holding, and a query, where nothing will be filled. A book with
    drawdown rules costs one query more, for the account's peak.
    """
    positions = Position.objects.open().filter(account=account)
    orders = Order.objects.unfinished().filter(account=account).in_order_of_acceptance()
    next_position, next_fill = _next_numbers(account) if is_numbered else (1, 1)
    return AccountState(
        ordinal=account.ordinal,
        wallet=account.wallet,
        positions={row.symbol: position_state(row) for row in positions},
        orders={row.client_order_id: order_state(row) for row in orders},
        marks=dict(marks),
        next_position=next_position,
        next_fill=next_fill,
        funded_at=funded_at(account.book),
        peak=_peak(account) if account.book.frozen_rules().watches_drawdown else None,
    )


def funded_at(book: Book) -> dict[str, datetime]:
    """Return the last funding stamp that the book has settled, by symbol."""
    return {symbol: parse_time(at) for symbol, at in book.funded_at.items()}


def _peak(account: Account) -> Decimal:
    return Standing.objects.values_list("peak", flat=True).get(account=account)


def _next_numbers(account: Account) -> tuple[int, int]:
    positions = Position.objects.filter(account=OuterRef("pk")).order_by("-seq")
    fills = Fill.objects.filter(account=OuterRef("pk")).order_by("-seq")
    position, fill = (
        Account.objects.filter(pk=account.pk)
        .annotate(
            last_position=Subquery(positions.values("seq")[:1]),
            last_fill=Subquery(fills.values("seq")[:1]),
        )
        .values_list("last_position", "last_fill")
        .get()
    )
    return (position or 0) + 1, (fill or 0) + 1


def with_tape_marks(
    state: AccountState, book_id: uuid.UUID, *, tape_position: int, known: Iterable[str] = ()
) -> AccountState:
    """Return the state with the marks that its positions lack, read off the tape; ``known`` symbols need none."""
    missing = set(state.positions) - set(state.marks) - set(known)
    if not missing:
        return state
    return state.with_marks(marks_at(book_id, missing, tape_position=tape_position))


def position_state(row: Position) -> PositionState:
    """Return a stored holding as the engine's value."""
    return PositionState(
        symbol=row.symbol,
        seq=row.seq,
        quantity=row.quantity,
        entry_cost=row.entry_cost,
        leverage=row.leverage,
        opened_at=row.opened_at,
        is_long=row.is_long,
        entered_quantity=row.entered_quantity,
        entered_cost=row.entered_cost,
        exited_quantity=row.exited_quantity,
        exited_proceeds=row.exited_proceeds,
        realised=row.realised,
        fees=row.fees,
        funding=row.funding,
        exits=Exits(
            row.stop_loss,
            row.take_profit,
            row.invalidation,
            row.callback_rate,
            row.activation_price,
        ),
        trail_extreme=row.trail_extreme,
        closed_at=row.closed_at,
    )


def order_state(row: Order) -> OrderState:
    """Return a stored order that has not ended as the engine's value."""
    intent = OrderIntent(
        symbol=row.symbol,
        side=Side(row.side),
        quantity=row.quantity,
        leverage=row.leverage,
        reduce_only=row.reduce_only,
        kind=OrderKind(row.kind),
        exits=Exits(
            row.stop_loss,
            row.take_profit,
            row.invalidation,
            row.exit_callback_rate,
            row.exit_activation_price,
        ),
        limit_price=row.limit_price,
        trigger_price=row.trigger_price,
        callback_rate=row.callback_rate,
        activation_price=row.activation_price,
        time_in_force=TimeInForce(row.time_in_force) if row.time_in_force else None,
        close_position=row.close_position,
    )
    assert row.expected_price is not None, f"accepted order {row} has no expected price"
    return OrderState(
        client_order_id=row.client_order_id,
        intent=intent,
        reserved=row.reserved,
        expected_price=row.expected_price,
        filled=row.filled_quantity,
        trail_extreme=row.trail_extreme,
    )


def save_outcome(
    account: Account, outcome: Outcome, *, order: Order, tape_position: int, now: datetime
) -> list[Fill]:
    """Write what a step on ``account`` changed: holdings, fills, postings, wallet, order. Inside the transaction that locked it."""
    save_positions(account, outcome.positions)
    fills = [
        Fill(
            order=order,
            account=account,
            seq=fill.seq,
            trade_id=fill.trade_id,
            symbol=fill.symbol,
            side=fill.side.value,
            quantity=fill.quantity,
            price=fill.price,
            fee=fill.fee,
            realised=fill.realised,
            is_maker=fill.is_maker,
            reference_price=fill.reference_price,
            tape_position=tape_position,
            at=fill.at,
        )
        for fill in outcome.fills
    ]
    Fill.objects.bulk_create(fills)
    save_postings(account, outcome.postings, fill=fills[0] if fills else None)
    if account.wallet != outcome.state.wallet:
        account.wallet = outcome.state.wallet
        account.save(update_fields=["wallet"])
    save_order(order, outcome, now=now)
    return fills


def save_positions(account: Account, positions: Iterable[PositionState]) -> None:
    """Write holdings, the closed ones first so that at most one of a symbol is open at any time."""
    rows = [
        Position(account=account, seq=position.seq, **_position_fields(position))
        for position in sorted(positions, key=lambda held: held.seq)
    ]
    Position.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["account", "seq"],
        update_fields=POSITION_FIELDS,
    )


def _position_fields(position: PositionState) -> dict[str, Any]:
    return {
        "symbol": position.symbol,
        "status": PositionStatus.CLOSED if position.is_closed else PositionStatus.OPEN,
        "is_long": position.is_long,
        "quantity": position.quantity,
        "entry_cost": position.entry_cost,
        "leverage": position.leverage,
        "entered_quantity": position.entered_quantity,
        "entered_cost": position.entered_cost,
        "exited_quantity": position.exited_quantity,
        "exited_proceeds": position.exited_proceeds,
        "realised": position.realised,
        "fees": position.fees,
        "funding": position.funding,
        "stop_loss": position.exits.stop_loss,
        "take_profit": position.exits.take_profit,
        "callback_rate": position.exits.callback_rate,
        "activation_price": position.exits.activation_price,
        "trail_extreme": position.trail_extreme,
        "invalidation": position.exits.invalidation[:500],
        "opened_at": position.opened_at,
        "closed_at": position.closed_at,
    }


def save_postings(
    account: Account, lines: Iterable[PostingLine], *, fill: Fill | None = None
) -> None:
    """Write the lines of balanced groups of this account and the house."""
    Posting.objects.bulk_create(
        Posting(
            book_id=account.book_id,
            cause_id=line.cause_id,
            line=line.line,
            account=account if line.house is None else None,
            house=line.house.value if line.house else "",
            kind=line.kind.value,
            amount=line.amount,
            fill=fill,
            at=line.at,
        )
        for line in lines
    )


def save_order(order: Order, outcome: Outcome, *, now: datetime) -> None:
    """Write how the outcome leaves the order."""
    for change in outcome.orders:
        if change.client_order_id == order.client_order_id and change.status is not Status.DENIED:
            take_change(order, change, now=now)
            order.save(update_fields=CHANGED_FIELDS)


def take_change(order: Order, change: OrderChange, *, now: datetime) -> None:
    """Put a change on the row; the caller saves CHANGED_FIELDS."""
    order.status = change.status.value
    order.reserved = change.reserved
    order.filled_quantity = change.filled
    order.updated_at = now
    if change.quantity is not None:
        order.quantity = change.quantity
    if change.trail_extreme is not None:
        order.trail_extreme = change.trail_extreme
    if change.denial is not None:
        order.denial_code = change.denial.code.value
        order.denial_context = dict(change.denial.context)
