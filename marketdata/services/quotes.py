"""Quotes that something may act on at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from marketdata.domain.facts import Quote
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.quotes import Fault, is_near, jump_fault, quote_fault
from marketdata.feeds import MarketFeed

logger = logging.getLogger(__name__)


def sound_quotes(
    market: MarketFeed,
    specs: Sequence[InstrumentSpec],
    *,
    known: Mapping[str, Decimal],
    at: datetime,
) -> dict[str, Quote]:
    """Return the feed's quotes without those that are stale, crossed or no prices; network inside.

    A mark more than 30 % from the one in ``known`` is asked for once more, and taken only when it is told again.

    Raises:
        FeedError: If the feed gives no answer.
    """
    quotes = market.quotes(specs, at)
    faults = {
        symbol: fault
        for symbol, quote in quotes.items()
        if (fault := quote_fault(quote, as_of=at, is_live=market.is_live))
    }
    jumps = {
        symbol: fault
        for symbol, quote in quotes.items()
        if symbol not in faults and (fault := jump_fault(quote, known.get(symbol)))
    }
    if jumps:
        again = market.quotes([spec for spec in specs if spec.symbol in jumps], at)
        faults |= {
            symbol: fault
            for symbol, fault in jumps.items()
            if not _is_told_again(quotes[symbol], again.get(symbol))
        }
    _warn(faults)
    return {symbol: quote for symbol, quote in quotes.items() if symbol not in faults}


def _is_told_again(first: Quote, second: Quote | None) -> bool:
    return second is not None and is_near(second.mark, first.mark)


def _warn(faults: Mapping[str, Fault]) -> None:
    for fault in faults.values():
        logger.warning("quote not used %s %s: %s", fault.symbol, fault.reason, fault.found)
