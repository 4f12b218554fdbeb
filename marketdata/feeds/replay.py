"""The market of a past period, out of stored candles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from marketdata.domain.facts import Candle, Funding, Quote, Timeframe, floor_time
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.quotes import quote_around
from marketdata.feeds.stored import (
    stored_bars,
    stored_candles,
    stored_extent,
    stored_funding,
    stored_key,
    stored_stamps,
)
from marketdata.models import Feed
from marketdata.selectors.series import StoredSeries, candle_at, last_closed, stored_series

# Longer holes leave a symbol without a quote: nobody could have traded at a price that old.
MAX_MISSING_BARS = 5


class ReplayFeed:
    """Answers for any instant as if it were now: nothing that closed later is seen.

    A quote is the close of the last candle of the shortest stored timeframe, with the feed's spread round it.
    """

    is_live = False

    def __init__(self, feed: Feed) -> None:
        self._source = feed.source
        self._spread_bps = feed.spread_bps

    def quotes(self, specs: Sequence[InstrumentSpec], at: datetime) -> dict[str, Quote]:
        quotes: dict[str, Quote] = {}
        for spec, series in self._shortest(specs):
            found = last_closed(series, series.timeframe, until=at, count=1)
            if not found or _close_at(found[0], series) + _patience(series) < at:
                continue
            quotes[spec.symbol] = quote_around(
                spec,
                found[0].close,
                spread_bps=self._spread_bps,
                at=_close_at(found[0], series),
            )
        return quotes

    def opens(self, specs: Sequence[InstrumentSpec], at: datetime) -> dict[str, Quote]:
        quotes: dict[str, Quote] = {}
        for spec, series in self._shortest(specs):
            # A slot between two candles has no open of its own; the grid is finer than any slot.
            if floor_time(at, series.timeframe.seconds) != at:
                continue
            candle = candle_at(series, at)
            if candle is not None:
                quotes[spec.symbol] = quote_around(
                    spec, candle.open, spread_bps=self._spread_bps, at=at
                )
        return quotes

    def candles(self, symbol: str, timeframe: str, *, until: datetime, count: int) -> list[Candle]:
        return stored_candles(self._source, symbol, timeframe, until=until, count=count)

    def prepare(
        self, symbols: Sequence[str], timeframes: Sequence[str], *, until: datetime, count: int
    ) -> None:
        """Do nothing: all is stored."""

    def funding(self, symbols: Sequence[str], at: datetime) -> dict[str, Funding]:
        return stored_funding(self._source, symbols, at)

    def closed_bars(
        self, symbols: Sequence[str], *, after: datetime, until: datetime
    ) -> dict[str, tuple[Timeframe, list[Candle]]]:
        return stored_bars(self._source, symbols, after=after, until=until)

    def settled_funding(
        self, symbols: Sequence[str], *, after: datetime, until: datetime
    ) -> list[Funding]:
        return stored_stamps(self._source, symbols, after=after, until=until)

    def coverage(self, symbol: str, timeframe: str) -> tuple[datetime, datetime] | None:
        return stored_extent(self._source, symbol, timeframe)

    def symbols(self, asked: Sequence[str]) -> list[str]:
        held = stored_series(self._source, asked)
        return [symbol for symbol in asked if symbol in held]

    def series_key(self, symbol: str, timeframe: str) -> str:
        return stored_key(self._source, symbol, timeframe)

    def _shortest(
        self, specs: Sequence[InstrumentSpec]
    ) -> list[tuple[InstrumentSpec, StoredSeries]]:
        held = stored_series(self._source, [spec.symbol for spec in specs])
        return [(spec, held[spec.symbol][0]) for spec in specs if spec.symbol in held]


def _close_at(candle: Candle, series: StoredSeries) -> datetime:
    return candle.open_at + series.timeframe.delta


def _patience(series: StoredSeries) -> timedelta:
    return MAX_MISSING_BARS * series.timeframe.delta
