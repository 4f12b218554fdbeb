"""The only money arithmetic: one event in, the new account and everything to be written down out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from marketdata.domain.instruments import round_money
from trading.domain.denials import Denial, DenialCode
from trading.domain.drawdown_closing import close_for_drawdown
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
    OvernightPassed,
    QuoteSeen,
    VenueReport,
)
from trading.domain.exits import not_a_number, on_tick, wrong_side
from trading.domain.fills import posting_group
from trading.domain.funding import settle_funding
from trading.domain.intents import OrderIntent, Side
from trading.domain.liquidation import liquidate
from trading.domain.margin import mark_of
from trading.domain.money import MONEY_CAP, ZERO, exact
from trading.domain.outcome import EntryKind, House, OrderChange, OrderStatus, Outcome
from trading.domain.overnight import settle_overnight
from trading.domain.positions import trail_kept
from trading.domain.reports import book_report, end_order
from trading.domain.resting.asking import check_resting
from trading.domain.resting.bars import walk_bar
from trading.domain.risk import OrderCheck, check_order, with_pace
from trading.domain.rules import BookRules, MarginModel
from trading.domain.state import AccountState, OrderState, PositionState


@exact
def step(state: AccountState, event: Event, rules: BookRules) -> Outcome:
    """Return what ``event`` makes of the account.

    Pure and deterministic. A refusal is an outcome; errors are for callers that break the order of things.

    Raises:
        ValueError: For an order id asked twice, a report of an order that is not open or of more than was left of it, a funding stamp
            without figures.
        KeyError: When the mark of an open position is missing.
    """
    match event:
        case CapitalPaid():
            return _pay_capital(state, event, rules)
        case QuoteSeen(quote):
            return _take_marks(state, {quote.symbol: quote.mark}, rules, at=quote.at)
        case MarksSeen():
            return _take_marks(state, event.marks, rules, at=event.at)
        case OrderAsked():
            return _ask_order(state, event, rules)
        case VenueReport():
            return book_report(state, event)
        case OrderEnded():
            return end_order(state, event)
        case ExitsSet():
            return _set_exits(state, event, rules)
        case ActTaken():
            return _take_act(state, event, rules)
        case BarClosed():
            return _walk_bar(state, event, rules)
        case FundingSettled():
            return _settle_funding(state, event, rules)
        case OvernightPassed():
            return settle_overnight(state, event, rules)
    assert_never(event)


def _pay_capital(state: AccountState, event: CapitalPaid, rules: BookRules) -> Outcome:
    if state.wallet or state.next_fill > 1:
        raise ValueError(f"account {state.ordinal} has its capital already")
    if not ZERO < event.amount <= MONEY_CAP or event.amount != round_money(event.amount):
        raise ValueError(
            f"start capital must be above 0, at most {MONEY_CAP} and have at most 8 decimals, was {event.amount}"
        )
    postings = posting_group(
        f"deposit:{state.ordinal}", event.at, [(EntryKind.DEPOSIT, event.amount, House.CAPITAL)]
    )
    peak = event.amount if rules.watches_drawdown else None
    return Outcome(state=replace(state, wallet=event.amount, peak=peak), postings=postings)


def _settle_funding(state: AccountState, event: FundingSettled, rules: BookRules) -> Outcome:
    # A contract for difference on the same symbol pays by the night instead.
    if rules.margin_model is MarginModel.CFD:
        return Outcome(state=state)
    return settle_funding(state, event)


def _take_marks(
    state: AccountState, marks: Mapping[str, Decimal], rules: BookRules, *, at: datetime
) -> Outcome:
    """Return the account at its new marks; where the rules act between rounds, positions that it no longer covers are taken away, and
    all are closed once it has fallen too far.
    """
    state = state.with_marks(marks)
    outcome = _liquidated(state, rules, at=at) or Outcome(state=state)
    return _within_drawdown(outcome, rules, at=at)


def _within_drawdown(outcome: Outcome, rules: BookRules, *, at: datetime) -> Outcome:
    if not rules.acts_between_rounds:
        return outcome
    closed = close_for_drawdown(outcome.state, rules, at=at)
    return outcome if closed is None else outcome.then(closed)


def _liquidated(state: AccountState, rules: BookRules, *, at: datetime) -> Outcome | None:
    return liquidate(state, rules, at=at) if rules.acts_between_rounds else None


def _walk_bar(state: AccountState, event: BarClosed, rules: BookRules) -> Outcome:
    if rules.resting_orders:
        walked = walk_bar(
            state, event, rules, liquidate=lambda now, at: _liquidated(now, rules, at=at)
        )
        if event.symbol not in state.positions and not walked.fills:
            return walked
        return _within_drawdown(walked, rules, at=event.closed_at)
    marks = {event.symbol: (event.mark or event.candle).close}
    return _take_marks(state, marks, rules, at=event.closed_at)


def _ask_order(state: AccountState, event: OrderAsked, rules: BookRules) -> Outcome:
    if event.client_order_id in state.orders:
        raise ValueError(f"order {event.client_order_id} is open already")
    if event.quote is not None:
        state = state.with_marks({event.quote.symbol: event.quote.mark})
    intent, verdict = _checked(state, event, rules)
    verdict = with_pace(verdict, state, intent, rules, made=event.decisions_last_hour)
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
        intent=intent,
        reserved=verdict.reserved,
        expected_price=verdict.expected_price,
    )
    return Outcome(state=state.with_order(order), orders=(change,), checks=verdict.checks)


def _checked(
    state: AccountState, event: OrderAsked, rules: BookRules
) -> tuple[OrderIntent, OrderCheck]:
    intent = event.intent
    if not intent.rests:
        return intent, check_order(state.without_sleepers(), intent, event.quote, rules)
    if rules.resting_orders:
        return check_resting(state, intent, event.quote, rules)
    denial = Denial(DenialCode.RESTING_ORDERS_NOT_ALLOWED, {"kind": intent.kind.value})
    return intent, OrderCheck(
        checks=(denial.as_check(),), denial=denial, expected_price=None, reserved=ZERO
    )


def _set_exits(state: AccountState, event: ExitsSet, rules: BookRules) -> Outcome:
    spec = rules.find_spec(event.symbol)
    held = state.positions.get(event.symbol)
    if spec is None or held is None:
        denial = Denial(DenialCode.NO_POSITION, {"symbol": event.symbol[:32]})
        return Outcome(state=state, denials=(denial,))
    if odd := not_a_number(event.exits):
        return Outcome(state=state, denials=(odd,))
    exits = on_tick(event.exits, spec)
    wrong = wrong_side(exits, is_long=held.is_long, price=mark_of(state, event.symbol))
    if wrong:
        return Outcome(state=state, denials=(wrong,))
    changed = replace(held, exits=exits, trail_extreme=trail_kept(held, exits))
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
