"""Freezing the market: what a snapshot holds, and each reason for which it is no good."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from decimal import Decimal

import pytest

from marketdata.domain.facts import Quote
from marketdata.domain.quotes import jump_fault, quote_fault
from marketdata.feeds.replay import ReplayFeed
from marketdata.models import Blob, FeedHealth, MarketSnapshot
from marketdata.models.feeds import FeedKind
from marketdata.selectors import feed_health, latest_snapshot, mark_history, series_coverage
from marketdata.services import capture_snapshot, funding_of, quotes_of
from tests.marketdata.markets import BTC, ETH, T0, candle, flat, make_feed, store, walk

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
NOW = T0 + timedelta(days=400)


def _capture(feed, specs=(BTC,), timeframes=("1m",), *, at=10, **options):
    return capture_snapshot(
        feed, specs, timeframes, as_of=T0 + at * MINUTE, now=NOW, **{"history_from": T0, **options}
    )


def _reasons(captured):
    return [(row["symbol"], row["reason"]) for row in captured.manifest["reasons"]]


def test_a_snapshot_is_its_manifest_under_its_hash():
    store(walk(10))
    feed = make_feed()

    captured = _capture(feed)

    text = Blob.objects.text(captured.snapshot.sha256)
    assert hashlib.sha256(text.encode()).hexdigest() == captured.snapshot.sha256
    assert json.loads(text) == captured.snapshot.content() == captured.manifest
    assert captured.manifest["status"] == captured.snapshot.status == "OK"
    assert captured.manifest["as_of"] == "2025-06-01T00:10:00Z"
    assert captured.manifest["simulated"] is True
    assert "captured" not in text
    assert captured.snapshot.captured_at == NOW


def test_equal_markets_have_equal_snapshots_whatever_else_is_stored():
    store(walk(60), source="plain")
    # The same hour, with more before and after it, and another symbol.
    store(flat(600, start=T0 - 600 * MINUTE), source="rich")
    store([*walk(60), *flat(60, start=T0 + 60 * MINUTE)], source="rich")
    store(flat(60), source="rich", symbol="ETHUSDT")
    plain = make_feed(slug="plain", source="plain")
    rich = make_feed(slug="rich", source="rich", spread_bps=2)

    first = _capture(plain, timeframes=("1m", "15m"), at=45)
    second = _capture(rich, timeframes=("1m", "15m"), at=45)

    assert first.snapshot.sha256 == second.snapshot.sha256
    assert first.snapshot.pk != second.snapshot.pk


def test_the_hash_does_not_depend_on_the_steps_by_which_it_grew():
    store(walk(300), source="one")
    store(walk(300), source="two")
    stepwise, at_once = make_feed(slug="one", source="one"), make_feed(slug="two", source="two")

    for at in (10, 11, 60, 61, 250, 200):
        _capture(stepwise, at=at)

    assert (
        _capture(stepwise, at=299).manifest["series"]
        == _capture(at_once, at=299).manifest["series"]
    )


def test_one_changed_candle_changes_the_hash():
    store(walk(10), source="one")
    changed = walk(10)
    changed[3] = candle(changed[3].open_at, "1004", "1009", "1001", "1004.5")
    store(changed, source="two")

    one = _capture(make_feed(slug="one", source="one")).manifest["series"]
    two = _capture(make_feed(slug="two", source="two")).manifest["series"]

    assert one != two


def test_the_chain_is_the_documented_one():
    store([candle(T0, "1", "2", "0.5", "1.5", volume="3"), candle(T0 + MINUTE, "1.5")])

    series = _capture(make_feed(), at=2).manifest["series"]["BTCUSDT"]["1m"]

    digest = hashlib.sha256(b"series:REPLAY:BTCUSDT:1m:2025-06-01T00:00:00Z").hexdigest()
    for row in ("2025-06-01T00:00:00Z,1,2,0.5,1.5,3", "2025-06-01T00:01:00Z,1.5,1.5,1.5,1.5,10"):
        digest = hashlib.sha256((digest + row).encode()).hexdigest()
    assert series == {"last_open": "2025-06-01T00:01:00Z", "count": 2, "hash": digest}


def test_a_later_spike_changes_nothing():
    store(walk(30), source="calm")
    spike = candle(T0 + 30 * MINUTE, "1000", "900000", "1", "800000")
    store([*walk(30), spike], source="wild")

    calm = _capture(make_feed(slug="calm", source="calm"), timeframes=("1m", "5m"), at=30)
    wild = _capture(make_feed(slug="wild", source="wild"), timeframes=("1m", "5m"), at=30)

    assert calm.snapshot.sha256 == wild.snapshot.sha256


def test_opens_are_there_when_asked_for():
    store(walk(12))
    feed = make_feed(spread_bps=0)

    captured = _capture(feed, with_opens=True)

    # The tenth close is 1010 (index 9: 1002 + 4 * 2), where the next candle opens.
    assert captured.opens["BTCUSDT"].bid == captured.quotes["BTCUSDT"].bid == 1010
    assert quotes_of(captured.manifest, "opens") == captured.opens
    assert "opens" not in _capture(feed, at=11).manifest


def test_quotes_and_funding_read_back_from_the_manifest():
    store(walk(10))
    captured = _capture(make_feed())

    assert quotes_of(captured.snapshot.content()) == captured.quotes
    assert funding_of(captured.snapshot.content()) == {}


def test_indicators_are_text_and_masked():
    store(walk(40))

    values = _capture(make_feed(), at=40).manifest["indicators"]["BTCUSDT"]["1m"]

    assert values["ema50"] is None
    # Closes of indices 20 to 39 sum to 10 * (1023 + 1022) + 4 * 45 = 20630.
    assert values["sma20"] == "1031.5"


def test_a_symbol_without_a_quote_makes_no_data():
    store(walk(10))

    captured = _capture(make_feed(), (BTC, ETH))

    assert captured.snapshot.status == "NO_DATA"
    assert _reasons(captured) == [("ETHUSDT", "NO_QUOTE")]
    assert set(captured.manifest["quotes"]) == {"BTCUSDT"}


def test_a_missing_open_makes_no_data():
    store(walk(10))

    captured = _capture(make_feed(), with_opens=True)

    assert _reasons(captured) == [("BTCUSDT", "NO_OPEN")]


def test_a_feed_that_fails_makes_no_data_and_its_health_tells():
    feed = make_feed(FeedKind.BINANCE, base_url="http://127.0.0.1:9")

    with pytest.raises(RuntimeError, match="never inside a transaction"):
        _capture(feed)

    assert not MarketSnapshot.objects.exists()


def test_health_keeps_the_last_good_and_the_last_bad_word():
    store(walk(10))
    feed = make_feed()
    _capture(feed)
    good = FeedHealth.objects.get()
    assert (good.last_ok_at, good.last_error_at, good.last_error) == (NOW, None, "")

    _capture(feed, (ETH,), at=9)

    bad = feed_health(feed)
    assert (bad.last_ok_at, bad.last_error_at) == (NOW, NOW)
    assert bad.last_error == "ETHUSDT NO_QUOTE: the feed gave no quote"


def test_a_jump_is_taken_when_a_second_look_confirms_it():
    # A stored market answers the same twice: what it holds is what happened.
    store([*flat(10), candle(T0 + 10 * MINUTE, "1500")])
    feed = make_feed()
    _capture(feed, at=10)

    assert _capture(feed, at=11).snapshot.status == "OK"


@pytest.mark.parametrize(
    ("first", "second", "reasons", "mark"),
    [
        # A blip that is gone at the second look: the second answer counts.
        ("1400", "1000", [], "1000"),
        # A move that the second look confirms.
        ("1400", "1420", [], "1420"),
        # Two answers that agree neither with each other nor with what was before.
        ("1400", "2000", [("BTCUSDT", "PRICE_JUMP")], "2000"),
    ],
)
def test_a_jump_is_looked_at_twice(monkeypatch, first, second, reasons, mark):
    store(flat(20))
    feed = make_feed()
    _capture(feed, at=10)
    answers = [first, second]
    monkeypatch.setattr(
        ReplayFeed,
        "quotes",
        lambda self, specs, at: {"BTCUSDT": Quote("BTCUSDT", at, *[Decimal(answers.pop(0))] * 3)},
    )

    captured = _capture(feed, at=11)

    assert answers == []
    assert _reasons(captured) == reasons
    assert captured.quotes["BTCUSDT"].mark == Decimal(mark)


def _quote(bid="99", ask="101", mark="100", age=0):
    at = T0 - timedelta(seconds=age)
    return Quote("BTCUSDT", at, Decimal(bid), Decimal(ask), Decimal(mark))


@pytest.mark.parametrize(
    ("quote", "reason"),
    [
        (_quote(), None),
        (_quote(bid="0"), "PRICE_NOT_POSITIVE"),
        (_quote(mark="-1"), "PRICE_NOT_POSITIVE"),
        (_quote(ask="NaN"), "PRICE_NOT_POSITIVE"),
        (_quote(ask="Infinity"), "PRICE_NOT_POSITIVE"),
        (_quote(bid="101.1"), "BID_ABOVE_ASK"),
        (_quote(bid="101"), None),
        # The middle is 100: 5 % from it is still near, more is far.
        (_quote(mark="105"), None),
        (_quote(mark="105.01"), "MARK_FAR_FROM_QUOTE"),
        (_quote(mark="94.9"), "MARK_FAR_FROM_QUOTE"),
        (_quote(age=10), None),
        (_quote(age=10.5), "QUOTE_TOO_OLD"),
    ],
)
def test_each_fault_of_a_quote_has_its_reason(quote, reason):
    fault = quote_fault(quote, as_of=T0, is_live=True)

    assert (fault.reason if fault else None) == reason


def test_a_replayed_quote_is_never_too_old():
    assert quote_fault(_quote(age=600), as_of=T0, is_live=False) is None


@pytest.mark.parametrize(
    ("mark", "before", "jumps"),
    [
        ("130", "100", False),
        ("130.1", "100", True),
        ("70", "100", False),
        ("69.9", "100", True),
        ("500", None, False),
    ],
)
def test_a_move_of_more_than_30_percent_is_a_jump(mark, before, jumps):
    fault = jump_fault(_quote(mark=mark), None if before is None else Decimal(before))

    assert (fault is not None) is jumps


def test_a_quote_of_nonsense_is_still_listed(monkeypatch):
    store(flat(10))
    nonsense = {"BTCUSDT": Quote("BTCUSDT", T0, Decimal("NaN"), Decimal(1), Decimal("1e99"))}
    monkeypatch.setattr(ReplayFeed, "quotes", lambda *_: dict(nonsense))

    captured = _capture(make_feed())

    assert captured.snapshot.status == "NO_DATA"
    assert captured.manifest["quotes"]["BTCUSDT"]["bid"] == "NaN"
    assert _reasons(captured) == [("BTCUSDT", "PRICE_NOT_POSITIVE")]


def test_the_latest_snapshot_is_that_of_the_latest_market_time():
    store(walk(30))
    feed = make_feed()
    late, early = _capture(feed, at=20), _capture(feed, at=10)
    _capture(feed, (ETH,), at=25)

    assert latest_snapshot(feed) == late.snapshot
    assert latest_snapshot(feed, before=T0 + 20 * MINUTE) == early.snapshot
    assert latest_snapshot(make_feed(slug="other")) is None


def test_the_history_of_marks_is_the_last_closes():
    store(walk(30))
    feed = make_feed()

    # Closes of indices 7, 8 and 9: 1008, 1011, 1010.
    assert mark_history(feed, "BTCUSDT", "1m", until=T0 + 10 * MINUTE, points=3) == [
        Decimal(1008),
        Decimal(1011),
        Decimal(1010),
    ]
    assert mark_history(feed, "ETHUSDT", "1m", until=T0, points=3) == []


def test_coverage_counts_what_is_missing():
    store([*flat(5), *flat(5, start=T0 + 8 * MINUTE)])

    (row,) = series_coverage("test")

    assert (row.count, row.missing) == (10, 3)
    assert (row.first_open, row.last_close) == (T0, T0 + 13 * MINUTE)
    assert series_coverage("another") == []
