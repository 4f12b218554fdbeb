"""The plan for leaving a position. Set and checked here; they rest in the market from the account issue on."""

from __future__ import annotations

from decimal import Decimal

from marketdata.domain.instruments import InstrumentSpec
from trading.domain.denials import Denial, DenialCode
from trading.domain.intents import Exits
from trading.domain.money import figure

# An exit farther away is a slip of the pen.
FARTHEST_EXIT = 100


def wrong_side(exits: Exits, *, is_long: bool, price: Decimal) -> Denial | None:
    """Return a denial when an exit would trigger at once: a long's stop lies below ``price`` and its target above, a short's reversed.

    One that is more than 100 times the price is refused too.
    """
    direction = 1 if is_long else -1
    for name, level, sign in (
        ("stop_loss", exits.stop_loss, direction),
        ("take_profit", exits.take_profit, -direction),
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
    return Exits(
        stop_loss=None if exits.stop_loss is None else spec.round_price(exits.stop_loss),
        take_profit=None if exits.take_profit is None else spec.round_price(exits.take_profit),
        invalidation=exits.invalidation,
    )
