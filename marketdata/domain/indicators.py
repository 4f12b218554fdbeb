"""Indicators of a series of closed candles: the usual ones, with the warm-up masked.

The definitions are those of the library `ta` (averages seeded with the first price, Wilder's smoothing for RSI, ATR and ADX); a test
holds every value equal to it. Plain loops, because a series must be cheap: `ta` takes some 10 ms and pandas 80 MB.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import TypeAlias

from marketdata.domain.canonical import canonical_decimal
from marketdata.domain.facts import Candle

WINDOW = 250
NAMES = (
    "ema20",
    "ema50",
    "sma20",
    "rsi7",
    "rsi14",
    "macd",
    "macd_signal",
    "macd_hist",
    "atr3",
    "atr14",
    "adx14",
    "bb_high",
    "bb_mid",
    "bb_low",
    "volume_avg20",
    "volume",
    "return_1",
    "return_24",
)

# A column has one float a candle, NaN while the indicator is not defined yet; arrays are an eighth of the size of lists.
Column: TypeAlias = "array[float]"
Table: TypeAlias = Mapping[str, Column]

_NAN = math.nan
# Differences of prices smaller than this share of the price are rounding.
_NOISE = 1e-12


def compute_indicators(candles: Sequence[Candle]) -> dict[str, str | None]:
    """Return the values at the last candle as strings of 10 significant digits; None while warming up or undefined.

    At most the last 250 candles count. ``return_1`` and ``return_24`` are fractions over 1 and 24 candles.
    """
    return last_values(indicator_table(candles))


def indicator_series(
    candles: Sequence[Candle], names: Iterable[str], length: int
) -> dict[str, tuple[str | None, ...]]:
    """Return the last ``length`` values of each named indicator, oldest first, None in the warm-up."""
    return series_values(indicator_table(candles), names, length)


def last_values(table: Table) -> dict[str, str | None]:
    """Return the last value of each indicator as text."""
    return {name: _text(column[-1]) if column else None for name, column in table.items()}


def series_values(
    table: Table, names: Iterable[str], length: int
) -> dict[str, tuple[str | None, ...]]:
    """Return the last ``length`` values of the named indicators as text."""
    for name in (names := tuple(names)):
        if name not in table:
            raise ValueError(f"indicators are {', '.join(NAMES)}; found {name}")
    return {name: tuple(map(_text, table[name][-length:])) if length else () for name in names}


def indicator_table(candles: Sequence[Candle]) -> dict[str, Column]:
    """Return all indicators over the last 250 candles, one value a candle, NaN where undefined."""
    used = candles[-WINDOW:]
    high = [float(candle.high) for candle in used]
    low = [float(candle.low) for candle in used]
    close = [float(candle.close) for candle in used]
    volume = [float(candle.volume) for candle in used]
    macd, signal = _macd(close)
    middle, spread = _mean(close, 20), _deviation(close, 20)
    ranges = _true_ranges(high, low, close)
    columns = {
        "ema20": _ema(close, 20),
        "ema50": _ema(close, 50),
        "sma20": middle,
        "rsi7": _rsi(close, 7),
        "rsi14": _rsi(close, 14),
        "macd": macd,
        "macd_signal": signal,
        "macd_hist": [a - b for a, b in zip(macd, signal, strict=True)],
        "atr3": _wilder_mean(ranges, 3),
        "atr14": _wilder_mean(ranges, 14),
        "adx14": _adx(high, low, close, 14),
        "bb_high": [a + 2 * b for a, b in zip(middle, spread, strict=True)],
        "bb_mid": middle,
        "bb_low": [a - 2 * b for a, b in zip(middle, spread, strict=True)],
        "volume_avg20": _mean(volume, 20),
        "volume": volume,
        "return_1": _returns(close, 1),
        "return_24": _returns(close, 24),
    }
    for name in ("macd", "macd_signal", "macd_hist"):
        columns[name] = _without_noise(columns[name], close)
    return {name: array("d", columns[name]) for name in NAMES}


def _text(value: float) -> str | None:
    if not math.isfinite(value):
        return None
    return "0" if abs(value) < 1e-20 else canonical_decimal(Decimal(f"{value:.10g}"))


def _without_noise(values: list[float], scale: list[float]) -> list[float]:
    return [
        0.0 if abs(value) < _NOISE * size else value
        for value, size in zip(values, scale, strict=True)
    ]


def _masked(values: list[float], start: int) -> list[float]:
    return [_NAN] * min(start, len(values)) + values[start:]


def _smooth(values: Iterable[float], alpha: float) -> list[float]:
    """Return the exponential average seeded with the first value."""
    out: list[float] = []
    for value in values:
        out.append(value if not out else (1 - alpha) * out[-1] + alpha * value)
    return out


def _ema(values: list[float], span: int) -> list[float]:
    return _masked(_smooth(values, 2 / (span + 1)), span - 1)


def _mean(values: list[float], window: int) -> list[float]:
    # Summed anew for each candle: a running sum would carry its rounding along.
    return [
        math.fsum(values[i + 1 - window : i + 1]) / window if i + 1 >= window else _NAN
        for i in range(len(values))
    ]


def _deviation(values: list[float], window: int) -> list[float]:
    out = [_NAN] * len(values)
    for i in range(window - 1, len(values)):
        part = values[i + 1 - window : i + 1]
        mean = math.fsum(part) / window
        out[i] = math.sqrt(math.fsum((value - mean) ** 2 for value in part) / window)
    return out


def _macd(close: list[float]) -> tuple[list[float], list[float]]:
    fast, slow = _smooth(close, 2 / 13), _smooth(close, 2 / 27)
    line = [a - b for a, b in zip(fast, slow, strict=True)]
    # The signal starts with the first line that is shown.
    signal = [_NAN] * min(25, len(line)) + _smooth(line[25:], 2 / 10)
    return _masked(line, 25), _masked(signal, 33)


def _rsi(close: list[float], window: int) -> list[float]:
    moves = [0.0, *(after - before for before, after in pairwise(close))]
    up = _smooth((max(move, 0.0) for move in moves), 1 / window)
    down = _smooth((max(-move, 0.0) for move in moves), 1 / window)
    out = [_NAN] * len(close)
    for i in range(window, len(close)):
        # Flat prices have no strength to measure.
        if up[i] + down[i] > 0:
            out[i] = 100 * up[i] / (up[i] + down[i])
    return out


def _true_ranges(high: list[float], low: list[float], close: list[float]) -> list[float]:
    out = [high[0] - low[0]] if high else []
    for i in range(1, len(high)):
        before = close[i - 1]
        out.append(max(high[i] - low[i], abs(high[i] - before), abs(low[i] - before)))
    return out


def _wilder_mean(values: list[float], window: int) -> list[float]:
    """Return Wilder's average: the mean of the first ``window`` values, then 1/window of each new one."""
    out = [_NAN] * len(values)
    if len(values) >= window:
        out[window - 1] = sum(values[:window]) / window
    for i in range(window, len(values)):
        out[i] = (out[i - 1] * (window - 1) + values[i]) / window
    return out


def _wilder_sum(values: list[float], window: int) -> list[float]:
    """Return Wilder's running sum of ``values[1:]``; the first value has no move before it."""
    out = [_NAN] * len(values)
    if len(values) > window:
        out[window] = sum(values[1 : window + 1])
    for i in range(window + 1, len(values)):
        out[i] = out[i - 1] - out[i - 1] / window + values[i]
    return out


def _adx(high: list[float], low: list[float], close: list[float], window: int) -> list[float]:
    count = len(high)
    plus, minus = [0.0] * count, [0.0] * count
    for i in range(1, count):
        up, down = high[i] - high[i - 1], low[i - 1] - low[i]
        plus[i] = up if up > down and up > 0 else 0.0
        minus[i] = down if down > up and down > 0 else 0.0
    plus_sum, minus_sum = _wilder_sum(plus, window), _wilder_sum(minus, window)
    strength = [0.0] * count
    for i in range(window, count):
        total = plus_sum[i] + minus_sum[i]
        strength[i] = 100 * abs(plus_sum[i] - minus_sum[i]) / total if total > 0 else 0.0
    smoothed = _wilder_mean(strength[window:], window)
    ranges = _wilder_sum(_true_ranges(high, low, close), window)
    # Where nothing moved there is no direction.
    return [_NAN] * min(window, count) + [
        value if ranges[i] > 0 else _NAN for i, value in enumerate(smoothed, start=window)
    ]


def _returns(close: list[float], distance: int) -> list[float]:
    return [
        close[i] / close[i - distance] - 1 if i >= distance else _NAN for i in range(len(close))
    ]
