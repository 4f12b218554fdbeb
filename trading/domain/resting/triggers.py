"""What a glimpse of the market does to one waiting price. Pure decisions; nothing here knows an account.

Source: docs/accounting.md#orders-that-rest
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from marketdata.domain.facts import Candle
from marketdata.domain.instruments import InstrumentSpec
from trading.domain.intents import Side
from trading.domain.money import exact
from trading.domain.rules import HUNDRED


@dataclass(frozen=True, slots=True)
class Span:
    """What prices did in one look: the first and the last of them, and how far they went."""

    first: Decimal
    high: Decimal
    low: Decimal
    last: Decimal

    @classmethod
    def point(cls, price: Decimal) -> Span:
        return cls(price, price, price, price)

    @classmethod
    def of_candle(cls, candle: Candle) -> Span:
        return cls(candle.open, candle.high, candle.low, candle.close)


@dataclass(frozen=True, slots=True)
class Trail:
    """A trailing stop that closes by ``side``: ``callback_rate`` percent behind the best price since ``activation_price``."""

    side: Side
    callback_rate: Decimal
    activation_price: Decimal | None = None


def limit_fills(side: Side, limit: Decimal, span: Span) -> bool:
    """Return whether trades went through the limit; one at the very price may have left the order waiting in its queue."""
    return span.low < limit if side is Side.BUY else span.high > limit


def stop_price(side: Side, trigger: Decimal, span: Span) -> Decimal | None:
    """Return the price, before slippage, at which a stop executes: the worse of trigger and first price; None untouched."""
    if side is Side.SELL:
        return min(trigger, span.first) if span.low <= trigger else None
    return max(trigger, span.first) if span.high >= trigger else None


def target_price(side: Side, trigger: Decimal, span: Span) -> Decimal | None:
    """Return the price, before slippage, at which a target executes: its trigger, or a first price beyond it; None untouched."""
    if side is Side.SELL:
        return max(trigger, span.first) if span.high >= trigger else None
    return min(trigger, span.first) if span.low <= trigger else None


@exact
def trail_trigger(trail: Trail, extreme: Decimal, spec: InstrumentSpec) -> Decimal:
    """Return where the trailing stop fires once prices have been at ``extreme``, on the nearest tick; at least one tick."""
    away = trail.callback_rate / HUNDRED
    factor = 1 - away if trail.side is Side.SELL else 1 + away
    return max(spec.round_price(extreme * factor), spec.tick)


def followed(trail: Trail, extreme: Decimal | None, price: Decimal) -> Decimal | None:
    """Return the best price after ``price``; None as long as the activation price is not reached. It never goes back."""
    best = max if trail.side is Side.SELL else min
    if extreme is not None:
        return best(extreme, price)
    activation = trail.activation_price
    is_active = activation is None or best(activation, price) == price
    return price if is_active else None


def best_of(side: Side, span: Span) -> Decimal:
    """Return the price of the span that a trailing stop of this side follows to."""
    return span.high if side is Side.SELL else span.low
