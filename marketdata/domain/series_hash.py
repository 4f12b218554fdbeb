"""One hash for a growing series of candles: each new candle costs one step."""

from __future__ import annotations

from datetime import datetime

from marketdata.domain.canonical import canonical_decimal, canonical_time, sha256_text
from marketdata.domain.facts import Candle, Timeframe, floor_time


def first_open_after(at: datetime, timeframe: Timeframe) -> datetime:
    """Return the first open time of the UTC grid that is not before ``at``."""
    start = floor_time(at, timeframe.seconds)
    return start if start == at else start + timeframe.delta


def empty_hash(*, kind: str, symbol: str, timeframe: str, first_open: datetime) -> str:
    """Return the hash of a series that has no candle yet."""
    return sha256_text(f"series:{kind}:{symbol}:{timeframe}:{canonical_time(first_open)}")


def next_hash(previous: str, candle: Candle) -> str:
    """Return the hash after one more candle."""
    return sha256_text(previous + candle_row(candle))


def candle_row(candle: Candle) -> str:
    """Return the canonical text of a candle: open time, prices and volume, comma-separated."""
    values = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    return ",".join([canonical_time(candle.open_at), *map(canonical_decimal, values)])
