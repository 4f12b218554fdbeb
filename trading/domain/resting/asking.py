"""Accepting or refusing an order that may rest."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from marketdata.domain.facts import Quote
from marketdata.domain.instruments import InstrumentSpec
from trading.domain.denials import Denial, DenialCode
from trading.domain.exits import FARTHEST_EXIT, on_tick, rate_in_range, wrong_side
from trading.domain.intents import OrderIntent, OrderKind, Side, TimeInForce
from trading.domain.money import ZERO, exact, figure
from trading.domain.resting.arrival import passive_price, takes_at
from trading.domain.risk import OrderCheck, check_order
from trading.domain.risk.sizes import size_rules
from trading.domain.rules import BookRules
from trading.domain.sizing import LARGEST_SIZE
from trading.domain.state import AccountState

_PRICES = {
    OrderKind.LIMIT: ("limit_price",),
    OrderKind.STOP_MARKET: ("trigger_price",),
    OrderKind.TAKE_PROFIT_MARKET: ("trigger_price",),
    OrderKind.TRAILING_STOP: (),
}
_OPTIONAL = {OrderKind.TRAILING_STOP: ("activation_price",)}


@exact
def check_resting(
    state: AccountState, intent: OrderIntent, quote: Quote | None, rules: BookRules
) -> tuple[OrderIntent, OrderCheck]:
    """Return the order as it would rest, on tick and step, and what the rules say of it.

    A limit order is checked, and its margin set aside, as if it were filled at its limit (at the taker's price when it takes at once).
    One that waits for a trigger ties up nothing: only its size and prices are looked at, the rest when it triggers.
    """
    spec = rules.find_spec(intent.symbol)
    if spec is None or quote is None:
        return intent, check_order(state, intent, quote, rules)
    broken = _malformed(intent, quote)
    if broken:
        return intent, _refused(broken)
    held = state.quantity(intent.symbol)
    fitted = _fitted(intent, spec, held)
    if intent.kind is OrderKind.LIMIT:
        return fitted, _check_limit(state, fitted, quote, rules, spec)
    return fitted, _check_sleeper(fitted, quote, rules, spec, held)


@exact
def check_at_price(
    state: AccountState,
    intent: OrderIntent,
    price: Decimal,
    rules: BookRules,
    *,
    market: Quote,
    mark: Decimal,
) -> OrderCheck:
    """Look at every rule as if the order were filled at exactly ``price``, the symbol marked at ``mark``."""
    pinned = Quote(market.symbol, market.at, bid=price, ask=price, mark=mark)
    return check_order(
        state.without_sleepers(), intent, pinned, replace(rules, slippage_bps=Decimal(0))
    )


def _check_limit(
    state: AccountState, intent: OrderIntent, quote: Quote, rules: BookRules, spec: InstrumentSpec
) -> OrderCheck:
    assert intent.limit_price is not None
    taken = takes_at(intent, quote, rules=rules, spec=spec)
    if taken is not None and intent.time_in_force is TimeInForce.POST_ONLY:
        best = quote.ask if intent.side is Side.BUY else quote.bid
        figures = {"limit": figure(intent.limit_price), "price": figure(best)}
        return _refused(Denial(DenialCode.POST_ONLY_WOULD_TAKE, figures))
    # A waiting order fills when the market has come to its limit, so the gain on the way there does not count.
    price, mark = (intent.limit_price,) * 2 if taken is None else (taken, quote.mark)
    return check_at_price(state, intent, price, rules, market=quote, mark=mark)


def _check_sleeper(
    intent: OrderIntent, quote: Quote, rules: BookRules, spec: InstrumentSpec, held: Decimal
) -> OrderCheck:
    if intent.reduce_only and held * intent.side.sign >= 0:
        return _refused(Denial(DenialCode.NO_POSITION, {"symbol": intent.symbol}))
    price = quote.ask if intent.side is Side.BUY else quote.bid
    level = intent.trigger_price or intent.activation_price
    if level is not None and _fires_at(intent, price, level):
        figures = {"price": figure(price), "trigger": figure(level)}
        return _refused(Denial(DenialCode.TRIGGER_WOULD_FIRE_AT_ONCE, figures))
    expected = level or price
    verdicts = list(size_rules(intent, spec, rules, expected))
    if not intent.reduce_only:
        wrong = wrong_side(intent.exits, is_long=intent.side is Side.BUY, price=expected)
        verdicts += [(wrong.as_check(), wrong)] if wrong else []
    denial = next((found for _, found in verdicts if found), None)
    return OrderCheck(
        checks=tuple(check for check, _ in verdicts),
        denial=denial,
        expected_price=expected,
        reserved=ZERO,
    )


def _fires_at(intent: OrderIntent, price: Decimal, level: Decimal) -> bool:
    """Return whether ``price`` has reached the trigger (a trailing stop's activation, which lies where a target does)."""
    rises = (intent.side is Side.BUY) == (intent.kind is OrderKind.STOP_MARKET)
    return price >= level if rises else price <= level


def _malformed(intent: OrderIntent, quote: Quote) -> Denial | None:
    if not intent.quantity.is_finite() or not ZERO <= intent.quantity <= LARGEST_SIZE:
        return _invalid("quantity", str(intent.quantity)[:40], "above 0", DenialCode.INVALID_SIZE)
    wanted = _PRICES.get(intent.kind, ())
    allowed = (*wanted, *_OPTIONAL.get(intent.kind, ()))
    for name in ("limit_price", "trigger_price", "activation_price"):
        price: Decimal | None = getattr(intent, name)
        if price is None and name not in wanted:
            continue
        if name not in allowed:
            return _invalid(name, str(price)[:40], f"none for {intent.kind.value}")
        most = quote.mark * FARTHEST_EXIT
        if price is None or not price.is_finite() or not ZERO < price <= most:
            return _invalid(name, str(price)[:40], f"above 0 up to {figure(most)}")
    trails = intent.kind is OrderKind.TRAILING_STOP
    if trails != (intent.callback_rate is not None) or not rate_in_range(intent.callback_rate):
        found = str(intent.callback_rate)[:40]
        return _invalid("callback_rate", found, "0.1 to 20" if trails else "none")
    if intent.time_in_force is not None and intent.kind is not OrderKind.LIMIT:
        return _invalid("time_in_force", intent.time_in_force.value, "none without a limit price")
    if intent.close_position and "trigger_price" not in wanted:
        return _invalid("close_position", "true", "a stop or a target")
    return None


def _invalid(
    field: str, found: str, wanted: str, code: DenialCode = DenialCode.INVALID_ORDER
) -> Denial:
    return Denial(code, {"field": field, "found": found, "wanted": wanted})


def _fitted(intent: OrderIntent, spec: InstrumentSpec, held: Decimal) -> OrderIntent:
    """Return the order with its limit on the tick away from aggression, triggers on the nearest, its quantity down on the step."""
    limit = intent.limit_price
    quantity = abs(held) if intent.close_position else spec.floor_quantity(intent.quantity)
    return replace(
        intent,
        quantity=quantity,
        reduce_only=intent.reduce_only or intent.close_position,
        limit_price=None if limit is None else passive_price(limit, intent.side, spec),
        trigger_price=_nearest(intent.trigger_price, spec),
        activation_price=_nearest(intent.activation_price, spec),
        exits=on_tick(intent.exits, spec),
    )


def _nearest(price: Decimal | None, spec: InstrumentSpec) -> Decimal | None:
    return None if price is None else max(spec.round_price(price), spec.tick)


def _refused(denial: Denial) -> OrderCheck:
    check = denial.as_check()
    return OrderCheck(checks=(check,), denial=denial, expected_price=None, reserved=ZERO)
