"""A replay answers for an instant as if it were now."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from marketdata.domain.facts import Timeframe
from marketdata.feeds import open_feed
from marketdata.models import FundingRate
from tests.marketdata.markets import BTC, ETH, T0, candle, flat, make_feed, store, walk

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def _feed(**fields):
    return open_feed(make_feed(**fields))


def test_a_quote_is_the_last_close_with_the_spread_round_it():
    store([candle(T0, "1000", "1010", "990", "1000.5")])

    quote = _feed(spread_bps=10).quotes([BTC], T0 + MINUTE)["BTCUSDT"]

    # Half of 10 bps of 1000.5 is 0.50025: 999.99975 and 1001.00025, put on ticks of 0.1 against the taker.
    assert (quote.bid, quote.ask, quote.mark) == (
        Decimal("999.9"),
        Decimal("1001.1"),
        Decimal("1000.5"),
    )
    assert quote.at == T0 + MINUTE


def test_a_candle_still_open_is_not_seen():
    store([candle(T0, "1000"), candle(T0 + MINUTE, "9999")])
    feed = _feed()

    # One second before the second candle closes.
    at = T0 + 2 * MINUTE - timedelta(seconds=1)

    assert feed.quotes([BTC], at)["BTCUSDT"].mark == 1000
    assert [bar.close for bar in feed.candles("BTCUSDT", "1m", until=at, count=9)] == [1000]
    assert feed.quotes([BTC], T0 + 2 * MINUTE)["BTCUSDT"].mark == 9999


def test_nothing_asked_for_any_past_instant_depends_on_what_came_later():
    candles = walk(90)
    spike = candle(T0 + 90 * MINUTE, "1000", "500000", "1", "400000")
    store(candles, source="before")
    store([*candles, spike], source="after")
    before, after = _feed(slug="a", source="before"), _feed(slug="b", source="after")

    for minutes in (1, 15, 37, 60, 90):
        at = T0 + minutes * MINUTE
        assert before.quotes([BTC], at) == after.quotes([BTC], at)
        for timeframe in ("1m", "5m", "15m", "1h"):
            assert before.candles("BTCUSDT", timeframe, until=at, count=100) == after.candles(
                "BTCUSDT", timeframe, until=at, count=100
            )


def test_the_last_candles_come_oldest_first_across_pages():
    # More than one page of 256.
    candles = walk(700)
    store(candles)

    assert _feed().candles("BTCUSDT", "1m", until=T0 + 650 * MINUTE, count=600) == candles[50:650]


def test_candles_stored_later_are_found_by_the_same_process():
    candles = walk(300)
    store(candles[:100])
    feed = _feed()
    assert len(feed.candles("BTCUSDT", "5m", until=T0 + 300 * MINUTE, count=99)) == 20

    store(candles[100:])
    assert len(feed.candles("BTCUSDT", "5m", until=T0 + 300 * MINUTE, count=99)) == 60

    store(walk(60, start=T0 - 60 * MINUTE))
    assert len(feed.candles("BTCUSDT", "5m", until=T0 + 300 * MINUTE, count=99)) == 72


def test_a_stored_timeframe_is_read_and_a_missing_one_built_from_the_shortest():
    store(walk(60))
    store([candle(T0, "7")], timeframe="15m")
    feed = _feed()
    end = T0 + 60 * MINUTE

    assert [bar.close for bar in feed.candles("BTCUSDT", "15m", until=end, count=9)] == [7]
    # Closes of walk: 1003, 1002, 1005, ...; the 30th is 1030, the 60th 1060.
    assert [bar.close for bar in feed.candles("BTCUSDT", "1h", until=end, count=9)] == [1060]


def test_a_timeframe_shorter_than_any_stored_is_empty():
    store([candle(T0, "7")], timeframe="15m")

    assert _feed().candles("BTCUSDT", "5m", until=T0 + 60 * MINUTE, count=9) == []


def test_quotes_come_from_the_shortest_timeframe():
    store([candle(T0, "500")], timeframe="15m")
    store(flat(15, price="400"))

    assert _feed().quotes([BTC], T0 + 15 * MINUTE)["BTCUSDT"].mark == 400


def test_opens_are_those_of_the_candle_that_starts():
    store([candle(T0, "1000"), candle(T0 + MINUTE, "1234", "1300", "1200", "1250")])
    feed = _feed(spread_bps=0)

    assert feed.opens([BTC, ETH], T0 + MINUTE)["BTCUSDT"].bid == 1234
    assert feed.opens([BTC], T0 + 2 * MINUTE) == {}
    assert feed.opens([BTC], T0 + timedelta(seconds=30)) == {}


def test_a_symbol_without_candles_is_left_out():
    store(flat(3))

    assert set(_feed().quotes([BTC, ETH], T0 + 3 * MINUTE)) == {"BTCUSDT"}
    assert _feed(slug="again").symbols(["ETHUSDT", "BTCUSDT"]) == ["BTCUSDT"]


def test_a_price_is_in_force_for_five_missing_bars_and_no_longer():
    store([candle(T0, "1000"), candle(T0 + 20 * MINUTE, "1100")])
    feed = _feed()

    # The first bar closes at minute 1.
    assert feed.quotes([BTC], T0 + 6 * MINUTE)["BTCUSDT"].mark == 1000
    assert feed.quotes([BTC], T0 + 7 * MINUTE) == {}
    assert feed.quotes([BTC], T0 + 21 * MINUTE)["BTCUSDT"].mark == 1100


def test_coverage_tells_the_whole_bars_held():
    store(walk(100, start=T0 + 7 * MINUTE))
    feed = _feed()

    assert feed.coverage("BTCUSDT", "1m") == (T0 + 7 * MINUTE, T0 + 107 * MINUTE)
    assert feed.coverage("BTCUSDT", "15m") == (T0 + 15 * MINUTE, T0 + 105 * MINUTE)
    assert feed.coverage("BTCUSDT", "1d") is None
    assert feed.coverage("ETHUSDT", "1m") is None


def test_funding_is_the_last_settled_one():
    for hours, rate in ((0, "0.0001"), (8, "0.0002"), (16, "0.0003")):
        FundingRate.objects.create(
            source="test", symbol="BTCUSDT", at=T0 + timedelta(hours=hours), rate=Decimal(rate)
        )
    feed = _feed()

    funding = feed.funding(["BTCUSDT", "ETHUSDT"], T0 + timedelta(hours=15))

    assert list(funding) == ["BTCUSDT"]
    assert funding["BTCUSDT"].rate == Decimal("0.0002")
    assert feed.funding(["BTCUSDT"], T0 - MINUTE) == {}


def test_the_key_of_a_series_changes_when_its_past_does():
    store(walk(10))
    feed = _feed()
    key = feed.series_key("BTCUSDT", "5m")

    store(walk(5, start=T0 + 10 * MINUTE))
    assert feed.series_key("BTCUSDT", "5m") == key

    store(walk(5, start=T0 - 5 * MINUTE))
    assert feed.series_key("BTCUSDT", "5m") != key


def test_a_round_of_questions_costs_few_queries(django_assert_max_num_queries):
    store(walk(600))
    feed = _feed()
    feed.candles("BTCUSDT", "15m", until=T0 + 600 * MINUTE, count=40)

    # Pages in memory: only where the series end is asked again.
    with django_assert_max_num_queries(3):
        feed.candles("BTCUSDT", "15m", until=T0 + 585 * MINUTE, count=39)
        feed.candles("BTCUSDT", "15m", until=T0 + 600 * MINUTE, count=40)
    assert Timeframe.M15.seconds == 900


def test_closed_bars_are_those_that_closed_after_one_instant_up_to_another():
    store([candle(T0 + place * MINUTE, str(1000 + place)) for place in range(5)])
    feed = _feed()

    timeframe, bars = feed.closed_bars(["BTCUSDT"], after=T0 + MINUTE, until=T0 + 3 * MINUTE)[
        "BTCUSDT"
    ]

    assert timeframe == Timeframe.M1
    assert [bar.open for bar in bars] == [1001, 1002]
    # From within a candle on: it closes after that.
    within = T0 + 90 * timedelta(seconds=1)
    (_, bars) = feed.closed_bars(["BTCUSDT"], after=within, until=T0 + 2 * MINUTE)["BTCUSDT"]
    assert [bar.open for bar in bars] == [1001]
    assert feed.closed_bars(["BTCUSDT"], after=T0 + 5 * MINUTE, until=T0 + 9 * MINUTE) == {}


def test_settled_funding_is_by_time_and_symbol_and_not_told_twice():
    for minutes, symbol in ((2, "ETHUSDT"), (2, "BTCUSDT"), (1, "BTCUSDT"), (3, "BTCUSDT")):
        FundingRate.objects.create(
            source="walk", symbol=symbol, at=T0 + minutes * MINUTE, rate=Decimal("0.0001")
        )
    feed = _feed(source="walk")

    found = feed.settled_funding(["BTCUSDT", "ETHUSDT"], after=T0 + MINUTE, until=T0 + 2 * MINUTE)

    assert [(rate.symbol, rate.at) for rate in found] == [
        ("BTCUSDT", T0 + 2 * MINUTE),
        ("ETHUSDT", T0 + 2 * MINUTE),
    ]
