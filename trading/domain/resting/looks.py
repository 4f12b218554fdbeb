"""One look at one symbol's market: what it does to the exits and orders that wait there.

Within a look liquidation comes before stops, stops before targets, targets before limit orders: of what may have happened first, the
worst for the account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from trading.domain.intents import OrderKind, Side
from trading.domain.outcome import ExitName, OrderChange, OrderStatus, Outcome
from trading.domain.resting.executing import Hit, execute_exit, execute_order
from trading.domain.resting.triggers import (
    Span,
    Trail,
    best_of,
    followed,
    limit_fills,
    stop_price,
    target_price,
    trail_trigger,
)
from trading.domain.rules import BookRules
from trading.domain.state import AccountState, OrderState, PositionState

Liquidation = Callable[[AccountState, datetime], Outcome | None]


def never(state: AccountState, at: datetime) -> Outcome | None:
    """Liquidate nothing."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is seen of a symbol: ``asks`` are the prices that buyers found, ``bids`` those of sellers (the same in a bar of trades)."""

    symbol: str
    at: datetime
    asks: Span
    bids: Span
    marks: Span
    rules: BookRules
    liquidate: Liquidation = never

    def span(self, side: Side) -> Span:
        return self.asks if side is Side.BUY else self.bids


def take_look(state: AccountState, look: Look) -> Outcome:
    """Return the account after everything that the look sets off, marked at the look's last mark."""
    known = frozenset(held.seq for held in state.positions.values())
    outcome = _fall(Outcome(state=state), look, known)
    outcome = _targets(outcome, look, known)
    filled = len(outcome.fills)
    outcome = _limits(outcome, look)
    if len(outcome.fills) > filled:
        # What was just bought may have fallen on: its stop is looked at, its target waits for the next look.
        outcome = _fall(outcome, look, known)
    outcome = _trails(outcome, look, known)
    marked = outcome.state.with_marks({look.symbol: look.marks.last})
    return replace(outcome, state=marked)


def _fall(outcome: Outcome, look: Look, known: frozenset[int]) -> Outcome:
    """Liquidate, then execute stops."""
    outcome = _liquidated(outcome, look)
    for order in _waiting(outcome, look):
        hit = _stop_hit(order, look)
        if hit is not None:
            outcome = _fill(outcome, order, hit, look)
    held = outcome.state.positions.get(look.symbol)
    if held is None:
        return outcome
    # Of two stops that a look reaches, prices have come to the nearer one first.
    hits = _exit_stops(held, look, _span_of(held, look, known))
    nearest = min(hits, key=lambda hit: hit[1].price * -held.quantity, default=None)
    return outcome if nearest is None else _leave(outcome, held, *nearest, look)


def _span_of(held: PositionState, look: Look, known: frozenset[int]) -> Span:
    """Return the prices that the position's exits may have met: of one opened in this look only what may have come after its entry.

    Prices against it may; those in its favour may have been before.
    """
    span = look.span(Side.closing(held.quantity))
    if held.seq in known:
        return span
    entry = min(max(held.entered_cost / held.entered_quantity, span.low), span.high)
    if held.is_long:
        return Span(entry, max(entry, span.last), span.low, span.last)
    return Span(entry, span.high, min(entry, span.last), span.last)


def _liquidated(outcome: Outcome, look: Look) -> Outcome:
    held = outcome.state.positions.get(look.symbol)
    if held is None:
        return outcome
    worst = look.marks.low if held.is_long else look.marks.high
    at_worst = outcome.state.with_marks({look.symbol: worst})
    liquidation = look.liquidate(at_worst, look.at)
    if liquidation is not None:
        return outcome.then(liquidation)
    return replace(outcome, state=outcome.state.with_marks({look.symbol: look.marks.first}))


def _waiting(outcome: Outcome, look: Look) -> Iterator[OrderState]:
    """Yield the symbol's orders in the order in which they were accepted; one that acts may end a later one."""
    for order in outcome.state.orders.values():
        if order.symbol == look.symbol and order.intent.rests:
            yield order


def _targets(outcome: Outcome, look: Look, known: frozenset[int]) -> Outcome:
    for order in _waiting(outcome, look):
        trigger = order.intent.trigger_price
        if order.intent.kind is OrderKind.TAKE_PROFIT_MARKET and trigger is not None:
            price = target_price(order.side, trigger, look.span(order.side))
            if price is not None:
                outcome = _fill(outcome, order, Hit(price, trigger), look)
    held = outcome.state.positions.get(look.symbol)
    # A position opened in this look may have been opened after its target was passed.
    if held is None or held.seq not in known or held.exits.take_profit is None:
        return outcome
    side = Side.closing(held.quantity)
    price = target_price(side, held.exits.take_profit, look.span(side))
    if price is None:
        return outcome
    return _leave(outcome, held, ExitName.TAKE_PROFIT, Hit(price, held.exits.take_profit), look)


def _limits(outcome: Outcome, look: Look) -> Outcome:
    for order in _waiting(outcome, look):
        limit = order.intent.limit_price
        if order.intent.kind is not OrderKind.LIMIT or limit is None:
            continue
        if limit_fills(order.side, limit, look.span(order.side)):
            outcome = _fill(outcome, order, Hit(limit, limit, is_maker=True), look)
    return outcome


def _stop_hit(order: OrderState, look: Look) -> Hit | None:
    trail = _trail_of(order)
    if trail is not None:
        return _trail_hit(trail, order.trail_extreme, look, look.span(order.side))
    trigger = order.intent.trigger_price
    if order.intent.kind is not OrderKind.STOP_MARKET or trigger is None:
        return None
    price = stop_price(order.side, trigger, look.span(order.side))
    return None if price is None else Hit(price, trigger)


def _exit_stops(held: PositionState, look: Look, span: Span) -> Iterator[tuple[ExitName, Hit]]:
    side = Side.closing(held.quantity)
    if held.exits.stop_loss is not None:
        price = stop_price(side, held.exits.stop_loss, span)
        if price is not None:
            yield ExitName.STOP_LOSS, Hit(price, held.exits.stop_loss)
    trail = _trail_of_exit(held)
    if trail is not None:
        hit = _trail_hit(trail, held.trail_extreme, look, span)
        if hit is not None:
            yield ExitName.TRAILING, hit


def _trail_hit(trail: Trail, extreme: Decimal | None, look: Look, span: Span) -> Hit | None:
    """Return where a trailing stop fires that has followed to the look's first price: a later one may have come after the fall."""
    extreme = followed(trail, extreme, span.first)
    if extreme is None:
        return None
    trigger = trail_trigger(trail, extreme, look.rules.spec(look.symbol))
    price = stop_price(trail.side, trigger, span)
    return None if price is None else Hit(price, trigger)


def _trails(outcome: Outcome, look: Look, known: frozenset[int]) -> Outcome:
    """Let trailing stops follow to the look's best price; one that its last price is beyond was passed after it, and fires there."""
    for order in _waiting(outcome, look):
        trail = _trail_of(order)
        if trail is None or order.client_order_id not in outcome.state.orders:
            continue
        extreme, hit = _follow(trail, order.trail_extreme, look, look.span(order.side))
        if hit is not None:
            outcome = _fill(outcome, order, hit, look)
        elif extreme != order.trail_extreme:
            outcome = outcome.then(_followed_order(outcome.state, order, extreme))
    held = outcome.state.positions.get(look.symbol)
    trail = None if held is None else _trail_of_exit(held)
    if held is None or trail is None:
        return outcome
    extreme, hit = _follow(trail, held.trail_extreme, look, _span_of(held, look, known))
    if hit is not None:
        return _leave(outcome, held, ExitName.TRAILING, hit, look)
    if extreme == held.trail_extreme:
        return outcome
    moved = replace(held, trail_extreme=extreme)
    return outcome.then(Outcome(state=outcome.state.with_position(moved), positions=(moved,)))


def _follow(
    trail: Trail, extreme: Decimal | None, look: Look, span: Span
) -> tuple[Decimal | None, Hit | None]:
    extreme = followed(trail, followed(trail, extreme, span.first), best_of(trail.side, span))
    if extreme is None:
        return None, None
    trigger = trail_trigger(trail, extreme, look.rules.spec(look.symbol))
    passed = stop_price(trail.side, trigger, Span.point(span.last)) is not None
    return extreme, Hit(trigger, trigger) if passed else None


def _followed_order(state: AccountState, order: OrderState, extreme: Decimal | None) -> Outcome:
    moved = replace(order, trail_extreme=extreme)
    change = OrderChange(
        client_order_id=order.client_order_id,
        status=OrderStatus.OPEN,
        reserved=order.reserved,
        filled=order.filled,
        expected_price=order.expected_price,
        trail_extreme=extreme,
    )
    return Outcome(state=state.with_order(moved), orders=(change,))


def _trail_of(order: OrderState) -> Trail | None:
    rate = order.intent.callback_rate
    return None if rate is None else Trail(order.side, rate, order.intent.activation_price)


def _trail_of_exit(held: PositionState) -> Trail | None:
    rate = held.exits.callback_rate
    if rate is None:
        return None
    return Trail(Side.closing(held.quantity), rate, held.exits.activation_price)


def _fill(outcome: Outcome, order: OrderState, hit: Hit, look: Look) -> Outcome:
    return outcome.then(execute_order(outcome.state, order, hit, look.rules, at=look.at))


def _leave(outcome: Outcome, held: PositionState, name: ExitName, hit: Hit, look: Look) -> Outcome:
    return outcome.then(execute_exit(outcome.state, held, name, hit, look.rules, at=look.at))
