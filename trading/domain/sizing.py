"""From a wish to a sized order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_UP, Decimal

from marketdata.domain.facts import Quote
from marketdata.domain.instruments import InstrumentSpec
from trading.domain.denials import Denial, DenialCode
from trading.domain.exits import FARTHEST_EXIT, not_a_number, on_tick
from trading.domain.intents import OrderIntent, OrderKind, Side, Wish, WishAction
from trading.domain.margin import account_figures, notional
from trading.domain.money import BPS, ZERO, exact, figure
from trading.domain.pricing import slipped, taker_price
from trading.domain.resting.arrival import passive_price, takes_at
from trading.domain.rules import HUNDRED, BookRules, MarginModel
from trading.domain.state import AccountState, PositionState

# Larger sizes are no sizes: they could not even be stored.
LARGEST_SIZE = Decimal(10) ** 15


@exact
def size_instruction(
    state: AccountState, wish: Wish, quote: Quote, rules: BookRules
) -> OrderIntent | Denial:
    """Return the order that the wish means at ``quote``, its quantity on the step at or below what was asked.

    ``state`` needs the marks of its open positions. Opening against an opposite position gives an order of the full size: it nets,
    and what is left opens. An order that would rest is counted at the price that it waits for.
    """
    spec = rules.find_spec(wish.symbol)
    if spec is None:
        return unknown_symbol(wish.symbol, rules)
    if wish.action is WishAction.SET_EXITS:
        raise ValueError("SET_EXITS is no order: use ExitsSet")
    if stray := _stray(wish):
        return stray
    if wish.opens:
        return _open(state.with_marks({wish.symbol: quote.mark}), wish, quote, rules, spec)
    held = state.positions.get(wish.symbol)
    if held is None:
        return Denial(DenialCode.NO_POSITION, {"symbol": wish.symbol})
    return _shrink(held, wish, quote, rules, spec)


def unknown_symbol(symbol: str, rules: BookRules) -> Denial:
    return Denial(
        DenialCode.UNKNOWN_SYMBOL, {"known": ",".join(rules.symbols), "symbol": symbol[:32]}
    )


def _stray(wish: Wish) -> Denial | None:
    """Return the refusal of a market order with a price to wait for, and of exits that are no numbers."""
    if wish.kind is OrderKind.MARKET:
        for name in (
            "limit_price",
            "trigger_price",
            "callback_rate",
            "activation_price",
            "time_in_force",
        ):
            value: Decimal | str | None = getattr(wish, name)
            if value is not None:
                figures = {"field": name, "found": str(value)[:40], "wanted": "none for MARKET"}
                return Denial(DenialCode.INVALID_ORDER, figures)
    return not_a_number(wish.exits)


@dataclass(frozen=True, slots=True)
class _Counted:
    """At which price and mark an order is counted."""

    price: Decimal
    mark: Decimal


def _counted(
    wish: Wish, side: Side, quote: Quote, rules: BookRules, spec: InstrumentSpec
) -> _Counted:
    """Return what an order is counted at: a taker's price now, its limit, or its trigger with slippage.

    A limit that takes at once is counted at the taker's price, as it is checked. Prices that the rules will refuse are not reckoned
    with.
    """
    at_once = _Counted(taker_price(quote, side, rules=rules, spec=spec), quote.mark)
    level = wish.limit_price or wish.trigger_price or wish.activation_price
    if wish.kind is OrderKind.MARKET or level is None or not level.is_finite():
        return at_once
    if not ZERO < level <= quote.mark * FARTHEST_EXIT:
        return at_once
    if wish.kind is not OrderKind.LIMIT:
        price = slipped(max(spec.round_price(level), spec.tick), side, rules=rules, spec=spec)
        return _Counted(price, price)
    limit = passive_price(level, side, spec)
    order = OrderIntent(
        symbol=spec.symbol,
        side=side,
        quantity=ZERO,
        leverage=1,
        kind=OrderKind.LIMIT,
        limit_price=limit,
    )
    taken = takes_at(order, quote, rules=rules, spec=spec)
    return _Counted(limit, limit) if taken is None else _Counted(taken, quote.mark)


def _open(
    state: AccountState, wish: Wish, quote: Quote, rules: BookRules, spec: InstrumentSpec
) -> OrderIntent | Denial:
    side = Side.BUY if wish.action is WishAction.OPEN_LONG else Side.SELL
    leverage = _leverage(state, wish, side, rules)
    counted = _counted(wish, side, quote, rules, spec)
    asked = _asked_quantity(wish, counted.price) or _quantity_of_fraction(
        state, wish, counted, side=side, leverage=max(leverage, 1), rules=rules
    )
    if isinstance(asked, Denial):
        return asked
    quantity = _stepped(asked, spec)
    if isinstance(quantity, Denial):
        return quantity
    intent = OrderIntent(
        symbol=wish.symbol,
        side=side,
        quantity=quantity,
        leverage=leverage,
        exits=on_tick(wish.exits, spec),
    )
    return _as_wished(intent, wish)


def _shrink(
    held: PositionState, wish: Wish, quote: Quote, rules: BookRules, spec: InstrumentSpec
) -> OrderIntent | Denial:
    side = Side.closing(held.quantity)
    quantity: Decimal | Denial = abs(held.quantity)
    if wish.action is WishAction.REDUCE:
        asked = _asked_quantity(wish, _counted(wish, side, quote, rules, spec).price)
        if asked is None or wish.margin_fraction is not None:
            return _no_size(wish, "quantity or notional")
        quantity = asked if isinstance(asked, Denial) else _stepped(asked, spec)
    if isinstance(quantity, Denial):
        return quantity
    intent = OrderIntent(
        symbol=wish.symbol, side=side, quantity=quantity, leverage=held.leverage, reduce_only=True
    )
    takes_all = wish.action is WishAction.CLOSE and wish.trigger_price is not None
    return replace(_as_wished(intent, wish), close_position=takes_all)


def _as_wished(intent: OrderIntent, wish: Wish) -> OrderIntent:
    """Return the order with the kind and prices of the wish, which the rules look at later."""
    return replace(
        intent,
        kind=wish.kind,
        limit_price=wish.limit_price,
        trigger_price=wish.trigger_price,
        callback_rate=wish.callback_rate,
        activation_price=wish.activation_price,
        time_in_force=wish.time_in_force,
    )


def _leverage(state: AccountState, wish: Wish, side: Side, rules: BookRules) -> int:
    held = state.positions.get(wish.symbol)
    if wish.leverage is not None:
        return wish.leverage
    return held.leverage if held and held.quantity * side.sign > 0 else rules.default_leverage


def _asked_quantity(wish: Wish, price: Decimal) -> Decimal | Denial | None:
    """Return the quantity that the wish names by itself, None when it names none."""
    if sum(size is not None for size in (wish.quantity, wish.notional, wish.margin_fraction)) != 1:
        return _no_size(wish, "exactly one of quantity, notional, margin_fraction")
    if wish.margin_fraction is not None:
        return None
    name, size = (
        ("quantity", wish.quantity) if wish.quantity is not None else ("notional", wish.notional)
    )
    assert size is not None
    if not size.is_finite() or not ZERO < size <= LARGEST_SIZE:
        return no_quantity(size, name)
    return size if name == "quantity" else size / price


def no_quantity(size: Decimal, name: str = "quantity") -> Denial:
    """Return the refusal of a size that is no number, not above 0 or beyond all measure."""
    # A number of a million digits is not written out.
    written = figure(size) if size.is_finite() and abs(size.adjusted()) < 60 else str(size)
    return Denial(DenialCode.INVALID_SIZE, {name: written[:40], "wanted": "above 0"})


def _no_size(wish: Wish, wanted: str) -> Denial:
    given = [
        name
        for name in ("quantity", "notional", "margin_fraction")
        if getattr(wish, name) is not None
    ]
    return Denial(
        DenialCode.INVALID_SIZE, {"found": ",".join(given) or "nothing", "wanted": wanted}
    )


def _quantity_of_fraction(
    state: AccountState,
    wish: Wish,
    counted: _Counted,
    *,
    side: Side,
    leverage: int,
    rules: BookRules,
) -> Decimal | Denial:
    """Return the quantity whose margin, fee and crossing loss together take the fraction of the free margin, so that 1 fits."""
    fraction = wish.margin_fraction
    assert fraction is not None
    if not fraction.is_finite() or not ZERO < fraction <= 1:
        found = figure(fraction) if fraction.is_finite() else str(fraction)
        return Denial(
            DenialCode.INVALID_SIZE, {"margin_fraction": found, "wanted": "above 0 up to 1"}
        )
    free = account_figures(state, rules).free_margin
    if free <= 0:
        return Denial(DenialCode.INSUFFICIENT_MARGIN, {"free": figure(free), "needed": "above 0"})
    price, mark = counted.price, counted.mark
    margin = mark / leverage
    if rules.acts_between_rounds and rules.margin_model is MarginModel.CFD:
        # The leverage that was asked bounds the fraction; the book's own requirement may ask for more.
        required = max(mark, price) * rules.margin_requirement_pct / HUNDRED
        margin = max(margin, required)
    margin *= rules.margin_buffer
    crossing = max(ZERO, (price - mark) * side.sign)
    unit_cost = margin + crossing + price * rules.fee_bps_taker / BPS
    return min(free * fraction / unit_cost, LARGEST_SIZE)


@dataclass(frozen=True, slots=True)
class SmallestOrder:
    """The least that an order may open: ``quantity`` in base units, worth ``notional`` at the price that it would get."""

    quantity: Decimal
    notional: Decimal


@exact
def smallest_order(
    spec: InstrumentSpec, quote: Quote, rules: BookRules, *, side: Side = Side.BUY
) -> SmallestOrder:
    """Return the smallest market order that passes the instrument's step, minimum quantity and minimum value at ``quote``."""
    price = taker_price(quote, side, rules=rules, spec=spec)
    least = max(spec.min_quantity, spec.min_notional / price, spec.step)
    quantity = (least / spec.step).to_integral_value(rounding=ROUND_UP) * spec.step
    return SmallestOrder(quantity, notional(quantity, price))


def _stepped(asked: Decimal, spec: InstrumentSpec) -> Decimal | Denial:
    quantity = spec.floor_quantity(asked)
    if quantity == 0:
        return Denial(
            DenialCode.QUANTITY_BELOW_STEP, {"asked": short(asked), "step": figure(spec.step)}
        )
    return quantity


def short(value: Decimal) -> str:
    """Return a computed quantity with at most 12 significant digits, for a message."""
    return figure(Decimal(f"{value:.11E}"))
