"""The seeded market that never was, made as it is asked for and stored as one-minute candles."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from marketdata.domain.facts import Candle, Funding, Quote, Timeframe
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.quotes import quote_around
from marketdata.domain.synthetic import character_of, minute_candles, price_in_minute
from marketdata.feeds.base import FeedError
from marketdata.feeds.stored import base_of, stored_bars, stored_candles, stored_key
from marketdata.models import Candle as CandleRow
from marketdata.models import CandleSeries, Feed
from marketdata.selectors.series import StoredSeries, candle_at

logger = logging.getLogger(__name__)

HISTORY = timedelta(hours=24)
# A clock set wrong by years would otherwise fill the disk.
MAX_GROWTH = timedelta(days=92)
_PIECE_MINUTES = 1440
_MINUTE = timedelta(minutes=1)

_growing = threading.Lock()


class SyntheticFeed:
    """Makes a day of history before the first instant it is asked for, and goes on from there.

    The candles stored are the state: after a restart, and in every process, the same seed goes on identically from the last close.
    The first candle of a symbol is its origin; nothing exists before it.
    """

    is_live = False

    def __init__(self, feed: Feed) -> None:
        self._source = feed.source
        self._seed = feed.seed
        self._spread_bps = feed.spread_bps

    def quotes(self, specs: Sequence[InstrumentSpec], at: datetime) -> dict[str, Quote]:
        """Return the quotes at the second ``at``: the price moves within a minute, too."""
        quotes: dict[str, Quote] = {}
        for spec in specs:
            price = self._price(spec.symbol, at)
            if price is not None:
                quotes[spec.symbol] = quote_around(
                    spec, price, spread_bps=self._spread_bps, at=at.replace(microsecond=0)
                )
        return quotes

    def opens(self, specs: Sequence[InstrumentSpec], at: datetime) -> dict[str, Quote]:
        """Return the quotes at the first second of the minute that starts at ``at``."""
        return self.quotes(specs, at) if Timeframe.M1.floor(at) == at else {}

    def candles(self, symbol: str, timeframe: str, *, until: datetime, count: int) -> list[Candle]:
        self._grow(symbol, until)
        return stored_candles(self._source, symbol, timeframe, until=until, count=count)

    def prepare(
        self, symbols: Sequence[str], timeframes: Sequence[str], *, until: datetime, count: int
    ) -> None:
        """Make the market up to ``until``."""
        for symbol in symbols:
            self._grow(symbol, until)

    def funding(self, symbols: Sequence[str], at: datetime) -> dict[str, Funding]:
        """Return nothing: this market has no funding."""
        return {}

    def closed_bars(
        self, symbols: Sequence[str], *, after: datetime, until: datetime
    ) -> dict[str, tuple[Timeframe, list[Candle]]]:
        """Make the market up to ``until`` and return its minutes."""
        for symbol in symbols:
            self._grow(symbol, until)
        return stored_bars(self._source, symbols, after=after, until=until)

    def settled_funding(
        self, symbols: Sequence[str], *, after: datetime, until: datetime
    ) -> list[Funding]:
        """Return nothing: this market has no funding."""
        return []

    def coverage(self, symbol: str, timeframe: str) -> tuple[datetime, datetime] | None:
        """Return None: it goes on as far as it is asked."""
        return None

    def symbols(self, asked: Sequence[str]) -> list[str]:
        """Return them all: any symbol can be made up."""
        return list(asked)

    def series_key(self, symbol: str, timeframe: str) -> str:
        return stored_key(self._source, symbol, timeframe)

    def _price(self, symbol: str, at: datetime) -> Decimal | None:
        series = self._grow(symbol, at)
        minute = Timeframe.M1.floor(at)
        if minute < series.first_open:
            return None
        before = candle_at(series, minute - _MINUTE)
        return price_in_minute(
            self._seed,
            symbol,
            minute=_minute_number(minute),
            second=at.astimezone(UTC).second,
            previous_close=before.close if before else character_of(symbol).start,
        )

    def _grow(self, symbol: str, until: datetime) -> StoredSeries:
        """Make and store the minutes that ended at or before ``until``; return the series as it then is."""
        series = base_of(self._source, symbol, Timeframe.M1)
        end = Timeframe.M1.floor(until)
        if series is not None and series.end >= end:
            return series
        with _growing:
            return self._make(symbol, end)

    def _make(self, symbol: str, end: datetime) -> StoredSeries:
        row, _ = CandleSeries.objects.get_or_create(
            source=self._source, symbol=symbol, timeframe=Timeframe.M1
        )
        held = base_of(self._source, symbol, Timeframe.M1)
        at = held.end if held else end - HISTORY
        close = _last_close(held) if held else character_of(symbol).start
        if end - at > MAX_GROWTH:
            raise FeedError(
                f"the synthetic market of {symbol} goes to {at:%Y-%m-%d %H:%M} UTC and grows by at most {MAX_GROWTH.days} days "
                f"at once, was asked for {end:%Y-%m-%d %H:%M}",
                permanent=True,
            )
        while at < end:
            count = min(_minute_number(end) - _minute_number(at), _PIECE_MINUTES)
            made = list(
                minute_candles(
                    self._seed,
                    symbol,
                    first_minute=_minute_number(at),
                    count=count,
                    previous_close=close,
                )
            )
            CandleRow.objects.store(row, made)
            at, close = at + count * _MINUTE, made[-1].close
        grown = base_of(self._source, symbol, Timeframe.M1)
        assert grown is not None
        return grown


def _last_close(series: StoredSeries) -> Decimal:
    last = candle_at(series, series.last_open)
    assert last is not None
    return last.close


def _minute_number(at: datetime) -> int:
    return int(at.timestamp()) // 60
