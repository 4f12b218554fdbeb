"""Which candles are held, from when to when, and how many are missing between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from marketdata.domain.facts import Timeframe
from marketdata.models import CandleSeries


@dataclass(frozen=True, slots=True)
class SeriesCoverage:
    """One stored series: ``missing`` bars lie between its first open and its last close."""

    source: str
    symbol: str
    timeframe: str
    first_open: datetime | None
    last_close: datetime | None
    count: int
    missing: int


def series_coverage(source: str | None = None) -> list[SeriesCoverage]:
    """Return all series (of one source), by source, symbol and length; counts rows, so not for hot pages."""
    rows = CandleSeries.objects.with_extent().annotate(held=Count("candles"))
    if source is not None:
        rows = rows.filter(source=source)
    found = [_coverage(row) for row in rows]
    return sorted(found, key=lambda row: (row.source, row.symbol, Timeframe(row.timeframe).seconds))


def _coverage(row: CandleSeries) -> SeriesCoverage:
    timeframe = Timeframe(row.timeframe)
    first: datetime | None = row.first_open  # type: ignore[attr-defined]
    last: datetime | None = row.last_open  # type: ignore[attr-defined]
    count: int = row.held  # type: ignore[attr-defined]
    if first is None or last is None:
        return SeriesCoverage(row.source, row.symbol, row.timeframe, None, None, 0, 0)
    end = last + timeframe.delta
    slots = int((end - first).total_seconds()) // timeframe.seconds
    return SeriesCoverage(row.source, row.symbol, row.timeframe, first, end, count, slots - count)
