"""What prompts and pages are shown of the market: plain values, cut off at one instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from marketdata.domain.facts import Candle, Funding, Quote
from marketdata.domain.instruments import InstrumentSpec


@dataclass(frozen=True, slots=True)
class SeriesView:
    """The last closed candles of one timeframe, oldest first, and their indicators.

    ``timeframe`` is a code such as ``"15m"``. Each list of indicator values is as long as was asked for and ends at the last
    candle; values are strings of 10 significant digits, None while the indicator warms up.
    """

    timeframe: str
    candles: tuple[Candle, ...]
    indicators: Mapping[str, tuple[str | None, ...]]


@dataclass(frozen=True, slots=True)
class SymbolView:
    """One symbol at the instant of the view; ``quote`` and ``funding`` are None where they are not known."""

    spec: InstrumentSpec
    quote: Quote | None
    funding: Funding | None
    series: Mapping[str, SeriesView]


@dataclass(frozen=True, slots=True)
class MarketView:
    """All that a participant may know of the market; holds nothing that closed after ``as_of``.

    ``simulated`` tells that the prices are replayed or invented.
    """

    as_of: datetime
    simulated: bool
    symbols: Mapping[str, SymbolView]
