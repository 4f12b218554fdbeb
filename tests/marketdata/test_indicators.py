"""Indicator values by hand, and all of them against the library whose definitions they follow."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

import pytest

from marketdata.domain.indicators import (
    NAMES,
    compute_indicators,
    indicator_series,
    indicator_table,
)
from marketdata.domain.synthetic import character_of, minute_candles
from tests.marketdata import plain_indicators as plain
from tests.marketdata.markets import T0, candle, flat, walk

FIRST = {
    "ema20": 20,
    "ema50": 50,
    "sma20": 20,
    "rsi7": 8,
    "rsi14": 15,
    "macd": 26,
    "macd_signal": 34,
    "macd_hist": 34,
    "atr3": 3,
    "atr14": 14,
    "adx14": 28,
    "bb_high": 20,
    "bb_mid": 20,
    "bb_low": 20,
    "volume_avg20": 20,
    "volume": 1,
    "return_1": 2,
    "return_24": 25,
}


def _at(number, price):
    return candle(T0 + timedelta(minutes=number), price)


def test_no_candles_give_no_values():
    assert compute_indicators([]) == dict.fromkeys(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_starts_with_the_candle_that_completes_its_warm_up(name):
    needed = FIRST[name]

    assert compute_indicators(walk(needed - 1))[name] is None
    assert compute_indicators(walk(needed))[name] is not None


def test_returns_and_volume_are_those_of_the_last_candle():
    # Closes go 1003, 1002, 1005, 1004, ...: the 14th is 1014, the 15th 1017; volumes are 5 + index % 7.
    values = compute_indicators(walk(15))

    assert values["return_1"] == "0.002958579882"
    assert values["volume"] == "5"


def test_the_average_of_the_last_twenty_closes():
    # Closes of indices 10 to 29 are 1013, 1012, 1015, 1014, ..., 1031, 1030: ten pairs (1013 + 1012 + 4k), k = 0..9.
    # Their sum is 10 * 2025 + 4 * 45 = 20430, a twentieth is 1021.5.
    values = compute_indicators(walk(30))

    assert values["sma20"] == "1021.5"
    assert values["bb_mid"] == "1021.5"


def test_strength_of_three_moves_by_pencil():
    # Closes 10, 11, 10.5 smoothed with 1/7 from zero: up 0, 1/7, 6/49; down 0, 0, 0.5/7.
    # After five more flat closes both shrink alike, so that rsi7 = 100 * (6/49) / (6/49 + 3.5/49) = 600 / 9.5.
    prices = ["10", "11", "10.5", *["10.5"] * 5]
    candles = [_at(number, price) for number, price in enumerate(prices)]

    assert compute_indicators(candles)["rsi7"] == "63.15789474"


def test_flat_prices_have_no_strength_and_no_direction():
    values = compute_indicators(flat(100))

    assert values["rsi7"] is None
    assert values["rsi14"] is None
    assert values["adx14"] is None
    assert values["atr14"] == "0"
    assert values["macd"] == "0"
    assert values["bb_high"] == "1000"
    assert values["return_24"] == "0"


def test_only_gains_have_full_strength():
    rising = [_at(number, str(100 + number)) for number in range(30)]

    assert compute_indicators(rising)["rsi14"] == "100"


def test_only_the_last_250_candles_count():
    candles = walk(400)

    assert compute_indicators(candles) == compute_indicators(candles[-250:])


def test_series_end_at_the_last_candle_and_are_masked():
    series = indicator_series(walk(22), ["sma20", "volume"], 4)

    assert series["sma20"][0] is None
    assert series["sma20"][-1] == compute_indicators(walk(22))["sma20"]
    assert [value is None for value in series["sma20"]] == [True, False, False, False]
    assert len(series["volume"]) == 4


def test_an_unknown_name_is_told():
    with pytest.raises(ValueError, match=r"indicators are ema20, .*; found ema21"):
        indicator_series(walk(3), ["ema21"], 3)


def test_text_has_ten_digits_and_no_exponent():
    tiny = [_at(number, str(Decimal("0.00001234567891") * (number + 1))) for number in range(30)]

    text = compute_indicators(tiny)["sma20"]

    # The mean of 11..30 times 0.00001234567891 = 20.5 * 0.00001234567891.
    assert text == "0.0002530864177"


@pytest.mark.parametrize("count", [1, 27, 28, 60, 250])
def test_all_values_are_those_of_the_definitions(count):
    start = character_of("ETHUSDT").start
    candles = list(
        minute_candles(7, "ETHUSDT", first_minute=29_000_000, count=count, previous_close=start)
    )
    high, low, close = (
        [float(getattr(bar, name)) for bar in candles] for name in ("high", "low", "close")
    )
    macd, signal = plain.macd(close)
    middle, spread = plain.mean(close, 20), plain.deviation(close, 20)
    ranges = plain.true_ranges(high, low, close)
    expected = {
        "ema20": plain.ema(close, 20),
        "ema50": plain.ema(close, 50),
        "sma20": middle,
        "rsi7": plain.rsi(close, 7),
        "rsi14": plain.rsi(close, 14),
        "macd": macd,
        "macd_signal": signal,
        "atr3": plain.wilder_mean(ranges, 3),
        "atr14": plain.wilder_mean(ranges, 14),
        "adx14": plain.adx(high, low, close, 14),
        "bb_high": [mean + 2 * width for mean, width in zip(middle, spread, strict=True)],
        "bb_low": [mean - 2 * width for mean, width in zip(middle, spread, strict=True)],
        "return_24": plain.returns(close, 24),
    }

    table = indicator_table(candles)

    for name, column in expected.items():
        for ours, theirs in zip(table[name], column, strict=True):
            both_undefined = math.isnan(ours) and math.isnan(theirs)
            assert both_undefined or math.isclose(ours, theirs, rel_tol=1e-8, abs_tol=1e-8), name
