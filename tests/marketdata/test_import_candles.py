"""Candle files: what is taken, and what is refused with which words."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from marketdata.models import Candle, CandleSeries
from marketdata.services import CandleFileError, import_candles
from tests.marketdata.markets import T0

pytestmark = pytest.mark.django_db

HEADER = "date,open,high,low,close,volume"
GOOD = [
    "2025-06-01 00:00:00+00:00,100.1,101,99.5,100.5,12.25",
    "2025-06-01 00:01:00+00:00,100.5,100.5,100,100,0",
    "2025-06-01 00:02:00+00:00,100,102,100,101.75,3",
]


def _csv(tmp_path, *rows, name="BTCUSDT-1m.csv", header=HEADER):
    path = tmp_path / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def _closes():
    return [row.close for row in Candle.objects.order_by("open_at")]


def test_a_csv_is_stored_exactly(tmp_path):
    report = import_candles(_csv(tmp_path, *GOOD), source="test")

    assert (report.symbol, str(report.timeframe), report.rows, report.new) == (
        "BTCUSDT",
        "1m",
        3,
        3,
    )
    assert (report.first_open, report.last_open) == (T0, T0 + timedelta(minutes=2))
    assert report.gaps == ()
    assert _closes() == [Decimal("100.5"), Decimal(100), Decimal("101.75")]
    assert str(CandleSeries.objects.get()) == "test BTCUSDT 1m"


def test_twice_is_harmless(tmp_path):
    path = _csv(tmp_path, *GOOD)
    import_candles(path, source="test")

    report = import_candles(path, source="test")

    assert (report.rows, report.new) == (3, 0)
    assert Candle.objects.count() == 3


def test_an_overlapping_file_adds_what_is_new(tmp_path):
    import_candles(_csv(tmp_path, *GOOD[:2]), source="test")

    report = import_candles(_csv(tmp_path, *GOOD[1:]), source="test")

    assert (report.rows, report.new) == (2, 1)
    assert len(_closes()) == 3


def test_a_differing_candle_is_an_error_that_names_both(tmp_path):
    import_candles(_csv(tmp_path, *GOOD), source="test")
    changed = _csv(tmp_path, GOOD[0], GOOD[1].replace(",100,0", ",100.25,0"), GOOD[2])

    with pytest.raises(CandleFileError) as caught:
        import_candles(changed, source="test")

    assert "BTCUSDT-1m.csv row 2: differs" in str(caught.value)
    assert "found 2025-06-01T00:01:00Z,100.5,100.5,100,100.25,0" in str(caught.value)
    assert "stored 2025-06-01T00:01:00Z,100.5,100.5,100,100,0" in str(caught.value)


@pytest.mark.parametrize(
    "times",
    [
        ("2025-06-01T00:00:00Z", "2025-06-01T00:01:00Z"),
        ("2025-06-01 00:00:00", "2025-06-01 00:01:00"),
        ("2025-06-01T02:00:00+02:00", "2025-06-01T02:01:00+02:00"),
        ("1748736000", "1748736060"),
        ("1748736000000", "1748736060000"),
        ("1748736000000000", "1748736060000000"),
        ("1748736000000000000", "1748736060000000000"),
    ],
)
def test_times_are_understood_as_text_or_as_epoch(tmp_path, times):
    rows = [f"{at},1,2,0.5,1,9" for at in times]

    report = import_candles(
        _csv(tmp_path, *rows, header=HEADER.replace("date", "open_time")), source="test"
    )

    assert (report.first_open, report.last_open) == (T0, T0 + timedelta(minutes=1))


def test_gzip_is_read(tmp_path):
    path = tmp_path / "ETHUSDT-1m.csv.gz"
    path.write_bytes(gzip.compress("\n".join([HEADER, *GOOD]).encode()))

    assert import_candles(path, source="test").symbol == "ETHUSDT"


def test_parquet_floats_keep_their_shortest_text(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    opens = [datetime(2025, 6, 1, 0, minute, tzinfo=UTC) for minute in range(3)]
    columns = {
        "date": pa.array(opens, pa.timestamp("ns", tz="UTC")),
        "open": [0.1, 105086.5, 1e-5],
        "high": [0.3, 105086.5, 0.1],
        "low": [0.1, 105000.1, 1e-5],
        "close": [0.1 + 0.2 - 0.1, 105000.1, 0.1],
        "volume": [0.0, 12.345, 1e7],
    }
    path = tmp_path / "DOGEUSDT-1m.parquet"
    pq.write_table(pa.table(columns), path)

    import_candles(path, source="test")

    rows = list(Candle.objects.order_by("open_at"))
    assert [str(row.open) for row in rows] == ["0.1", "105086.5", "0.00001"]
    # The float nearest to 0.1 + 0.2 - 0.1 is 0.20000000000000004, and says so.
    assert str(rows[0].close) == "0.20000000000000004"
    assert f"{rows[2].volume:f}" == "10000000"


def test_gaps_are_told_and_no_error(tmp_path):
    rows = [GOOD[0], GOOD[2], "2025-06-01 00:06:00,101.75,102,101,102,1"]

    report = import_candles(_csv(tmp_path, *rows), source="test")

    minute = timedelta(minutes=1)
    assert [(gap.start, gap.end, gap.missing) for gap in report.gaps] == [
        (T0 + minute, T0 + 2 * minute, 1),
        (T0 + 3 * minute, T0 + 6 * minute, 3),
    ]


def test_symbol_and_timeframe_can_be_given(tmp_path):
    path = _csv(tmp_path, *GOOD[:1], name="export (3).csv")

    report = import_candles(path, source="test", symbol="SOLUSDT", timeframe="1h")

    assert (report.symbol, str(report.timeframe)) == ("SOLUSDT", "1h")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([GOOD[1], GOOD[0]], "row 2: opens at 2025-06-01T00:00:00+00:00, wanted after"),
        ([GOOD[0], GOOD[0]], "row 2: opens at 2025-06-01T00:00:00+00:00 like the row before"),
        (["2025-06-01 00:00:00,1,0.5,0.5,1,1"], "row 1: high must be at least open and close (1)"),
        (["2025-06-01 00:00:00,1,2,1.5,1,1"], "row 1: low must be at most open and close (1)"),
        (["2025-06-01 00:00:00,nan,2,1,1,1"], "row 1: open: a finite number is wanted, was NaN"),
        (["2025-06-01 00:00:00,1,inf,1,1,1"], "row 1: high: a finite number is wanted"),
        (["2025-06-01 00:00:00,0,2,0,1,1"], "row 1: open must be a finite number above 0, was 0"),
        (["2025-06-01 00:00:00,1,2,1,-1,1"], "close must be a finite number above 0, was -1"),
        (["2025-06-01 00:00:00,1,2,1,1,-3"], "volume must be a finite number of at least 0"),
        (["2025-06-01 00:00:00,one,2,1,1,3"], "open: a decimal number is wanted, was 'one'"),
        (["2025-06-01 00:00:00,,2,1,1,3"], "open: a number is wanted, found nothing"),
        (["2025-06-01 00:00:00,1,2"], "low: a number is wanted, found nothing"),
        (["yesterday,1,2,1,1,3"], "row 1: the open time must be ISO 8601 or an epoch time"),
        ([",1,2,1,1,3"], "row 1: the open time must be ISO 8601"),
        (["2025-06-01 00:00:30,1,2,1,1,3"], "row 1: must open on the 1m grid of UTC"),
        ([], "holds no rows"),
    ],
)
def test_a_bad_row_is_named_and_nothing_of_the_file_is_stored(tmp_path, rows, words):
    with pytest.raises(CandleFileError) as caught:
        import_candles(_csv(tmp_path, *rows), source="test")

    assert str(caught.value).startswith("BTCUSDT-1m.csv")
    assert words in str(caught.value)
    assert not Candle.objects.exists()
    assert not CandleSeries.objects.exists()


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("date,open,high,low,close", "no column volume; found date, open, high, low, close"),
        ("when,open,high,low,close,volume", "no column date or open_time or timestamp"),
        ("", "no column date or open_time or timestamp, open, high"),
    ],
)
def test_missing_columns_are_named(tmp_path, header, words):
    with pytest.raises(CandleFileError, match=words):
        import_candles(_csv(tmp_path, *GOOD, header=header), source="test")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SPOT_BTCUSDT-1m.csv", "holds spot prices, the arena trades perpetuals"),
        ("BTCUSDT-2m.csv", "the name does not tell symbol and timeframe"),
        ("prices.csv", "wanted is SYMBOL-TIMEFRAME such as BTCUSDT-1m.parquet"),
    ],
)
def test_a_name_that_does_not_tell_is_refused(tmp_path, name, words):
    with pytest.raises(CandleFileError, match=words):
        import_candles(_csv(tmp_path, *GOOD, name=name), source="test")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("BTCUSDT-1m.parquet", b"PAR1 no parquet at all"),
        ("BTCUSDT-1m.parquet", b""),
        ("BTCUSDT-1m.csv.gz", b"no gzip"),
        (
            "BTCUSDT-1m.csv.gz",
            gzip.compress(b"date,open,high,low,close,volume\n" * 900, mtime=0)[:40],
        ),
        ("BTCUSDT-1m.csv", b"date,open\xff\xfe,high\n"),
    ],
)
def test_a_broken_file_is_said_to_be_unreadable(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(CandleFileError, match=r"BTCUSDT-1m\.\S+: cannot be read"):
        import_candles(path, source="test")


def test_a_period_in_the_name_is_passed_over(tmp_path):
    path = _csv(tmp_path, *GOOD, name="BTCUSDT-1m-2025-06-01_2025-06-30.csv")

    assert import_candles(path, source="test").symbol == "BTCUSDT"


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CandleFileError, match="is no file"):
        import_candles(tmp_path / "BTCUSDT-1m.csv", source="test")


def test_a_fault_in_the_last_row_of_a_large_file_stores_nothing(tmp_path):
    rows = [
        f"{T0 + timedelta(minutes=number):%Y-%m-%d %H:%M:%S},1,2,1,1,1" for number in range(5000)
    ]
    rows[-1] = rows[-1].replace(",1,2,1,1,1", ",1,2,1,3,1")

    with pytest.raises(CandleFileError, match="row 5000: high must be"):
        import_candles(_csv(tmp_path, *rows), source="test")

    assert not Candle.objects.exists()


def test_progress_is_told_in_rows(tmp_path):
    told = []

    import_candles(
        _csv(tmp_path, *GOOD), source="test", on_progress=lambda *done: told.append(done)
    )

    assert told == [(3, 3)]
