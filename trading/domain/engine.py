"""The only money arithmetic: one event in, the new account and everything to be written down out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from marketdata.domain.instruments import round_money
from trading.domain.denials import Denial, DenialCode
from trading.domain.events import (
    Act,
    ActTaken,
    BarClosed,
    CapitalPaid,
    Event,
    ExitsSet,
    FundingSettled,
    MarksSeen,
    OrderAsked,
    OrderEnded,
    QuoteSeen,
    VenueReport,
)
from trading.domain.exits import on_tick, wrong_side
from trading.domain.fills import Booking, Execution, book_execution, posting_group
from trading.domain.funding import settle_funding
from trading.domain.intents import OrderIntent, Side
from trading.domain.liquidation import liquidate
from trading.domain.margin import mark_of
from trading.domain.money import MONEY_CAP, ZERO, exact
from trading.domain.outcome import (
    BookedFill,
    EntryKind,
    House,
    OrderChange,
    OrderStatus,
    Outcome,
)
from trading.domain.risk import check_order
from trading.domain.rules import BookRules
from trading.domain.state import AccountState, OrderState, PositionState


@exact
def step(state: AccountState, event: Event, rules: BookRules) -> Outcome:
    """Return what ``event`` makes of the account.

    Pure and deterministic. A refusal is an outcome; errors are for callers that break the order of things.

    Raises:
        NotImplementedError: For bars, which the engine does not walk yet.
        ValueError: For an order id asked twice, a report of an order that is not open or of more than was left of it.
        KeyError: When the mark of an open position is missing.
    """
    match event:
        case CapitalPaid():
            return _pay_capital(state, event)
        case QuoteSeen(quote):
            return _take_marks(state, {quote.symbol: quote.mark}, rules, at=quote.at)
        case MarksSeen():
            return _take_marks(state, event.marks, rules, at=event.at)
        case OrderAsked():
            return _ask_order(state, event, rules)
        case VenueReport():
            return _book_report(state, event)
        case OrderEnded():
            return _end_order(state, event)
        case ExitsSet():
            return _set_exits(state, event, rules)
        case ActTaken():
            return _take_act(state, event, rules)
        case BarClosed():
            raise NotImplementedError("bars are walked from the account issue on")
        case FundingSettled():
            return settle_funding(state, event)
    assert_never(event)


def _pay_capital(state: AccountState, event: CapitalPaid) -> Outcome:
    if state.wallet or state.next_fill > 1:
        raise ValueError(f"account {state.ordinal} has its capital already")
    if not ZERO < event.amount <= MONEY_CAP or event.amount != round_money(event.amount):
        raise ValueError(
            f"start capital must be above 0, at most {MONEY_CAP} and have at most 8 decimals, was {event.amount}"
        )
    postings = posting_group(
        f"deposit:{state.ordinal}", event.at, [(EntryKind.DEPOSIT, event.amount, House.CAPITAL)]
    )
    return Outcome(state=replace(state, wallet=event.amount), postings=postings)


def _take_marks(
    state: AccountState, marks: Mapping[str, Decimal], rules: BookRules, *, at: datetime
) -> Outcome:
    """Return the account at its new marks, positions that it no longer covers taken away where the rules act between rounds."""
    state = state.with_marks(marks)
    liquidated = liquidate(state, rules, at=at) if rules.acts_between_rounds else None
    return liquidated or Outcome(state=state)


def _ask_order(state: AccountState, event: OrderAsked, rules: BookRules) -> Outcome:
    if event.client_order_id in state.orders:
        raise ValueError(f"order {event.client_order_id} is open already")
    if event.quote is not None:
        state = state.with_marks({event.quote.symbol: event.quote.mark})
    verdict = check_order(state, event.intent, event.quote, rules)
    change = OrderChange(
        client_order_id=event.client_order_id,
        status=OrderStatus.DENIED if verdict.denial else OrderStatus.SUBMITTING,
        reserved=verdict.reserved,
        filled=ZERO,
        expected_price=verdict.expected_price,
    )
    if verdict.denial or verdict.expected_price is None:
        denials = (verdict.denial,) if verdict.denial else ()
        return Outcome(state=state, orders=(change,), denials=denials, checks=verdict.checks)
    order = OrderState(
        client_order_id=event.client_order_id,
        intent=event.intent,
        reserved=verdict.reserved,
        expected_price=verdict.expected_price,
    )
    return Outcome(state=state.with_order(order), orders=(change,), checks=verdict.checks)


def _book_report(state: AccountState, report: VenueReport) -> Outcome:
    order = _open_order(state, report.client_order_id)
    if not ZERO <= report.quantity <= order.remaining:
        raise ValueError(
            f"order {order.client_order_id} has {order.remaining} left, the report tells of {report.quantity}"
        )
    if report.quantity == 0:
        return _after_report(state, order, report)
    execution = Execution(
        symbol=order.symbol,
        side=order.side,
        quantity=report.quantity,
        price=report.price,
        fee=report.fee,
        leverage=order.intent.leverage,
        at=report.at,
        exits=order.intent.exits,
    )
    booking = book_execution(state, execution)
    filled = replace(order, filled=order.filled + report.quantity)
    outcome = _after_report(booking.state, filled, report)
    return replace(
        outcome,
        postings=booking.postings,
        positions=booking.positions,
        fills=(_booked_fill(order, report, booking),),
    )


def _booked_fill(order: OrderState, report: VenueReport, booking: Booking) -> BookedFill:
    return BookedFill(
        seq=booking.seq,
        client_order_id=order.client_order_id,
        trade_id=report.trade_id,
        symbol=order.symbol,
        side=order.side,
        quantity=report.quantity,
        price=report.price,
        fee=report.fee,
        realised=booking.realised,
        is_maker=report.is_maker,
        reference_price=report.reference_price,
        at=report.at,
    )


def _after_report(state: AccountState, order: OrderState, report: VenueReport) -> Outcome:
    """Return the order as the report leaves it: filled, ended with a rest that expires, or waiting with less set aside."""
    if order.remaining == 0:
        return _ended(state, order, OrderStatus.FILLED)
    if report.is_final:
        return _ended(state, order, OrderStatus.EXPIRED)
    waiting = replace(
        order, reserved=round_money(order.reserved * order.remaining / order.intent.quantity)
    )
    change = OrderChange(
        client_order_id=order.client_order_id,
        status=OrderStatus.PARTIAL if order.filled else OrderStatus.SUBMITTING,
        reserved=waiting.reserved,
        filled=order.filled,
        expected_price=order.expected_price,
    )
    return Outcome(state=state.with_order(waiting), orders=(change,))


def _ended(state: AccountState, order: OrderState, status: OrderStatus) -> Outcome:
    change = OrderChange(
        client_order_id=order.client_order_id,
        status=status,
        reserved=ZERO,
        filled=order.filled,
        expected_price=order.expected_price,
    )
    return Outcome(state=state.without_order(order.client_order_id), orders=(change,))


def _end_order(state: AccountState, event: OrderEnded) -> Outcome:
    order = _open_order(state, event.client_order_id)
    return _ended(state, order, OrderStatus(event.status.value))


def _open_order(state: AccountState, client_order_id: str) -> OrderState:
    order = state.orders.get(client_order_id)
    if order is None:
        raise ValueError(f"order {client_order_id} is not open on account {state.ordinal}")
    return order


def _set_exits(state: AccountState, event: ExitsSet, rules: BookRules) -> Outcome:
    spec = rules.find_spec(event.symbol)
    held = state.positions.get(event.symbol)
    if spec is None or held is None:
        denial = Denial(DenialCode.NO_POSITION, {"symbol": event.symbol[:32]})
        return Outcome(state=state, denials=(denial,))
    exits = on_tick(event.exits, spec)
    wrong = wrong_side(exits, is_long=held.is_long, price=mark_of(state, event.symbol))
    if wrong:
        return Outcome(state=state, denials=(wrong,))
    changed = replace(held, exits=exits)
    return Outcome(state=state.with_position(changed), positions=(changed,))


def _take_act(state: AccountState, event: ActTaken, rules: BookRules) -> Outcome:
    """Return the closing orders of an emergency close; other acts move no money."""
    if event.kind is not Act.EMERGENCY_CLOSE:
        return Outcome(state=state)
    intents: list[OrderIntent] = []
    for symbol, held in sorted(state.positions.items()):
        intents += _closing_intents(held, rules.spec(symbol).max_quantity)
    return Outcome(state=state, intents=tuple(intents))


def _closing_intents(held: PositionState, largest: Decimal | None) -> Iterator[OrderIntent]:
    """Yield the orders that close a holding, in pieces of the largest order there is."""
    rest = abs(held.quantity)
    while rest:
        piece = rest if largest is None else min(rest, largest)
        rest -= piece
        yield OrderIntent(
            symbol=held.symbol,
            side=Side.closing(held.quantity),
            quantity=piece,
            leverage=held.leverage,
            reduce_only=True,
        )
