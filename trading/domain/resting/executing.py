"""Executing an order that rested, or an exit of a position, at the price that the market gave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from marketdata.domain.facts import Quote
from trading.domain.events import VenueReport
from trading.domain.fees import execution_fee
from trading.domain.fills import Execution, book_execution
from trading.domain.intents import Side
from trading.domain.money import exact
from trading.domain.outcome import BookedFill, ExitName, FillCause, OrderStatus, Outcome
from trading.domain.pricing import slipped
from trading.domain.reports import book_report, ended, without_orphans
from trading.domain.resting.asking import check_at_price
from trading.domain.rules import BookRules
from trading.domain.state import AccountState, OrderState, PositionState


@dataclass(frozen=True, slots=True)
class Hit:
    """A price that was reached: ``price`` before slippage, which a maker does not pay; ``level`` is what the order named."""

    price: Decimal
    level: Decimal
    is_maker: bool = False

    def paid(self, symbol: str, side: Side, rules: BookRules) -> Decimal:
        if self.is_maker:
            return self.price
        return slipped(self.price, side, rules=rules, spec=rules.spec(symbol))


@exact
def execute_order(
    state: AccountState, order: OrderState, hit: Hit, rules: BookRules, *, at: datetime
) -> Outcome:
    """Return the account after the order's execution, its rejection at the trigger, or its end when there is nothing to reduce."""
    if order.client_order_id not in state.orders:
        return Outcome(state=state)
    fitted = _fitted(state, order)
    if fitted is None:
        return ended(state, order, OrderStatus.CANCELLED)
    price = hit.paid(order.symbol, order.side, rules)
    if fitted.intent.kind.waits_for_trigger and not fitted.intent.reduce_only:
        market = Quote(order.symbol, at, bid=price, ask=price, mark=price)
        intent = replace(fitted.intent, quantity=fitted.remaining)
        verdict = check_at_price(state, intent, price, rules, market=market, mark=price)
        if verdict.denial:
            rejected = ended(state, order, OrderStatus.REJECTED, denial=verdict.denial)
            return replace(rejected, denials=(verdict.denial,), checks=verdict.checks)
    outcome = Outcome(state=state.with_order(fitted))
    largest = rules.spec(order.symbol).max_quantity
    rest = fitted.remaining
    for number, piece in enumerate(_pieces(rest, largest), start=1):
        rest -= piece
        report = VenueReport(
            at=at,
            client_order_id=order.client_order_id,
            trade_id=f"{order.client_order_id}:{number}",
            quantity=piece,
            price=price,
            fee=execution_fee(piece, price, rules=rules, is_maker=hit.is_maker),
            reference_price=hit.level,
            is_maker=hit.is_maker,
            is_final=not rest,
        )
        outcome = outcome.then(book_report(outcome.state, report))
    if fitted.intent.quantity == order.intent.quantity:
        return outcome
    told = tuple(
        replace(change, quantity=fitted.intent.quantity)
        if change.client_order_id == order.client_order_id
        else change
        for change in outcome.orders
    )
    return replace(outcome, orders=told)


@exact
def execute_exit(
    state: AccountState,
    held: PositionState,
    name: ExitName,
    hit: Hit,
    rules: BookRules,
    *,
    at: datetime,
) -> Outcome:
    """Return the account without the position: an exit closes all that is held, in pieces of the largest order there is."""
    side = Side.closing(held.quantity)
    closed = leave_whole(
        state,
        held,
        price=hit.paid(held.symbol, side, rules),
        reference_price=hit.level,
        rules=rules,
        at=at,
        trade_prefix=f"exit-{held.seq}-{name.value}",
        cause=FillCause.EXIT,
        exit_name=name,
    )
    return without_orphans(closed, held.symbol)


@exact
def leave_whole(
    state: AccountState,
    held: PositionState,
    *,
    price: Decimal,
    reference_price: Decimal,
    rules: BookRules,
    at: datetime,
    trade_prefix: str,
    cause: FillCause,
    exit_name: ExitName | None = None,
) -> Outcome:
    """Return the account without the position, closed at ``price`` for the taker's fee, in pieces of the largest order there is."""
    side = Side.closing(held.quantity)
    outcome = Outcome(state=state)
    largest = rules.spec(held.symbol).max_quantity
    for number, piece in enumerate(_pieces(abs(held.quantity), largest), start=1):
        fee = execution_fee(piece, price, rules=rules)
        execution = Execution(
            symbol=held.symbol,
            side=side,
            quantity=piece,
            price=price,
            fee=fee,
            leverage=held.leverage,
            at=at,
        )
        booking = book_execution(outcome.state, execution)
        fill = BookedFill(
            seq=booking.seq,
            client_order_id="",
            trade_id=f"{trade_prefix}-{number}",
            symbol=held.symbol,
            side=side,
            quantity=piece,
            price=price,
            fee=fee,
            realised=booking.realised,
            is_maker=False,
            reference_price=reference_price,
            at=at,
            cause=cause,
            exit_name=exit_name,
            position_seq=held.seq,
        )
        booked = Outcome(
            state=booking.state,
            postings=booking.postings,
            fills=(fill,),
            positions=booking.positions,
        )
        outcome = outcome.then(booked)
    return outcome


def _fitted(state: AccountState, order: OrderState) -> OrderState | None:
    """Return the order no larger than what it may reduce; None when that is nothing."""
    if not order.intent.reduce_only:
        return order
    held = state.quantity(order.symbol)
    closable = abs(held) if held * order.side.sign < 0 else Decimal(0)
    quantity = closable if order.intent.close_position else min(order.remaining, closable)
    if not quantity:
        return None
    return replace(order, intent=replace(order.intent, quantity=order.filled + quantity))


def _pieces(rest: Decimal, largest: Decimal | None) -> Iterator[Decimal]:
    while rest:
        piece = rest if largest is None else min(rest, largest)
        rest -= piece
        yield piece
