"""The indicators' definitions in plain loops: an independent reading that the library's values are held against."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

_NAN = math.nan


def masked(values: list[float], start: int) -> list[float]:
    return [_NAN] * min(start, len(values)) + values[start:]


def smooth(values: Iterable[float], alpha: float) -> list[float]:
    """Return the exponential average seeded with the first value."""
    out: list[float] = []
    for value in values:
        out.append(value if not out else (1 - alpha) * out[-1] + alpha * value)
    return out


def ema(values: list[float], span: int) -> list[float]:
    return masked(smooth(values, 2 / (span + 1)), span - 1)


def mean(values: list[float], window: int) -> list[float]:
    # Summed anew for each candle: a running sum would carry its rounding along.
    return [
        math.fsum(values[i + 1 - window : i + 1]) / window if i + 1 >= window else _NAN
        for i in range(len(values))
    ]


def deviation(values: list[float], window: int) -> list[float]:
    out = [_NAN] * len(values)
    for i in range(window - 1, len(values)):
        part = values[i + 1 - window : i + 1]
        mean = math.fsum(part) / window
        out[i] = math.sqrt(math.fsum((value - mean) ** 2 for value in part) / window)
    return out


def macd(close: list[float]) -> tuple[list[float], list[float]]:
    fast, slow = smooth(close, 2 / 13), smooth(close, 2 / 27)
    line = [a - b for a, b in zip(fast, slow, strict=True)]
    # The signal starts with the first line that is shown.
    signal = [_NAN] * min(25, len(line)) + smooth(line[25:], 2 / 10)
    return masked(line, 25), masked(signal, 33)


def rsi(close: list[float], window: int) -> list[float]:
    moves = [0.0, *(after - before for before, after in pairwise(close))]
    up = smooth((max(move, 0.0) for move in moves), 1 / window)
    down = smooth((max(-move, 0.0) for move in moves), 1 / window)
    out = [_NAN] * len(close)
    for i in range(window, len(close)):
        # Flat prices have no strength to measure.
        if up[i] + down[i] > 0:
            out[i] = 100 * up[i] / (up[i] + down[i])
    return out


def true_ranges(high: list[float], low: list[float], close: list[float]) -> list[float]:
    out = [high[0] - low[0]] if high else []
    for i in range(1, len(high)):
        before = close[i - 1]
        out.append(max(high[i] - low[i], abs(high[i] - before), abs(low[i] - before)))
    return out


def wilder_mean(values: list[float], window: int) -> list[float]:
    """Return Wilder's average: the mean of the first ``window`` values, then 1/window of each new one."""
    out = [_NAN] * len(values)
    if len(values) >= window:
        out[window - 1] = sum(values[:window]) / window
    for i in range(window, len(values)):
        out[i] = (out[i - 1] * (window - 1) + values[i]) / window
    return out


def wilder_sum(values: list[float], window: int) -> list[float]:
    """Return Wilder's running sum of ``values[1:]``; the first value has no move before it."""
    out = [_NAN] * len(values)
    if len(values) > window:
        out[window] = sum(values[1 : window + 1])
    for i in range(window + 1, len(values)):
        out[i] = out[i - 1] - out[i - 1] / window + values[i]
    return out


def adx(high: list[float], low: list[float], close: list[float], window: int) -> list[float]:
    count = len(high)
    plus, minus = [0.0] * count, [0.0] * count
    for i in range(1, count):
        up, down = high[i] - high[i - 1], low[i - 1] - low[i]
        plus[i] = up if up > down and up > 0 else 0.0
        minus[i] = down if down > up and down > 0 else 0.0
    plus_sum, minus_sum = wilder_sum(plus, window), wilder_sum(minus, window)
    strength = [0.0] * count
    for i in range(window, count):
        total = plus_sum[i] + minus_sum[i]
        strength[i] = 100 * abs(plus_sum[i] - minus_sum[i]) / total if total > 0 else 0.0
    smoothed = wilder_mean(strength[window:], window)
    ranges = wilder_sum(true_ranges(high, low, close), window)
    # Where nothing moved there is no direction.
    return [_NAN] * min(window, count) + [
        value if ranges[i] > 0 else _NAN for i, value in enumerate(smoothed, start=window)
    ]


def returns(close: list[float], distance: int) -> list[float]:
    return [
        close[i] / close[i - distance] - 1 if i >= distance else _NAN for i in range(len(close))
    ]
