from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from marketdata.models import Candle, Instrument

pytestmark = pytest.mark.django_db

TEXT = "date,open,high,low,close,volume\n2025-06-01 00:00:00,1,2,1,1,3\n2025-06-01 00:02:00,1,2,1,1,3\n"


def _run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("import_candles", *map(str, arguments), stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), err.getvalue() + str(error), 1
    return out.getvalue(), err.getvalue(), 0


def test_a_directory_is_imported_with_a_summary(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "BTCUSDT-1m.csv").write_text(TEXT)
    (tmp_path / "deep" / "ETHUSDT-1m.csv").write_text(TEXT)
    (tmp_path / "MANIFEST.md").write_text("not a candle file")

    out, err, code = _run(tmp_path)

    assert (code, err) == (0, "")
    line = next(line for line in out.splitlines() if line.startswith("BTCUSDT"))
    assert line.split() == [
        *("BTCUSDT", "1m", "2025-06-01", "00:00", "2025-06-01", "00:03"),
        *("2", "2", "1", "at", "2025-06-01", "00:01"),
    ]
    assert Candle.objects.filter(series__source="binance-usdm").count() == 4


def test_known_symbols_get_their_instruments_and_unknown_ones_are_told(tmp_path):
    (tmp_path / "BTCUSDT-1m.csv").write_text(TEXT)
    (tmp_path / "STRANGEUSDT-1m.csv").write_text(TEXT)

    out, _, code = _run(tmp_path)

    assert code == 0
    assert [row.symbol for row in Instrument.objects.all()] == ["BTCUSDT"]
    assert "STRANGEUSDT has no instrument yet: add it in the admin" in out


def test_an_instrument_that_is_there_stays_as_it_was_set(tmp_path):
    (tmp_path / "BTCUSDT-1m.csv").write_text(TEXT)
    _run(tmp_path)
    Instrument.objects.update(max_leverage=3)

    _run(tmp_path)

    assert Instrument.objects.get().max_leverage == 3


def test_a_bad_file_is_told_and_the_others_are_imported(tmp_path):
    (tmp_path / "BTCUSDT-1m.csv").write_text(TEXT)
    (tmp_path / "ETHUSDT-1m.csv").write_text(TEXT.replace("1,2,1,1,3", "1,2,3,1,3"))
    (tmp_path / "SPOT_ETHUSDT-1m.csv").write_text(TEXT)

    out, err, code = _run(tmp_path, "--source", "mine")

    assert code == 1
    assert "ETHUSDT-1m.csv row 1: low must be at most open and close (1), was 3" in err
    assert "SPOT_ETHUSDT-1m.csv: holds spot prices" in err
    assert "2 of 3 files not imported" in err
    assert "BTCUSDT" in out
    assert Candle.objects.filter(series__source="mine").count() == 2


@pytest.mark.parametrize("name", ["nothing-here", "empty"])
def test_a_path_without_files_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()

    _, err, code = _run(tmp_path / name)

    assert code == 1
    assert "is no file and no directory" in err or "holds no .parquet, .csv or .csv.gz file" in err


def test_a_symbol_for_many_files_is_refused(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(TEXT)

    _, err, code = _run(tmp_path, "--symbol", "BTCUSDT", "--timeframe", "1m")

    assert code == 1
    assert "--symbol and --timeframe are for one file, found 2 files" in err
