"""Indicators of a series of closed candles: the usual ones, with the warm-up masked.

Computed by the library `ta` over at most 250 candles: averages are seeded with the first price, RSI, ATR and ADX smoothed after
Wilder.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np

from marketdata.domain.canonical import canonical_decimal
from marketdata.domain.facts import Candle

WINDOW = 250
ADX_WINDOW = 14
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
    """Return all indicators over the last 250 candles, one value a candle, NaN where undefined.

    `ta` raises on short frames, gives 0 for the warm-up of ATR and ADX and an RSI of 100 for prices that never moved; all of it is NaN
    here.
    """
    used = candles[-WINDOW:]
    if not used:
        return {name: array("d") for name in NAMES}
    # Some 70 MB and half a second: only an arena that computes indicators pays for them.
    import pandas as pd

    frame = pd.DataFrame(
        [[float(x) for x in (bar.high, bar.low, bar.close, bar.volume)] for bar in used],
        columns=["high", "low", "close", "volume"],
    )
    columns = {**_trend(frame), **_momentum(frame), **_volatility(frame), **_changes(frame)}
    return {name: array("d", columns[name]) for name in NAMES}


def _trend(frame: Any) -> dict[str, Any]:
    from ta.trend import MACD, ADXIndicator, EMAIndicator, SMAIndicator

    close = frame["close"]
    macd = MACD(close)
    lines = {"macd": macd.macd(), "macd_signal": macd.macd_signal(), "macd_hist": macd.macd_diff()}
    adx = [_NAN] * len(frame)
    if len(frame) >= 2 * ADX_WINDOW:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = ADXIndicator(frame["high"], frame["low"], close, ADX_WINDOW).adx()
        adx = _masked(values, 2 * ADX_WINDOW - 1)
    return {
        "ema20": EMAIndicator(close, 20).ema_indicator(),
        "ema50": EMAIndicator(close, 50).ema_indicator(),
        "sma20": SMAIndicator(close, 20).sma_indicator(),
        # Differences of prices smaller than this share of the price are rounding.
        **{name: line.mask(line.abs() < _NOISE * close, 0.0) for name, line in lines.items()},
        # Where nothing moved there is no direction.
        "adx14": [
            value if moved else _NAN
            for value, moved in zip(adx, _ever(frame["high"] > frame["low"]), strict=True)
        ],
    }


def _momentum(frame: Any) -> dict[str, Any]:
    from ta.momentum import RSIIndicator

    close = frame["close"]
    # Flat prices have no strength to measure.
    moved = _ever(close.diff().abs() > 0)
    return {
        f"rsi{window}": _masked(RSIIndicator(close, window).rsi().where(moved, _NAN), window)
        for window in (7, 14)
    }


def _volatility(frame: Any) -> dict[str, Any]:
    from ta.volatility import AverageTrueRange, BollingerBands

    bands = BollingerBands(frame["close"], 20, 2)
    ranges = {}
    for window in (3, 14):
        name = f"atr{window}"
        ranges[name] = [_NAN] * len(frame)
        if len(frame) >= window:
            values = AverageTrueRange(frame["high"], frame["low"], frame["close"], window)
            ranges[name] = _masked(values.average_true_range(), window - 1)
    return {
        **ranges,
        "bb_high": bands.bollinger_hband(),
        "bb_mid": bands.bollinger_mavg(),
        "bb_low": bands.bollinger_lband(),
    }


def _changes(frame: Any) -> dict[str, Any]:
    close, volume = frame["close"], frame["volume"]
    return {
        "volume": volume,
        "volume_avg20": volume.rolling(20).mean(),
        "return_1": close.pct_change(1),
        "return_24": close.pct_change(24),
    }


def _masked(values: Iterable[float], start: int) -> list[float]:
    """Return the values with the first ``start`` undefined."""
    column = list(values)
    return [_NAN] * min(start, len(column)) + column[start:]


def _ever(found: Any) -> Any:
    """Return, for each row, whether something was found there or before."""
    return found.cummax()


def _text(value: float) -> str | None:
    if not math.isfinite(value):
        return None
    return "0" if abs(value) < 1e-20 else canonical_decimal(Decimal(f"{value:.10g}"))
