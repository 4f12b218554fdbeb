"""Writing down what a step made of an account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trading.domain.money import ZERO
from trading.domain.outcome import (
    BookedFill,
    EntryKind,
    ExitName,
    FillCause,
    OrderChange,
    Outcome,
    PostingLine,
)
from trading.domain.outcome import OrderStatus as Status
from trading.domain.state import PositionState
from trading.models import Account, Fill, Order, Position, Posting, Standing
from trading.models.accounts import AccountStatus
from trading.models.orders import OrderCause, OrderKind, OrderStatus
from trading.models.positions import PositionStatus

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
ORDER_FIELDS = (
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
STANDING_FIELDS = ("wallet", "fills", "fees", "realised", "funding", "trades", "wins")
ENDING_NAMES = {FillCause.LIQUIDATION: "liq", FillCause.DRAWDOWN: "dd"}
# How the orders behind a position's exits are named and told of.
ENDINGS: Mapping[ExitName, tuple[str, OrderKind]] = {
    ExitName.STOP_LOSS: ("sl", OrderKind.STOP_MARKET),
    ExitName.TAKE_PROFIT: ("tp", OrderKind.TAKE_PROFIT_MARKET),
    ExitName.TRAILING: ("ts", OrderKind.TRAILING_STOP),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """When an outcome took effect: after ``tape_position`` tape events, at wall time ``now``.

    ``by_market`` says that the market set it off between turns; ``latency_ms`` is how long after the market fact, None in a replay.
    """

    tape_position: int
    now: datetime
    by_market: bool = False
    latency_ms: int | None = None


def save_outcome(
    account: Account, outcome: Outcome, occasion: Occasion, *, orders: Iterable[Order] = ()
) -> list[Fill]:
    """Write holdings, orders, fills, postings, wallet and standing. Inside the transaction that locked the account.

    ``orders`` are rows at hand, changed in place; others that the outcome changes are read. Exits and liquidations get orders of
    their own.
    """
    if outcome.is_empty:
        return []
    save_positions(account, outcome.positions)
    behind = _save_changes(account, outcome.orders, orders, now=occasion.now)
    own = _endings(account, outcome, occasion)
    rows = [
        _fill(account, fill, behind.get(fill.client_order_id) or own[_ending_key(fill)], occasion)
        for fill in outcome.fills
    ]
    Fill.objects.bulk_create(rows)
    _save_postings(account, outcome.postings, rows, occasion)
    _save_account(account, outcome)
    if outcome.fills or outcome.postings:
        _count(account, outcome)
    return rows


def save_positions(account: Account, positions: Iterable[PositionState]) -> None:
    """Write holdings, the closed ones first so that at most one of a symbol is open at any time."""
    # Of a holding that was touched twice the later state.
    latest = {position.seq: position for position in positions}
    rows = [
        Position(account=account, seq=seq, **position_fields(latest[seq])) for seq in sorted(latest)
    ]
    Position.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["account", "seq"],
        update_fields=POSITION_FIELDS,
    )


def position_fields(position: PositionState) -> dict[str, Any]:
    """Return the columns of a holding's row, but for its account and number."""
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


def _save_changes(
    account: Account, changes: Iterable[OrderChange], known: Iterable[Order], *, now: datetime
) -> dict[str, Order]:
    """Write how orders stand after the outcome; return those that it names, by client order id."""
    last = {
        change.client_order_id: change for change in changes if change.status is not Status.DENIED
    }
    rows = {row.client_order_id: row for row in known}
    missing = last.keys() - rows.keys()
    if missing:
        read = Order.objects.filter(account=account, client_order_id__in=missing)
        rows |= {row.client_order_id: row for row in read}
    for change in changes:
        if change.client_order_id in last:
            _take_change(rows[change.client_order_id], change, now=now)
    for name in last:
        rows[name].save(update_fields=ORDER_FIELDS)
    return rows


def _take_change(order: Order, change: OrderChange, *, now: datetime) -> None:
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


EndingKey = tuple[int | None, ExitName | None]


def _ending_key(fill: BookedFill) -> EndingKey:
    return fill.position_seq, fill.exit_name


def endings(outcome: Outcome) -> dict[EndingKey, list[BookedFill]]:
    """Return the fills that no order was behind: those of one holding that ended in one way together."""
    fills: dict[EndingKey, list[BookedFill]] = {}
    for fill in outcome.fills:
        if fill.cause is not FillCause.ORDER:
            fills.setdefault(_ending_key(fill), []).append(fill)
    return fills


def _endings(account: Account, outcome: Outcome, occasion: Occasion) -> dict[EndingKey, Order]:
    """Make the orders behind exits and liquidations: one for each holding that ended so."""
    rows = {
        key: Order(
            account=account,
            tape_position=occasion.tape_position,
            created_at=occasion.now,
            updated_at=occasion.now,
            **ending_fields(account.book.code, account.ordinal, pieces, outcome),
        )
        for key, pieces in endings(outcome).items()
    }
    Order.objects.bulk_create(rows.values())
    return rows


def ending_fields(
    code: str, ordinal: int, pieces: list[BookedFill], outcome: Outcome
) -> dict[str, Any]:
    """Return the columns of the order behind the end of a holding, but for its account, tape position and wall times."""
    first = pieces[0]
    quantity = sum((fill.quantity for fill in pieces), ZERO)
    leverage = next(held.leverage for held in outcome.positions if held.seq == first.position_seq)
    name, kind, level = ENDING_NAMES.get(first.cause, ""), OrderKind.MARKET, None
    if first.exit_name is not None:
        name, kind = ENDINGS[first.exit_name]
        level = first.reference_price
    return {
        "client_order_id": ending_name(code, ordinal, first.position_seq, name),
        "cause": OrderCause(first.cause.value),
        "symbol": first.symbol,
        "side": first.side.value,
        "kind": kind,
        "quantity": quantity,
        "filled_quantity": quantity,
        "trigger_price": level,
        "reduce_only": True,
        "close_position": True,
        "leverage": leverage,
        "status": OrderStatus.FILLED,
        "expected_price": first.reference_price,
        "market_at": first.at,
    }


def ending_name(code: str, ordinal: int, position_seq: int | None, name: str) -> str:
    """Return the client order id of the order that ends a holding by itself, for example ``aabcdefgh-p3-17-sl``."""
    return f"a{code}-p{ordinal}-{position_seq}-{name}"


def _fill(account: Account, fill: BookedFill, order: Order, occasion: Occasion) -> Fill:
    return Fill(
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
        tape_position=occasion.tape_position,
        by_market=occasion.by_market,
        at=fill.at,
        latency_ms=occasion.latency_ms,
    )


def _save_postings(
    account: Account, lines: Iterable[PostingLine], fills: Iterable[Fill], occasion: Occasion
) -> None:
    """Write the lines of balanced groups, each with the fill that its cause names."""
    behind = {cause: fill for fill in fills for cause in causes_of(account.ordinal, fill.seq)}
    Posting.objects.bulk_create(
        Posting(
            book_id=account.book_id,
            cause_id=line.cause_id,
            line=line.line,
            account=account if line.house is None else None,
            house=line.house.value if line.house else "",
            kind=line.kind.value,
            amount=line.amount,
            fill=behind.get(line.cause_id),
            tape_position=None if line.cause_id in behind else occasion.tape_position,
            at=line.at,
        )
        for line in lines
    )


def causes_of(ordinal: int, seq: int) -> tuple[str, str]:
    """Return the causes under which the postings of a fill may stand."""
    return f"fill:{ordinal}:{seq}", f"liq:{ordinal}:{seq}"


def _save_account(account: Account, outcome: Outcome) -> None:
    changed = []
    if account.wallet != outcome.state.wallet:
        account.wallet = outcome.state.wallet
        changed.append("wallet")
    if is_wiped_out(outcome) and account.status == AccountStatus.ACTIVE:
        account.status = AccountStatus.LIQUIDATED
        changed.append("status")
    if changed:
        account.save(update_fields=changed)


def is_wiped_out(outcome: Outcome) -> bool:
    """Return whether a liquidation has left nothing: no money, no position. Such an account trades no more."""
    liquidated = any(fill.cause is FillCause.LIQUIDATION for fill in outcome.fills)
    return liquidated and outcome.state.wallet <= 0 and not outcome.state.positions


def _count(account: Account, outcome: Outcome) -> None:
    standing = Standing.objects.get(account=account)
    standing.wallet = account.wallet
    for fill in outcome.fills:
        standing.fills += 1
        standing.fees += fill.fee
        standing.realised += fill.realised
    for line in outcome.postings:
        if line.house is None and line.kind is EntryKind.FUNDING:
            standing.funding += line.amount
    for position in outcome.positions:
        if position.is_closed:
            standing.trades += 1
            standing.wins += position.net_result > 0
    standing.save(update_fields=STANDING_FIELDS)
