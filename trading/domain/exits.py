"""The plan for leaving a position, set and checked.

A position carries its exits itself; they are not orders. Each closes all that is held when it acts, so a partial close shrinks them,
and whatever closes the position takes the others with it.
"""

from __future__ import annotations

from decimal import Decimal

from marketdata.domain.instruments import InstrumentSpec
from trading.domain.denials import Denial, DenialCode
from trading.domain.intents import Exits
from trading.domain.money import figure

# An exit farther away is a slip of the pen.
FARTHEST_EXIT = 100

# Percent. The venue's range for callbackRate since 2026-10-23.
CALLBACK_RANGE = (Decimal("0.1"), Decimal(20))


def rate_in_range(rate: Decimal | None) -> bool:
    """Return whether a callback rate is one that the venue takes; None asks for no trailing."""
    least, most = CALLBACK_RANGE
    if rate is None:
        return True
    # A longer number is no rate that anybody means, and no column holds any length.
    is_short = len(rate.as_tuple().digits) <= 12
    return rate.is_finite() and is_short and least <= rate <= most


def not_a_number(exits: Exits) -> Denial | None:
    """Return a denial when a price of an exit is none, or beyond all measure, before anything is reckoned with it."""
    for name in ("stop_loss", "take_profit", "activation_price"):
        level: Decimal | None = getattr(exits, name)
        if level is not None and not (level.is_finite() and abs(level.adjusted()) < 60):
            figures = {"exit": name, "level": str(level)[:40], "max": "a number"}
            return Denial(DenialCode.EXITS_OUT_OF_RANGE, figures)
    return None


def wrong_side(exits: Exits, *, is_long: bool, price: Decimal) -> Denial | None:
    """Return a denial when an exit would trigger at once: a long's stop lies below ``price`` and its target above, a short's reversed.

    One that is more than 100 times the price is refused too, and a trailing exit without a callback rate of the venue's range. A
    trailing exit becomes active where a target would act.
    """
    if not rate_in_range(exits.callback_rate):
        least, most = map(figure, CALLBACK_RANGE)
        figures = {"exit": "callback_rate", "level": str(exits.callback_rate)[:40]}
        return Denial(DenialCode.EXITS_OUT_OF_RANGE, {**figures, "max": most, "min": least})
    if denial := not_a_number(exits):
        return denial
    direction = 1 if is_long else -1
    for name, level, sign in (
        ("stop_loss", exits.stop_loss, direction),
        ("take_profit", exits.take_profit, -direction),
        ("activation_price", exits.activation_price, -direction),
    ):
        if level is None:
            continue
        if level > price * FARTHEST_EXIT:
            return Denial(
                DenialCode.EXITS_OUT_OF_RANGE,
                {"exit": name, "level": figure(level), "max": figure(price * FARTHEST_EXIT)},
            )
        if level <= 0 or (price - level) * sign <= 0:
            return Denial(
                DenialCode.EXITS_ON_WRONG_SIDE,
                {"exit": name, "level": figure(level), "price": figure(price)},
            )
    return None


def on_tick(exits: Exits, spec: InstrumentSpec) -> Exits:
    """Return the exits with prices on the nearest tick."""
    activation = exits.activation_price
    return Exits(
        stop_loss=None if exits.stop_loss is None else spec.round_price(exits.stop_loss),
        take_profit=None if exits.take_profit is None else spec.round_price(exits.take_profit),
        invalidation=exits.invalidation,
        callback_rate=exits.callback_rate,
        activation_price=None if activation is None else spec.round_price(activation),
    )
