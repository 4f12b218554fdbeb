"""What all feeds answer from the candles and funding rates stored under their source."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Max

from marketdata.domain.facts import Candle, Funding, Timeframe
from marketdata.models import FundingRate
from marketdata.selectors.series import (
    StoredSeries,
    base_for,
    between,
    extent,
    last_closed,
    stored_series,
)


def base_of(source: str, symbol: str, timeframe: str) -> StoredSeries | None:
    """Return the stored series from which candles of the timeframe are read or built. Queries once."""
    return base_for(stored_series(source, [symbol]).get(symbol, []), Timeframe(timeframe))


def stored_candles(
    source: str, symbol: str, timeframe: str, *, until: datetime, count: int
) -> list[Candle]:
    """Return the last ``count`` stored candles closed at or before ``until``, oldest first."""
    base = base_of(source, symbol, timeframe)
    if base is None:
        return []
    return last_closed(base, Timeframe(timeframe), until=until, count=count)


def stored_extent(source: str, symbol: str, timeframe: str) -> tuple[datetime, datetime] | None:
    """Return the first open and the last close of the full bars held, or None."""
    base = base_of(source, symbol, timeframe)
    return None if base is None else extent(base, Timeframe(timeframe))


def stored_key(source: str, symbol: str, timeframe: str) -> str:
    """Return the name of the rows behind a series; empty when there are none."""
    base = base_of(source, symbol, timeframe)
    return "" if base is None else f"{base.key}:{timeframe}"


def stored_bars(
    source: str, symbols: Sequence[str], *, after: datetime, until: datetime
) -> dict[str, tuple[Timeframe, list[Candle]]]:
    """Return the stored candles that closed after ``after`` up to ``until``, of each symbol's shortest timeframe, oldest first."""
    found: dict[str, tuple[Timeframe, list[Candle]]] = {}
    for symbol, several in stored_series(source, symbols).items():
        base = several[0]
        # The candle that holds ``after`` closes after it, unless ``after`` is its open.
        start = base.timeframe.floor(after)
        candles = list(between(base, base.timeframe, start=start, end=until))
        if candles:
            found[symbol] = (base.timeframe, candles)
    return found


def stored_stamps(
    source: str, symbols: Sequence[str], *, after: datetime, until: datetime
) -> list[Funding]:
    """Return the stored funding rates later than ``after``, up to ``until``, by time and symbol. Queries once."""
    rows = FundingRate.objects.filter(
        source=source, symbol__in=symbols, at__gt=after, at__lte=until
    ).order_by("at", "symbol")
    return [Funding(row.symbol, row.at, row.rate, row.mark) for row in rows]


def store_funding(source: str, rates: Sequence[Funding]) -> None:
    """Keep settled rates; one that is kept already stays as it is."""
    FundingRate.objects.bulk_create(
        [
            FundingRate(
                source=source, symbol=rate.symbol, at=rate.at, rate=rate.rate, mark=rate.mark
            )
            for rate in rates
        ],
        ignore_conflicts=True,
    )


def stored_funding(source: str, symbols: Sequence[str], at: datetime) -> dict[str, Funding]:
    """Return the last funding rate of each symbol at or before ``at``; two queries."""
    rates = FundingRate.objects.filter(source=source, symbol__in=symbols, at__lte=at)
    latest = rates.values("symbol").annotate(last=Max("at")).values_list("symbol", "last")
    found: dict[str, Funding] = {}
    for symbol, last in latest:
        row = rates.get(symbol=symbol, at=last)
        found[symbol] = Funding(symbol, row.at, row.rate, row.mark)
    return found
