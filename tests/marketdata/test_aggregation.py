from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from marketdata.domain.aggregation import aggregate, candle_fault
from marketdata.domain.facts import Timeframe
from tests.marketdata.markets import T0, candle


def _minute(number, *prices, volume="1"):
    return candle(T0 + timedelta(minutes=number), *prices, volume=volume)


def test_five_minutes_make_one_bar():
    parts = [
        _minute(0, "100", "105", "99", "104", volume="1.5"),
        _minute(1, "104", "107", "103", "106", volume="2"),
        _minute(2, "106", "106", "95", "96", volume="0.25"),
        _minute(3, "96", "98", "96", "97", volume="0"),
        _minute(4, "97", "101", "97", "100", volume="3"),
    ]

    bars = list(aggregate(parts, base=Timeframe.M1, timeframe=Timeframe.M5))

    # First open, highest high, lowest low, last close, sum of volumes.
    assert bars == [candle(T0, "100", "107", "95", "100", volume="6.75")]


def test_a_bar_with_a_missing_part_is_left_out():
    parts = [_minute(number, "100") for number in (0, 1, 2, 4, 5, 6, 7, 8, 9)]

    bars = list(aggregate(parts, base=Timeframe.M1, timeframe=Timeframe.M5))

    # Minute 3 is missing, so only the bar of minutes 5 to 9 is whole.
    assert [bar.open_at for bar in bars] == [T0 + timedelta(minutes=5)]


def test_bars_lie_on_the_utc_grid_and_half_ones_at_the_ends_are_left_out():
    parts = [_minute(number, "100") for number in range(7, 38)]

    bars = list(aggregate(parts, base=Timeframe.M1, timeframe=Timeframe.M15))

    assert [bar.open_at for bar in bars] == [T0 + timedelta(minutes=15)]


def test_days_start_at_midnight_utc():
    assert Timeframe.D1.floor(T0 + timedelta(hours=23)) == T0
    assert Timeframe.H4.floor(T0 + timedelta(hours=7)) == T0 + timedelta(hours=4)


def test_a_timeframe_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="5m is not a multiple of 3m"):
        list(aggregate([], base=Timeframe.M3, timeframe=Timeframe.M5))


@pytest.mark.parametrize(
    ("prices", "volume", "fault"),
    [
        (("100", "101", "99", "100"), "0", None),
        (("100", "99", "98", "98"), "1", "high must be at least open and close (100), was 99"),
        (("100", "101", "100", "99"), "1", "low must be at most open and close (99), was 100"),
        (("0", "1", "0", "1"), "1", "open must be a finite number above 0, was 0"),
        (("100", "101", "-1", "100"), "1", "low must be a finite number above 0, was -1"),
        (
            ("100", "Infinity", "99", "100"),
            "1",
            "high must be a finite number above 0, was Infinity",
        ),
        (("100", "101", "99", "NaN"), "1", "close must be a finite number above 0, was NaN"),
        (("100", "101", "99", "100"), "-1", "volume must be a finite number of at least 0, was -1"),
    ],
)
def test_what_is_wrong_with_a_candle_is_said(prices, volume, fault):
    assert candle_fault(candle(T0, *prices, volume=volume), Timeframe.M1) == fault


def test_a_candle_off_the_grid_is_told():
    off = candle(T0 + timedelta(seconds=30), "100")

    assert "must open on the 1m grid" in str(candle_fault(off, Timeframe.M1))
    assert candle_fault(candle(T0, "100"), Timeframe.M1) is None
    assert Decimal(100) == candle(T0, "100").close
