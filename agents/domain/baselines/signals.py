"""What the rule-following baselines read off the market."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from marketdata.domain.facts import Timeframe
from marketdata.domain.views import SeriesView, SymbolView

FINE = Decimal("1e-10")


def base_series(view: SymbolView) -> SeriesView | None:
    """Return the series of the shortest timeframe, None when there is no closed candle."""
    filled = [series for series in view.series.values() if series.candles]
    return min(filled, key=lambda series: Timeframe(series.timeframe).seconds, default=None)


def latest(series: SeriesView, name: str) -> Decimal | None:
    """Return the newest value of an indicator that came with the series, None in its warm-up or when it did not come."""
    values = series.indicators.get(name) or (None,)
    return None if values[-1] is None else Decimal(values[-1])


def average(series: SeriesView, period: int) -> Decimal | None:
    """Return the exponential moving average of the closes; None with fewer than ``period`` candles."""
    known = latest(series, f"ema{period}")
    return known if known is not None else ema([candle.close for candle in series.candles], period)


def strength(series: SeriesView, period: int = 14) -> Decimal | None:
    """Return the relative strength index, 0 to 100; None with ``period`` candles or fewer."""
    known = latest(series, f"rsi{period}")
    return known if known is not None else rsi([candle.close for candle in series.candles], period)


def ema(closes: Sequence[Decimal], period: int) -> Decimal | None:
    """Return the last exponential moving average, seeded with the mean of the first ``period`` closes."""
    if len(closes) < period:
        return None
    value = sum(closes[:period], Decimal(0)) / period
    for close in closes[period:]:
        value += (close - value) * 2 / (period + 1)
    return value.quantize(FINE)


def rsi(closes: Sequence[Decimal], period: int) -> Decimal | None:
    """Return Wilder's relative strength index of the last close; None when warming up or when no price moved."""
    if len(closes) <= period:
        return None
    moves = [after - before for before, after in pairwise(closes)]
    gain = sum((max(move, Decimal(0)) for move in moves[:period]), Decimal(0)) / period
    loss = sum((max(-move, Decimal(0)) for move in moves[:period]), Decimal(0)) / period
    for move in moves[period:]:
        gain = (gain * (period - 1) + max(move, Decimal(0))) / period
        loss = (loss * (period - 1) + max(-move, Decimal(0))) / period
    if gain + loss == 0:
        return None
    return (gain / (gain + loss) * 100).quantize(FINE)
