"""Recorded candles: every file is taken, and minutes add up to the five minutes that were downloaded apart."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from marketdata.domain.facts import Timeframe
from marketdata.feeds import open_feed
from marketdata.services import CandleFileError, import_candles
from marketdata.services.candle_files import is_candle_file, name_parts, read_candles
from tests.marketdata.markets import make_feed

pytestmark = [pytest.mark.real_data, pytest.mark.django_db]

FOLDER = "candles/mit/usdm_1m_5m_2025-05-25_2025-06-24"


def _candles_folder() -> Path:
    return Path(os.environ["ARENA_TEST_DATA"]) / "candles"


def test_every_recorded_file_is_valid():
    files = sorted(path for path in _candles_folder().rglob("*") if is_candle_file(path))
    assert files
    for path in files:
        if path.name.startswith("SPOT_"):
            with pytest.raises(CandleFileError, match="holds spot prices"):
                name_parts(path)
            continue
        _, timeframe = name_parts(path)
        assert read_candles(path, timeframe)


def test_minutes_add_up_to_the_recorded_five_minutes():
    folder = Path(os.environ["ARENA_TEST_DATA"]) / FOLDER
    minutes = import_candles(folder / "BTCUSDT-1m.parquet", source="minutes")
    fives = import_candles(folder / "BTCUSDT-5m.parquet", source="fives")
    assert (minutes.rows, fives.rows) == (43_199, 8_639)
    end = min(minutes.last_open, fives.last_open) - timedelta(minutes=5)
    ask = {"until": end, "count": 10_000}

    built = open_feed(make_feed(slug="a", source="minutes")).candles("BTCUSDT", Timeframe.M5, **ask)
    stored = open_feed(make_feed(slug="b", source="fives")).candles("BTCUSDT", Timeframe.M5, **ask)

    # The minutes start two before the first whole five, which the other file has, too.
    assert len(built) > 8_600
    assert built == stored[-len(built) :]
