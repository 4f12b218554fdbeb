"""Quotes made from a price, and what makes a quote unusable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from marketdata.domain.canonical import canonical_decimal, canonical_time
from marketdata.domain.facts import Quote
from marketdata.domain.instruments import InstrumentSpec

MAX_AGE = timedelta(seconds=10)
MAX_MARK_DISTANCE = Decimal("0.05")
MAX_JUMP = Decimal("0.30")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a symbol cannot be traded on: a code and what was found; ``symbol`` is empty when it concerns them all."""

    symbol: str
    reason: str
    found: str


def quote_around(
    spec: InstrumentSpec, price: Decimal, *, spread_bps: Decimal | int, at: datetime
) -> Quote:
    """Return a quote whose mark is ``price``, with half the spread on each side, each side put on tick against the taker."""
    half = Decimal(spread_bps) / 20_000
    return Quote(
        symbol=spec.symbol,
        at=at,
        # A price of one tick would otherwise be bid at zero.
        bid=max(spec.price_against_seller(price * (1 - half)), spec.tick),
        ask=spec.price_against_buyer(price * (1 + half)),
        mark=price,
    )


def quote_fault(quote: Quote, *, as_of: datetime, is_live: bool) -> Fault | None:
    """Return the first thing wrong with a quote on its own, or None."""
    prices = (quote.bid, quote.ask, quote.mark)
    if not all(price.is_finite() and price > 0 for price in prices):
        shown = f"bid={quote.bid} ask={quote.ask} mark={quote.mark}"
        return Fault(quote.symbol, "PRICE_NOT_POSITIVE", shown)
    if quote.bid > quote.ask:
        return Fault(quote.symbol, "BID_ABOVE_ASK", f"bid={quote.bid} ask={quote.ask}")
    middle = (quote.bid + quote.ask) / 2
    if not is_near(quote.mark, middle):
        return Fault(quote.symbol, "MARK_FAR_FROM_QUOTE", f"mark={quote.mark} middle={middle}")
    if is_live and quote.at < as_of - MAX_AGE:
        found = f"quoted at {canonical_time(quote.at)}, wanted at most 10 s before {canonical_time(as_of)}"
        return Fault(quote.symbol, "QUOTE_TOO_OLD", found)
    return None


def is_near(price: Decimal, other: Decimal) -> bool:
    """Tell whether a price is at most 5 % from another; no number is near nothing."""
    if not (price.is_finite() and other.is_finite()):
        return False
    return abs(price - other) <= MAX_MARK_DISTANCE * abs(other)


def jump_fault(quote: Quote, previous_mark: Decimal | None) -> Fault | None:
    """Return a fault when the mark moved more than 30 % from the one before; None when there is none before."""
    if previous_mark is None or not (previous_mark.is_finite() and quote.mark.is_finite()):
        return None
    if abs(quote.mark - previous_mark) <= MAX_JUMP * previous_mark:
        return None
    before, after = canonical_decimal(previous_mark), canonical_decimal(quote.mark)
    return Fault(quote.symbol, "PRICE_JUMP", f"mark went from {before} to {after}")
