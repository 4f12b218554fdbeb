"""Take candles out of files into the series of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from django.db import transaction

from marketdata.domain.facts import Candle, Timeframe
from marketdata.domain.series_hash import candle_row
from marketdata.models import Candle as CandleRow
from marketdata.models import CandleSeries
from marketdata.services.candle_files import CandleFileError, name_parts, read_candles

STORE_ROWS = 4000

# Called with (rows done, rows in all).
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in a series: the first open time that is missing, the first that is there again, and the bars between."""

    start: datetime
    end: datetime
    missing: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What a file held: ``rows`` candles, ``new`` of them not known before."""

    path: Path
    source: str
    symbol: str
    timeframe: Timeframe
    rows: int
    new: int
    first_open: datetime
    last_open: datetime
    gaps: tuple[Gap, ...]


def import_candles(
    path: Path,
    *,
    source: str,
    symbol: str | None = None,
    timeframe: str | None = None,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Store the candles of a file under ``source``; those already there stay, so that doing it twice is harmless.

    All or nothing of a file is stored. Symbol and timeframe come out of the file's name unless given.

    Raises:
        CandleFileError: If the file cannot be read, a row is no valid candle, or one differs from the candle already stored.
    """
    named = name_parts(path) if symbol is None or timeframe is None else None
    symbol = symbol or (named[0] if named else "")
    frame = Timeframe(timeframe) if timeframe is not None else named[1] if named else Timeframe.M1
    candles = read_candles(path, frame)
    new = _store(path, candles, source, symbol, frame, on_progress)
    return ImportReport(
        path=path,
        source=source,
        symbol=symbol,
        timeframe=frame,
        rows=len(candles),
        new=new,
        first_open=candles[0].open_at,
        last_open=candles[-1].open_at,
        gaps=tuple(_gaps(candles, frame)),
    )


@transaction.atomic
def _store(
    path: Path,
    candles: list[Candle],
    source: str,
    symbol: str,
    timeframe: Timeframe,
    on_progress: Progress | None,
) -> int:
    series, _ = CandleSeries.objects.get_or_create(
        source=source, symbol=symbol, timeframe=timeframe
    )
    new = 0
    for at in range(0, len(candles), STORE_ROWS):
        part = candles[at : at + STORE_ROWS]
        _refuse_differing(path, part, at, series)
        new += CandleRow.objects.store(series, part)
        if on_progress:
            on_progress(at + len(part), len(candles))
    return new


def _refuse_differing(
    path: Path, candles: list[Candle], rows_before: int, series: CandleSeries
) -> None:
    stored = CandleRow.objects.filter(
        series=series, open_at__range=(candles[0].open_at, candles[-1].open_at)
    )
    held = {row.open_at: row.fact() for row in stored}
    if not held:
        return
    for number, candle in enumerate(candles, start=rows_before + 1):
        known = held.get(candle.open_at)
        if known is not None and candle_row(known) != candle_row(candle):
            raise CandleFileError(
                f"{path.name} row {number}: differs from the candle stored under {series}: found {candle_row(candle)}, "
                f"stored {candle_row(known)}; import it under another --source"
            )


def _gaps(candles: list[Candle], timeframe: Timeframe) -> Iterator[Gap]:
    for before, after in pairwise(candles):
        wanted = before.open_at + timeframe.delta
        if after.open_at > wanted:
            missing = int((after.open_at - wanted).total_seconds()) // timeframe.seconds
            yield Gap(wanted, after.open_at, missing)
