"""Exact numbers in the database, on whichever one the settings name."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from marketdata.models import CandleSeries, FundingRate, Instrument
from tests.marketdata.markets import T0, candle, store

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "text",
    [
        "10000000.12345679",
        "0.000000000000000000000001",
        "99999999999999.999999999999999999999999",
        "-0.00000001",
        "0",
    ],
)
def test_every_digit_comes_back(text):
    row = FundingRate.objects.create(source="test", symbol="X", at=T0, rate=Decimal(text))

    row.refresh_from_db()

    assert row.rate == Decimal(text)
    assert str(row.rate) == str(Decimal(text)) or f"{row.rate:f}" == text


def test_trailing_zeros_are_dropped_when_stored():
    row = FundingRate.objects.create(source="test", symbol="X", at=T0, rate=Decimal("1.5000"))

    row.refresh_from_db()

    assert f"{row.rate:f}" == "1.5"


def test_floats_are_refused():
    with pytest.raises(ValidationError, match=r"not the float 0\.1"):
        FundingRate.objects.create(source="test", symbol="X", at=T0, rate=0.1)


def test_an_equal_number_is_found_however_it_is_written():
    FundingRate.objects.create(source="test", symbol="X", at=T0, rate=Decimal("1.50"))

    assert FundingRate.objects.filter(rate=Decimal("1.5000")).count() == 1


def test_empty_stays_none():
    row = FundingRate.objects.create(source="test", symbol="X", at=T0, rate=Decimal(1))

    row.refresh_from_db()

    assert row.mark is None


def test_the_column_is_exact():
    kinds = {"postgresql": "numeric", "sqlite": "text"}

    assert Instrument._meta.get_field("tick_size").db_type(connection) == kinds[connection.vendor]


def test_storing_candles_twice_keeps_the_first():
    store([candle(T0, "100")])
    store([candle(T0, "200"), candle(T0.replace(minute=1), "300")])

    rows = CandleSeries.objects.get().candles.order_by("open_at")

    assert [row.close for row in rows] == [Decimal(100), Decimal(300)]


def test_a_revision_tells_of_candles_put_before_the_end():
    store([candle(T0.replace(minute=5), "100")])
    assert CandleSeries.objects.get().revision == 0

    store([candle(T0.replace(minute=6), "100")])
    assert CandleSeries.objects.get().revision == 0

    store([candle(T0, "100")])
    assert CandleSeries.objects.get().revision == 1
