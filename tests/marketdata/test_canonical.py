from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.domain.canonical import (
    canonical_decimal,
    canonical_json,
    canonical_time,
    parse_decimal,
    parse_time,
    sha256_text,
)

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=8).filter(
    lambda value: len(value.as_tuple().digits) <= 30
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.50", "1.5"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("1E-7", "0.0000001"),
        ("-0.00", "0"),
        ("0E+5", "0"),
        ("-12.340", "-12.34"),
        ("10000000.12345679", "10000000.12345679"),
    ],
)
def test_a_decimal_has_one_text(value, text):
    assert canonical_decimal(Decimal(value)) == text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999999", "1e-30"])
def test_what_has_no_bounded_text_is_refused(value):
    with pytest.raises(ValueError, match=r"wanted|kept"):
        canonical_decimal(Decimal(value))


@given(DECIMALS)
def test_the_text_of_a_decimal_reads_back_equal_and_stays_the_same(value):
    text = canonical_decimal(value)

    assert parse_decimal(text) == value
    assert canonical_decimal(parse_decimal(text)) == text
    assert "e" not in text.lower()


@given(DECIMALS, st.integers(min_value=0, max_value=5))
def test_trailing_zeros_make_no_difference(value, zeros):
    padded = Decimal(f"{value:f}" + ("0" if "." in f"{value:f}" else ".0") * 1 + "0" * zeros)

    assert canonical_decimal(padded) == canonical_decimal(value)


def test_a_time_is_written_in_utc_whatever_its_zone():
    at = datetime(2025, 6, 1, 14, 30, tzinfo=timezone(timedelta(hours=2)))

    assert canonical_time(at) == "2025-06-01T12:30:00Z"
    assert parse_time("2025-06-01T12:30:00Z") == at


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="aware time is wanted"):
        canonical_time(datetime(2025, 6, 1))  # noqa: DTZ001


def test_json_is_sorted_and_carries_decimals_and_times_as_text():
    value = {"b": Decimal("1.10"), "a": [datetime(2025, 1, 1, tzinfo=UTC), None, True, 3]}

    assert canonical_json(value) == '{"a":["2025-01-01T00:00:00Z",null,true,3],"b":"1.1"}'


@pytest.mark.parametrize("value", [1.5, {"a": [1.5]}, {"a": {"b": (float("nan"),)}}])
def test_json_refuses_floats_at_any_depth(value):
    with pytest.raises(TypeError, match="floats have no canonical form"):
        canonical_json(value)


def test_text_that_is_no_utf8_still_has_a_hash():
    assert len(sha256_text("\ud800")) == 64
