"""Candle files: Parquet, CSV and CSV.gz, read into checked candles."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from marketdata.domain.aggregation import candle_fault
from marketdata.domain.canonical import parse_decimal
from marketdata.domain.facts import Candle, Timeframe

TIME_COLUMNS = ("date", "open_time", "timestamp")
NUMBER_COLUMNS = ("open", "high", "low", "close", "volume")
SUFFIXES = (".parquet", ".csv", ".csv.gz")

_NAME = re.compile(r"^(?P<symbol>[A-Z0-9.:_]+)-(?P<timeframe>\d+[mhd])(?:-[0-9_-]+)?$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Digits of a present-day epoch time -> microseconds in its unit.
_UNITS = ((10**17, Decimal("0.001")), (10**14, Decimal(1)), (10**11, Decimal(1000)))

# The row's number (1 is the first under the header), its open time and its five numbers, as written.
Row = tuple[int, Any, Sequence[Any]]


class CandleFileError(Exception):
    """A candle file that cannot be taken; the message names file, row, what was found and what is wanted."""


def is_candle_file(path: Path) -> bool:
    """Tell whether the name ends like one that can be read."""
    return path.name.endswith(SUFFIXES)


def name_parts(path: Path) -> tuple[str, Timeframe]:
    """Return symbol and timeframe out of a name such as ``BTCUSDT-1m.parquet`` or ``BTCUSDT-1m-2025-06.csv``.

    Raises:
        CandleFileError: If the name is another, or that of spot prices.
    """
    stem = path.name
    for suffix in SUFFIXES:
        stem = stem.removesuffix(suffix)
    if stem.startswith("SPOT_"):
        raise CandleFileError(
            f"{path.name}: holds spot prices, the arena trades perpetuals; to take it all the same, rename it"
        )
    match = _NAME.match(stem)
    if match is None or match["timeframe"] not in set(Timeframe):
        frames = ", ".join(Timeframe)
        raise CandleFileError(
            f"{path.name}: the name does not tell symbol and timeframe; wanted is SYMBOL-TIMEFRAME such as "
            f"BTCUSDT-1m.parquet with one of {frames}, or --symbol and --timeframe"
        )
    return match["symbol"], Timeframe(match["timeframe"])


def read_candles(path: Path, timeframe: Timeframe) -> list[Candle]:
    """Return the candles of a file, checked one by one and in order.

    Raises:
        CandleFileError: At the first row that is not a valid candle after the one before it.
    """
    candles: list[Candle] = []
    for number, opened, values in _rows(path):
        candle = _candle(path, number, opened, values)
        fault = candle_fault(candle, timeframe) or _order_fault(candles, candle)
        if fault:
            raise CandleFileError(f"{path.name} row {number}: {fault}")
        candles.append(candle)
    if not candles:
        raise CandleFileError(f"{path.name}: holds no rows")
    return candles


def _order_fault(candles: list[Candle], candle: Candle) -> str | None:
    if not candles or candles[-1].open_at < candle.open_at:
        return None
    opened, before = candle.open_at.isoformat(), candles[-1].open_at.isoformat()
    if opened == before:
        return f"opens at {opened} like the row before, wanted each time once"
    return f"opens at {opened}, wanted after {before} of the row before"


def _candle(path: Path, number: int, opened: Any, values: Sequence[Any]) -> Candle:
    try:
        open_at = _time(opened)
    except (ValueError, OverflowError):
        raise CandleFileError(
            f"{path.name} row {number}: the open time must be ISO 8601 or an epoch time, was {opened!r}"
        ) from None
    numbers: list[Decimal] = []
    for name, value in zip(NUMBER_COLUMNS, values, strict=True):
        try:
            numbers.append(_number(value))
        except ValueError as error:
            raise CandleFileError(f"{path.name} row {number}: {name}: {error}") from None
    return Candle(open_at, *numbers)


def _number(value: Any) -> Decimal:
    if isinstance(value, float):
        # The shortest text that gives the float back is the number that was once written.
        value = repr(value)
    if value is None or value == "":
        raise ValueError("a number is wanted, found nothing")
    return parse_decimal(str(value))


def _time(value: Any) -> datetime:
    """Return an aware UTC time; text without an offset is UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, str) and not value.strip().isdigit():
        return _time(datetime.fromisoformat(value.strip()))
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    return _epoch_time(int(value))


def _epoch_time(number: int) -> datetime:
    for least, micros in _UNITS:
        if number >= least:
            return _EPOCH + timedelta(microseconds=int(number * micros))
    return _EPOCH + timedelta(seconds=number)


def _rows(path: Path) -> Iterator[Row]:
    if not path.is_file():
        raise CandleFileError(f"{path}: is no file")
    if path.name.endswith(".parquet"):
        return _parquet_rows(path)
    if path.name.endswith((".csv", ".csv.gz")):
        return _csv_rows(path)
    raise CandleFileError(f"{path.name}: {' or '.join(SUFFIXES)} is wanted")


def _columns(path: Path, found: Iterable[str]) -> list[str]:
    """Return the columns to read, the time first; names are compared without regard to case."""
    names = {name.strip().lower(): name for name in found}
    times = [name for name in TIME_COLUMNS if name in names]
    missing = [name for name in NUMBER_COLUMNS if name not in names]
    if not times or missing:
        lacking = ", ".join([*([] if times else [" or ".join(TIME_COLUMNS)]), *missing])
        raise CandleFileError(
            f"{path.name}: no column {lacking}; found {', '.join(names) or 'none'}"
        )
    return [names[times[0]], *(names[name] for name in NUMBER_COLUMNS)]


def _csv_rows(path: Path) -> Iterator[Row]:
    try:
        with path.open("rb") as raw:
            plain = gzip.GzipFile(fileobj=raw) if path.name.endswith(".gz") else raw
            text = io.TextIOWrapper(plain, encoding="utf-8-sig", newline="")
            reader = csv.DictReader(text, strict=True)
            time_column, *number_columns = _columns(path, reader.fieldnames or ())
            for number, row in enumerate(reader, start=1):
                yield number, row[time_column] or "", [row[name] for name in number_columns]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise CandleFileError(f"{path.name}: cannot be read ({error})") from error


def _parquet_rows(path: Path) -> Iterator[Row]:
    from fastparquet import ParquetFile

    try:
        source = ParquetFile(str(path))
        wanted = _columns(path, source.columns)
        frame = source.to_pandas(columns=wanted, index=False)
    except CandleFileError:
        raise
    except Exception as error:
        # A broken file may fail anywhere in the reader: struct, zlib, numpy, its own errors.
        raise CandleFileError(f"{path.name}: cannot be read ({error})") from error
    opened, *numbers = (_values(frame[name]) for name in wanted)
    for number, (at, *values) in enumerate(zip(opened, *numbers, strict=True), start=1):
        yield number, at, values


def _values(column: Any) -> list[Any]:
    if column.dtype.kind == "M":
        naive = column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz else column
        return [
            None if stamp is None else _EPOCH + timedelta(microseconds=stamp)
            for stamp in _microseconds(naive)
        ]
    return [None if value != value else value for value in column.tolist()]


def _microseconds(column: Any) -> list[int | None]:
    stamps = column.to_numpy().astype("datetime64[us]").astype("int64").tolist()
    return [
        None if missing else stamp for stamp, missing in zip(stamps, column.isna(), strict=True)
    ]
