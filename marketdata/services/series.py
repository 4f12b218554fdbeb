"""Series as snapshots and prompts use them: chained, with indicators, each computed once per closed candle."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Generic, TypeVar

from marketdata.domain.facts import Candle, Timeframe
from marketdata.domain.indicators import WINDOW, Table, indicator_table
from marketdata.domain.manifest import SeriesState
from marketdata.domain.series_hash import empty_hash, first_open_after, next_hash
from marketdata.feeds import MarketFeed

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Recent(Generic[K, V]):
    """A small cache that drops what was used longest ago; shared by threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._size:
                self._values.popitem(last=False)

    def compute(self, key: K, compute: Callable[[], V]) -> V:
        value = self.get(key)
        if value is None:
            value = compute()
            self.put(key, value)
        return value


# (rows, kind, symbol, timeframe, first open) -> the chain as far as it was last followed.
_chains: _Recent[tuple[str, str, str, str, datetime], SeriesState] = _Recent(1024)
# By content: the same candles have the same indicators. 18 columns of 250 floats are 36 KB.
_tables: _Recent[str, Table] = _Recent(256)


def series_start(
    timeframe: Timeframe, *, history_from: datetime | None, as_of: datetime
) -> datetime:
    """Return the first open that counts; without a ``history_from`` that of the last 250 bars."""
    start = as_of - WINDOW * timeframe.delta if history_from is None else history_from
    return first_open_after(start, timeframe)


def chain_state(
    feed: MarketFeed,
    *,
    kind: str,
    symbol: str,
    timeframe: Timeframe,
    start: datetime,
    as_of: datetime,
) -> SeriesState:
    """Return the chained hash over all candles from ``start`` that closed at or before ``as_of``."""
    key = (feed.series_key(symbol, timeframe), kind, symbol, str(timeframe), start)
    known = _chains.get(key)
    if known is None or (known.last_open and known.last_open + timeframe.delta > as_of):
        known = SeriesState(
            None, 0, empty_hash(kind=kind, symbol=symbol, timeframe=timeframe, first_open=start)
        )
    after = start if known.last_open is None else known.last_open + timeframe.delta
    candles = closed_since(feed, symbol, timeframe, start=after, as_of=as_of)
    if not candles:
        return known
    digest = known.digest
    for candle in candles:
        digest = next_hash(digest, candle)
    state = SeriesState(candles[-1].open_at, known.count + len(candles), digest)
    _chains.put(key, state)
    return state


def closed_since(
    feed: MarketFeed, symbol: str, timeframe: Timeframe, *, start: datetime, as_of: datetime
) -> list[Candle]:
    """Return the candles that opened at or after ``start`` and closed at or before ``as_of``, oldest first."""
    count = int((as_of - start).total_seconds()) // timeframe.seconds
    if count <= 0:
        return []
    candles = feed.candles(symbol, timeframe, until=as_of, count=count)
    return [candle for candle in candles if candle.open_at >= start]


def window(
    feed: MarketFeed, symbol: str, timeframe: Timeframe, *, start: datetime, as_of: datetime
) -> list[Candle]:
    """Return at most the last 250 closed candles, none of which opened before ``start``."""
    earliest = max(start, timeframe.floor(as_of) - WINDOW * timeframe.delta)
    return closed_since(feed, symbol, timeframe, start=earliest, as_of=as_of)


def table_of(state: SeriesState, read: Callable[[], list[Candle]]) -> Table:
    """Return the indicators of a chained series; ``read`` gives its window and is asked only for new content."""
    return _tables.compute(state.digest, lambda: indicator_table(read()))
