"""Longer candles out of shorter ones, and what a candle must satisfy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from marketdata.domain.facts import Candle, Timeframe, floor_time


def aggregate(
    candles: Iterable[Candle], *, base: Timeframe, timeframe: Timeframe
) -> Iterator[Candle]:
    """Yield the candles of ``timeframe`` whose every part is there, on the UTC grid.

    Args:
        candles: Closed candles of ``base``, oldest first.
        base: Their timeframe; divides ``timeframe``.
    """
    if timeframe.seconds % base.seconds:
        raise ValueError(f"{timeframe} is not a multiple of {base}")
    wanted = timeframe.seconds // base.seconds
    parts: list[Candle] = []
    for candle in candles:
        if parts and not _same_bar(parts[0], candle, timeframe):
            if len(parts) == wanted:
                yield _merge(parts, timeframe)
            parts = []
        parts.append(candle)
    if len(parts) == wanted:
        yield _merge(parts, timeframe)


def _same_bar(first: Candle, candle: Candle, timeframe: Timeframe) -> bool:
    start = floor_time(first.open_at, timeframe.seconds)
    return (candle.open_at - start).total_seconds() < timeframe.seconds


def _merge(parts: list[Candle], timeframe: Timeframe) -> Candle:
    return Candle(
        open_at=floor_time(parts[0].open_at, timeframe.seconds),
        open=parts[0].open,
        high=max(part.high for part in parts),
        low=min(part.low for part in parts),
        close=parts[-1].close,
        volume=sum((part.volume for part in parts), Decimal(0)),
    )


def candle_fault(candle: Candle, timeframe: Timeframe) -> str | None:
    """Return what is wrong with a candle (found and wanted), or None."""
    for name in ("open", "high", "low", "close"):
        price: Decimal = getattr(candle, name)
        if not price.is_finite() or price <= 0:
            return f"{name} must be a finite number above 0, was {price}"
    if not candle.volume.is_finite() or candle.volume < 0:
        return f"volume must be a finite number of at least 0, was {candle.volume}"
    top, bottom = max(candle.open, candle.close), min(candle.open, candle.close)
    if candle.high < top:
        return f"high must be at least open and close ({top}), was {candle.high}"
    if candle.low > bottom:
        return f"low must be at most open and close ({bottom}), was {candle.low}"
    if floor_time(candle.open_at, timeframe.seconds) != candle.open_at:
        return f"must open on the {timeframe} grid of UTC, opened at {candle.open_at.isoformat()}"
    return None
