"""Taking positions away from an account that no longer covers them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from marketdata.domain.facts import Quote
from marketdata.domain.instruments import round_money
from trading.domain.fees import execution_fee
from trading.domain.fills import Booking, Execution, book_execution, posting_group
from trading.domain.intents import Side
from trading.domain.maintenance import account_health, position_health
from trading.domain.margin import isolated_wallet, mark_of, notional, unrealised
from trading.domain.money import BPS, ZERO, exact
from trading.domain.outcome import (
    BookedFill,
    EntryKind,
    FillCause,
    House,
    OrderChange,
    OrderStatus,
    Outcome,
    PostingLine,
)
from trading.domain.pricing import taker_price
from trading.domain.rules import BookRules, MarginMode, MarginModel
from trading.domain.state import AccountState, OrderState, PositionState


@dataclass(frozen=True, slots=True)
class _Takeover:
    """One position taken whole; ``rescue`` is what the insurance adds so that the account loses no more than it has."""

    booking: Booking
    fill: BookedFill
    rescue: Decimal


@exact
def liquidate(state: AccountState, rules: BookRules, *, at: datetime) -> Outcome | None:
    """Return what is left once positions without cover are taken away; None when everything is covered.

    Open orders are cancelled first: all of them, or an isolated position's own. Then whole positions go, the largest loss first (of
    equal ones the first symbol), until the rest is covered and the wallet is not below zero; isolated ones only if they lack cover
    themselves, or the wallet is below zero and so backs none. What an account cannot pay is paid by the insurance, and no wallet is
    below zero afterwards.

    Raises:
        KeyError: When an open position has no mark.
    """
    takeovers: list[_Takeover] = []
    cancelled: list[OrderState] = []
    while doomed := _next_to_go(state, rules, begun=bool(takeovers)):
        orders = _orders_of(state, doomed, rules)
        cancelled += orders
        for order in orders:
            state = state.without_order(order.client_order_id)
        takeover = _take_over(state, doomed, rules, at)
        takeovers.append(takeover)
        state = takeover.booking.state
    lines = [line for takeover in takeovers for line in _postings(state, takeover, rules, at)]
    if state.wallet < 0 and not state.positions:
        # Flat already: orders cost more than there was.
        cause = f"liq:{state.ordinal}:cover-{state.next_fill}"
        lines += posting_group(cause, at, [(EntryKind.INSURANCE, -state.wallet, House.INSURANCE)])
        state = replace(state, wallet=ZERO)
    if not lines and not takeovers:
        return None
    return Outcome(
        state=state,
        postings=tuple(lines),
        fills=tuple(takeover.fill for takeover in takeovers),
        positions=tuple(held for takeover in takeovers for held in takeover.booking.positions),
        orders=tuple(_cancelled(order) for order in cancelled),
    )


def _next_to_go(state: AccountState, rules: BookRules, *, begun: bool) -> PositionState | None:
    falling = by_loss(state)
    if not falling:
        return None
    if rules.margin_mode is MarginMode.ISOLATED:
        bare = (
            held
            for held in falling
            if state.wallet < 0 or not position_health(state, held.symbol, rules).is_covered
        )
        return next(bare, None)
    # Profits that are left pay for what was lost before the insurance does: a hedge must not be a gift.
    overdrawn = begun and state.wallet < 0
    return falling[0] if overdrawn or not account_health(state, rules).is_covered else None


def by_loss(state: AccountState) -> list[PositionState]:
    """Return the open positions, the largest loss at their marks first, of equal ones the first symbol."""
    return sorted(
        state.positions.values(),
        key=lambda held: (unrealised(held, mark_of(state, held.symbol)), held.symbol),
    )


def _orders_of(state: AccountState, doomed: PositionState, rules: BookRules) -> list[OrderState]:
    """Return the orders that end before the position is taken, by client order id."""
    only_own = rules.margin_mode is MarginMode.ISOLATED
    return [
        order
        for _, order in sorted(state.orders.items())
        if not only_own or order.symbol == doomed.symbol
    ]


def _take_over(
    state: AccountState, held: PositionState, rules: BookRules, at: datetime
) -> _Takeover:
    mark = mark_of(state, held.symbol)
    side = Side.closing(held.quantity)
    price = _price(held.symbol, mark, side, rules, at)
    left = _money_left(state, held, rules) + unrealised(held, price)
    fee = min(_full_fee(held, price, rules), max(left, ZERO))
    execution = Execution(
        symbol=held.symbol,
        side=side,
        quantity=abs(held.quantity),
        price=price,
        fee=fee,
        leverage=held.leverage,
        at=at,
    )
    booking = book_execution(state, execution)
    rescue = _rescue(booking.state, left, rules)
    saved = replace(booking.state, wallet=booking.state.wallet + rescue)
    fill = BookedFill(
        seq=booking.seq,
        client_order_id="",
        trade_id=f"liq-{held.seq}-1",
        symbol=held.symbol,
        side=side,
        quantity=execution.quantity,
        price=price,
        fee=fee,
        realised=booking.realised,
        is_maker=False,
        reference_price=mark,
        at=at,
        cause=FillCause.LIQUIDATION,
        position_seq=held.seq,
    )
    return _Takeover(replace(booking, state=saved), fill, rescue)


def _price(symbol: str, mark: Decimal, side: Side, rules: BookRules, at: datetime) -> Decimal:
    """Return the price of a takeover: the mark; a ``cfd`` broker's closing order slips like any other."""
    if rules.margin_model is MarginModel.CFD:
        market = Quote(symbol, at, mark, mark, mark)
        return taker_price(market, side, rules=rules, spec=rules.spec(symbol))
    return mark


def _full_fee(held: PositionState, price: Decimal, rules: BookRules) -> Decimal:
    if rules.margin_model is MarginModel.CFD:
        return execution_fee(abs(held.quantity), price, rules=rules)
    return round_money(notional(held.quantity, price) * rules.clearance_rate(held.symbol) / BPS)


def _money_left(state: AccountState, held: PositionState, rules: BookRules) -> Decimal:
    """Return what may pay for a position's loss and its fee: the wallet, of an isolated position no more than its own."""
    if rules.margin_mode is MarginMode.ISOLATED:
        return min(isolated_wallet(held), state.wallet)
    return state.wallet


def _rescue(state: AccountState, left: Decimal, rules: BookRules) -> Decimal:
    """Return what the insurance adds after a takeover that left ``left`` of the money behind the position.

    In a cross account profits of other positions must pay first, so that it adds nothing before the account is flat.
    """
    if rules.margin_mode is MarginMode.ISOLATED:
        return max(-left, ZERO)
    return ZERO if state.positions else max(-state.wallet, ZERO)


def _postings(
    state: AccountState, takeover: _Takeover, rules: BookRules, at: datetime
) -> Iterator[PostingLine]:
    fill = takeover.fill
    kind, house = (
        (EntryKind.FEE, House.FEES)
        if rules.margin_model is MarginModel.CFD
        else (EntryKind.CLEARANCE, House.INSURANCE)
    )
    yield from posting_group(
        f"liq:{state.ordinal}:{fill.seq}",
        at,
        [
            (EntryKind.REALISED, fill.realised, House.CLEARING),
            (kind, -fill.fee, house),
            (EntryKind.INSURANCE, takeover.rescue, House.INSURANCE),
        ],
    )


def _cancelled(order: OrderState) -> OrderChange:
    return OrderChange(
        client_order_id=order.client_order_id,
        status=OrderStatus.CANCELLED,
        reserved=ZERO,
        filled=order.filled,
        expected_price=order.expected_price,
    )
