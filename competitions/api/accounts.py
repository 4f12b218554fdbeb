"""What the API answers of accounts: figures, holdings, trades, orders with their fills."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from ninja import Schema

from competitions.api.wire import Amount, Instant
from competitions.models import Participant
from competitions.selectors.accounts import AccountView, drawdown_of
from competitions.selectors.causes import Cause, exit_of
from competitions.selectors.holdings import PositionView, margin_mode_of
from competitions.selectors.orders import OrderView, filled
from trading.models import Fill, Position, Standing


class CoverOut(Schema):
    """An account as it stands now, at the marks of the last closed round.

    ``reserved`` is the part of ``used_margin`` that open orders set aside. ``maintenance_margin`` and ``margin_ratio`` (perpetual,
    liquidated at 1) or ``margin_level`` (cfd) are those of all positions together, null where each covers itself and where nothing
    is liquidated.
    """

    equity: Amount
    wallet: Amount
    unrealised: Amount
    used_margin: Amount
    reserved: Amount
    free_margin: Amount
    maintenance_margin: Amount | None
    margin_ratio: Amount | None
    margin_level: Amount | None
    open_orders: int


class AccountOut(Schema):
    """An account as of its last closed round, in the settlement asset; ``now`` has what happened since, null before the start.

    ``margin_mode`` tells what covers a position: isolated, cross or cfd, null where nothing is liquidated. Drawdowns are fractions
    of ``peak``.
    """

    participant_id: uuid.UUID
    settlement_asset: str
    status: str
    round: int
    at: Instant | None
    start_capital: Amount
    equity: Amount
    wallet: Amount
    unrealised: Amount
    realised: Amount
    used_margin: Amount
    free_margin: Amount
    exposure: Amount
    fees: Amount
    funding: Amount
    peak: Amount
    drawdown: Amount
    max_drawdown: Amount
    margin_mode: str | None
    now: CoverOut | None


class PositionOut(Schema):
    """An open holding, valued at the last closing marks; ``quantity`` is unsigned.

    ``margin`` is what it ties up. ``margin_ratio`` (perpetual, liquidated at 1) and ``margin_level`` (cfd) are those of what covers
    it: its own when ``margin_mode`` is isolated, else the account's. ``liquidation_distance`` is a fraction of the mark. All these
    are null where nothing is liquidated. ``trail_trigger`` is where the trailing exit fires now; ``exits_execute`` false makes the
    exits a mere plan. ``net`` is realised and unrealised profit less fees, with funding (received above zero).
    """

    participant: str
    symbol: str
    side: str
    quantity: Amount
    leverage: int
    entry_price: Amount | None
    mark_price: Amount | None
    notional: Amount | None
    unrealised: Amount | None
    margin_mode: str | None
    margin: Amount | None
    maintenance_margin: Amount | None
    margin_ratio: Amount | None
    margin_level: Amount | None
    liquidation_price: Amount | None
    liquidation_distance: Amount | None
    isolated_wallet: Amount | None
    bankruptcy_price: Amount | None
    stop_loss: Amount | None
    take_profit: Amount | None
    callback_rate: Amount | None
    activation_price: Amount | None
    trail_extreme: Amount | None
    trail_trigger: Amount | None
    exits_execute: bool
    invalidation: str
    realised: Amount
    fees: Amount
    funding: Amount
    net: Amount | None
    opened_at: Instant


class PortfolioOut(Schema):
    """Account and open positions together."""

    account: AccountOut
    positions: list[PositionOut]


class TradeOut(Schema):
    """A holding from flat to flat; ``net`` is after fees and funding.

    ``closed_by`` is the cause of the order that closed it (INSTRUCTION, EXIT, LIQUIDATION, DRAWDOWN, OPERATOR), ``exit`` which exit
    it was (stop_loss, take_profit, trailing), null for others.
    """

    seq: int
    symbol: str
    side: str
    quantity: Amount
    leverage: int
    entry_price: Amount | None
    exit_price: Amount | None
    realised: Amount
    fees: Amount
    funding: Amount
    net: Amount
    closed_by: str | None
    exit: str | None
    opened_at: Instant
    closed_at: Instant | None


class TradePage(Schema):
    items: list[TradeOut]
    next_cursor: str | None


class FillOut(Schema):
    """One execution of an order; ``at`` is market time. ``latency_ms`` is null in a replay."""

    trade_id: str
    quantity: Amount
    price: Amount
    fee: Amount
    realised: Amount
    is_maker: bool
    exit: str | None
    latency_ms: int | None
    at: Instant


class OrderOut(Schema):
    """One order, refused ones included; prices are null where its kind has none.

    ``trail_trigger`` is where a trailing stop fires now. ``denial_code`` and ``denial_context`` tell why it was refused, at once
    (DENIED) or at its trigger (REJECTED). ``round`` and ``leg`` name the instruction behind it, null for an order that no turn made.
    ``placed_at`` is market time.
    """

    client_order_id: str
    symbol: str
    side: str
    kind: str
    cause: str
    status: str
    quantity: Amount
    filled_quantity: Amount
    filled_price: Amount | None
    limit_price: Amount | None
    trigger_price: Amount | None
    callback_rate: Amount | None
    activation_price: Amount | None
    trail_extreme: Amount | None
    trail_trigger: Amount | None
    time_in_force: str | None
    reduce_only: bool
    close_position: bool
    leverage: int
    reserved: Amount
    expected_price: Amount | None
    stop_loss: Amount | None
    take_profit: Amount | None
    exit_callback_rate: Amount | None
    exit_activation_price: Amount | None
    denial_code: str | None
    denial_context: dict[str, Any]
    round: int | None
    leg: int | None
    placed_at: Instant
    fills: list[FillOut]


class OrderPage(Schema):
    items: list[OrderOut]
    next_cursor: str | None


def account_out(row: Participant, standing: Standing | None, now: AccountView | None) -> AccountOut:
    """Return an account; before the start it holds the start capital. Account and book must be loaded."""
    capital = row.competition.initial_capital
    known = standing or Standing(
        start_capital=capital, equity=capital, wallet=capital, peak=capital
    )
    book = row.competition.book
    return AccountOut(
        participant_id=row.pk,
        settlement_asset=row.competition.settlement_asset,
        status=row.account.status if row.account else "UNOPENED",
        round=known.number,
        at=known.at,
        start_capital=known.start_capital,
        equity=known.equity,
        wallet=known.wallet,
        unrealised=known.unrealised,
        realised=known.realised,
        used_margin=known.used_margin,
        free_margin=known.equity - known.used_margin,
        exposure=known.exposure,
        fees=known.fees,
        funding=known.funding,
        peak=known.peak,
        drawdown=drawdown_of(known),
        max_drawdown=known.max_drawdown,
        margin_mode=margin_mode_of(book.frozen_rules() if book else None) or None,
        now=None if now is None else _cover_out(now),
    )


def _cover_out(view: AccountView) -> CoverOut:
    return CoverOut(
        equity=view.equity,
        wallet=view.wallet,
        unrealised=view.unrealised,
        used_margin=view.used_margin,
        reserved=view.reserved,
        free_margin=view.free_margin,
        maintenance_margin=view.maintenance,
        margin_ratio=view.ratio,
        margin_level=view.level,
        open_orders=view.open_orders,
    )


def position_out(view: PositionView) -> PositionOut:
    seen = view.outlook
    return PositionOut(
        participant=view.entrant.slug,
        symbol=view.symbol,
        side=view.side,
        quantity=view.quantity,
        leverage=view.leverage,
        entry_price=view.entry,
        mark_price=view.mark,
        notional=view.notional,
        unrealised=view.unrealised,
        margin_mode=view.mode or None,
        margin=seen.margin,
        maintenance_margin=seen.maintenance,
        margin_ratio=seen.ratio,
        margin_level=seen.level,
        liquidation_price=seen.liquidation_price,
        liquidation_distance=seen.distance,
        isolated_wallet=seen.isolated_wallet,
        bankruptcy_price=seen.bankruptcy_price,
        stop_loss=view.stop_loss,
        take_profit=view.take_profit,
        callback_rate=view.callback_rate,
        activation_price=view.activation_price,
        trail_extreme=view.trail_extreme,
        trail_trigger=view.trail_trigger,
        exits_execute=view.executes,
        invalidation=view.invalidation,
        realised=view.realised,
        fees=view.fees,
        funding=view.funding,
        net=view.net,
        opened_at=view.opened_at,
    )


def trade_out(row: Position, way: Cause | None) -> TradeOut:
    """Return a closed holding; ``way`` is what closed it, None when that is not known."""
    return TradeOut(
        seq=row.seq,
        symbol=row.symbol,
        side="LONG" if row.is_long else "SHORT",
        quantity=row.entered_quantity,
        leverage=row.leverage,
        entry_price=row.average_entry,
        exit_price=row.average_exit,
        realised=row.realised,
        fees=row.fees,
        funding=row.funding,
        net=row.realised - row.fees + row.funding,
        closed_by=way.code if way else None,
        exit=way.exit if way else None,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
    )


# Columns that are told as they are.
_PLAIN = (
    "client_order_id",
    "symbol",
    "side",
    "kind",
    "cause",
    "status",
    "quantity",
    "filled_quantity",
    "limit_price",
    "trigger_price",
    "callback_rate",
    "activation_price",
    "trail_extreme",
    "reduce_only",
    "close_position",
    "leverage",
    "reserved",
    "expected_price",
    "stop_loss",
    "take_profit",
    "exit_callback_rate",
    "exit_activation_price",
    "denial_context",
)


def order_out(view: OrderView) -> OrderOut:
    """Return an order; its fills must be loaded."""
    row = view.row
    fills = list(row.fills.all())
    price: Decimal | None = filled(fills)[1]
    return OrderOut(
        **{name: getattr(row, name) for name in _PLAIN},
        filled_price=price,
        trail_trigger=view.trail_trigger,
        time_in_force=row.time_in_force or None,
        denial_code=row.denial_code or None,
        round=view.number,
        leg=None if view.number is None else row.leg,
        placed_at=row.market_at,
        fills=[_fill_out(view, fill) for fill in fills],
    )


def _fill_out(view: OrderView, fill: Fill) -> FillOut:
    return FillOut(
        trade_id=fill.trade_id,
        quantity=fill.quantity,
        price=fill.price,
        fee=fill.fee,
        realised=fill.realised,
        is_maker=fill.is_maker,
        exit=exit_of(view.row, fill),
        latency_ms=fill.latency_ms,
        at=fill.at,
    )
