"""Stored candles, read once and kept in memory page by page; longer timeframes are built from the shortest one stored."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from marketdata.domain.aggregation import aggregate
from marketdata.domain.facts import Candle, Timeframe, floor_time
from marketdata.models import Candle as CandleRow
from marketdata.models import CandleSeries

PAGE_BARS = 256
# Some 650 bytes a candle: at most 32 MB.
MAX_PAGES = 192


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """One stored series as it is now; ``first_open`` and ``last_open`` are those of the candles held."""

    pk: int
    symbol: str
    timeframe: Timeframe
    key: str
    first_open: datetime
    last_open: datetime

    @property
    def end(self) -> datetime:
        """Return the close of the last candle."""
        return self.last_open + self.timeframe.delta


@dataclass(slots=True)
class _Page:
    candles: list[Candle]
    # The last candle the series held when the page was read: later ones may be missing.
    read_to: datetime


class _Shelf:
    """The pages read last, shared by the threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: OrderedDict[tuple[str, Timeframe, int], _Page] = OrderedDict()

    def get(self, key: tuple[str, Timeframe, int]) -> _Page | None:
        with self._lock:
            page = self._pages.get(key)
            if page is not None:
                self._pages.move_to_end(key)
            return page

    def put(self, key: tuple[str, Timeframe, int], page: _Page) -> None:
        with self._lock:
            self._pages[key] = page
            self._pages.move_to_end(key)
            while len(self._pages) > MAX_PAGES:
                self._pages.popitem(last=False)


_shelf = _Shelf()


def stored_series(source: str, symbols: Sequence[str]) -> dict[str, list[StoredSeries]]:
    """Return, by symbol, the series that hold any candle, shortest timeframe first. Queries once."""
    found: dict[str, list[StoredSeries]] = {}
    rows = CandleSeries.objects.filter(source=source, symbol__in=symbols).with_extent()
    for row in rows:
        first_open: datetime | None = row.first_open  # type: ignore[attr-defined]
        last_open: datetime | None = row.last_open  # type: ignore[attr-defined]
        if first_open is None or last_open is None:
            continue
        series = StoredSeries(
            pk=row.pk,
            symbol=row.symbol,
            timeframe=Timeframe(row.timeframe),
            key=f"{row.token.hex}.{row.revision}",
            first_open=first_open,
            last_open=last_open,
        )
        found.setdefault(row.symbol, []).append(series)
    for several in found.values():
        several.sort(key=lambda series: series.timeframe.seconds)
    return found


def base_for(several: Sequence[StoredSeries], timeframe: Timeframe) -> StoredSeries | None:
    """Return the series of that timeframe itself, else the shortest one that divides it, else None."""
    for series in several:
        if series.timeframe == timeframe:
            return series
    for series in several:
        if timeframe.seconds % series.timeframe.seconds == 0:
            return series
    return None


def extent(base: StoredSeries, timeframe: Timeframe) -> tuple[datetime, datetime] | None:
    """Return the first open and last close of the full bars of ``timeframe``; None when there is no full bar."""
    first = floor_time(base.first_open, timeframe.seconds)
    if first < base.first_open:
        first += timeframe.delta
    last = floor_time(base.end, timeframe.seconds)
    return (first, last) if first < last else None


def last_closed(
    base: StoredSeries, timeframe: Timeframe, *, until: datetime, count: int
) -> list[Candle]:
    """Return the last ``count`` candles that closed at or before ``until``, oldest first."""
    end = min(floor_time(until, timeframe.seconds), floor_time(base.end, timeframe.seconds))
    pages: list[list[Candle]] = []
    missing, stop = count, end
    while missing > 0 and stop > base.first_open:
        start = _page_start(stop - timeframe.delta, timeframe)
        part = _cut(_page(base, timeframe, start), start, stop)[-missing:]
        pages.append(part)
        missing -= len(part)
        stop = start
    return [candle for page in reversed(pages) for candle in page]


def between(
    base: StoredSeries, timeframe: Timeframe, *, start: datetime, end: datetime, keep: bool = True
) -> Iterator[Candle]:
    """Yield the candles with ``start <= open_at`` that closed at or before ``end``, oldest first.

    ``keep`` False reads past pages without keeping them, so that a long sweep does not push out those in use.
    """
    at = max(start, floor_time(base.first_open, timeframe.seconds))
    end = min(floor_time(end, timeframe.seconds), floor_time(base.end, timeframe.seconds))
    while at < end:
        page_start = _page_start(at, timeframe)
        page_end = page_start + PAGE_BARS * timeframe.delta
        page = _page(base, timeframe, page_start, keep=keep)
        yield from _cut(page, at, min(end, page_end))
        at = page_end


def candle_at(base: StoredSeries, open_at: datetime) -> Candle | None:
    """Return the stored candle that opens at that instant."""
    page = _page(base, base.timeframe, _page_start(open_at, base.timeframe))
    found = _cut(page, open_at, open_at + timedelta(microseconds=1))
    return found[0] if found else None


def _cut(candles: list[Candle], start: datetime, end: datetime) -> list[Candle]:
    by_open = attrgetter("open_at")
    return candles[
        bisect_left(candles, start, key=by_open) : bisect_left(candles, end, key=by_open)
    ]


def _page_start(at: datetime, timeframe: Timeframe) -> datetime:
    return floor_time(at, PAGE_BARS * timeframe.seconds)


def _page(
    base: StoredSeries, timeframe: Timeframe, start: datetime, *, keep: bool = True
) -> list[Candle]:
    """Return the candles that open within the page, also those after any instant asked for: callers cut."""
    key = (base.key, timeframe, int(start.timestamp()))
    end = start + PAGE_BARS * timeframe.delta
    page = _shelf.get(key)
    if page is None:
        page = _Page(list(_read(base, timeframe, start, end)), base.last_open)
    elif page.read_to < min(base.last_open, end):
        # A page in use is never changed: another thread may be cutting it.
        known = page.candles
        later = known[-1].open_at + timeframe.delta if known else start
        page = _Page([*known, *_read(base, timeframe, later, end)], base.last_open)
    else:
        return page.candles
    if keep:
        _shelf.put(key, page)
    return page.candles


def _read(
    base: StoredSeries, timeframe: Timeframe, start: datetime, end: datetime
) -> Iterator[Candle]:
    if timeframe != base.timeframe:
        part = _part_of(timeframe, base.timeframe)
        parts = between(base, part, start=start, end=min(end, base.end), keep=False)
        yield from aggregate(parts, base=part, timeframe=timeframe)
        return
    rows = CandleRow.objects.filter(series_id=base.pk, open_at__gte=start, open_at__lt=end)
    # The page is marked as read to the end known before: one that came since is read next time.
    rows = rows.filter(open_at__lte=base.last_open).order_by("open_at")
    for open_at, *numbers in rows.values_list("open_at", "open", "high", "low", "close", "volume"):
        yield Candle(open_at.astimezone(UTC), *numbers)


def _part_of(timeframe: Timeframe, base: Timeframe) -> Timeframe:
    """Return the longest timeframe that divides ``timeframe`` and is built from ``base``: full bars of full bars are full."""
    between_them = [
        item
        for item in Timeframe
        if base.seconds <= item.seconds < timeframe.seconds
        and timeframe.seconds % item.seconds == 0
        and item.seconds % base.seconds == 0
    ]
    return max(between_them, key=lambda item: item.seconds)
