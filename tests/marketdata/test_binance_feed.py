"""The Binance feed against a server that speaks like Binance, well and ill."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from marketdata.domain.facts import Timeframe
from marketdata.feeds import FeedError, binance_rest, open_feed
from marketdata.models import Candle, CandleSeries, FundingRate
from marketdata.models.feeds import FeedKind
from marketdata.services import capture_snapshot
from tests.fakes.binance_rest import BinanceServer
from tests.marketdata.markets import BTC, ETH, T0, make_feed

pytestmark = pytest.mark.django_db


@pytest.fixture
def server():
    with BinanceServer() as running:
        yield running


@pytest.fixture
def feed(server):
    return open_feed(make_feed(FeedKind.BINANCE, base_url=server.url, source="binance"))


def _now():
    return datetime.now(UTC)


def _klines(server):
    return [query for path, query in server.queries if path == "/fapi/v1/klines"]


def test_quotes_are_bid_ask_and_mark_with_their_own_time(server, feed):
    quotes = feed.quotes([BTC, ETH], T0)

    assert quotes["BTCUSDT"].bid == Decimal("97499.9")
    assert quotes["BTCUSDT"].ask == Decimal("97500.1")
    assert quotes["ETHUSDT"].mark == Decimal(3420)
    assert abs(quotes["BTCUSDT"].at - _now()) < timedelta(seconds=5)
    # All symbols in one request each for the book and the marks.
    assert server.counts["/fapi/v1/ticker/bookTicker"] == 1
    assert server.counts["/fapi/v1/premiumIndex"] == 1


def test_one_symbol_is_asked_alone_and_an_unknown_one_is_left_out(server, feed):
    del server.price["ETHUSDT"]

    assert set(feed.quotes([BTC], T0)) == {"BTCUSDT"}
    assert feed.quotes([ETH], T0) == {}
    assert set(feed.quotes([BTC, ETH], T0)) == {"BTCUSDT"}
    assert feed.quotes([], T0) == {}


def test_funding_comes_with_the_marks(server, feed):
    feed.quotes([BTC, ETH], T0)

    funding = feed.funding(["BTCUSDT"], T0)

    assert funding["BTCUSDT"].rate == Decimal("0.0001")
    assert funding["BTCUSDT"].at.hour % 8 == 0
    assert server.counts["/fapi/v1/premiumIndex"] == 1


def test_only_closed_candles_are_kept(feed):
    now = _now()

    candles = feed.candles("BTCUSDT", "1m", until=now, count=10)

    assert len(candles) in {9, 10}
    assert candles[-1].open_at + timedelta(minutes=1) <= now
    assert Candle.objects.count() == len(candles)
    minute = int(candles[0].open_at.timestamp()) // 60
    # The server opens at 1000 + minute % 500 and closes one above.
    assert candles[0].open == 1000 + minute % 500
    assert candles[0].close == 1001 + minute % 500


def test_a_bar_the_server_has_not_closed_reaches_nobody_though_our_clock_is_ahead(server, feed):
    server.clock_lag = 90
    now = _now()

    candles = feed.candles("BTCUSDT", "1m", until=now, count=10)

    assert candles[-1].open_at + timedelta(minutes=1) <= now - timedelta(seconds=90)


def test_candles_are_fetched_once_and_only_missing_ones_later(server, feed):
    now = Timeframe.M1.floor(_now())
    feed.candles("BTCUSDT", "1m", until=now - timedelta(minutes=3), count=50)
    assert len(_klines(server)) == 1

    feed.candles("BTCUSDT", "1m", until=now - timedelta(minutes=3), count=50)
    assert len(_klines(server)) == 1

    feed.candles("BTCUSDT", "1m", until=now, count=50)
    start = datetime.fromtimestamp(int(_klines(server)[1]["startTime"]) / 1000, tz=UTC)
    assert start == now - timedelta(minutes=3)
    assert CandleSeries.objects.get().revision == 0


def test_a_young_symbol_is_not_asked_for_its_past_again(server, feed):
    now = Timeframe.M1.floor(_now())
    server.listed_at = int((now - timedelta(minutes=20)).timestamp())

    assert len(feed.candles("BTCUSDT", "1m", until=now, count=100)) == 20
    feed.candles("BTCUSDT", "1m", until=now, count=100)

    assert len(_klines(server)) == 1


def test_many_series_are_prepared_at_a_time(server, feed):
    now = _now()

    feed.prepare(["BTCUSDT", "ETHUSDT"], ["1m", "15m", "4h"], until=now, count=250)
    asked = len(_klines(server))
    feed.candles("ETHUSDT", "4h", until=now, count=250)

    assert asked == len(_klines(server)) == 6
    assert CandleSeries.objects.count() == 6


def test_only_trading_symbols_are_known_with_limits_out_of_their_filters(server, feed):
    specs = feed.instruments()

    assert feed.symbols(["BTCUSDT", "OLDUSDT", "NEVERUSDT"]) == ["BTCUSDT"]
    # pricePrecision says 2 digits, the filter says 0.10.
    assert specs["BTCUSDT"].tick == Decimal("0.1")
    assert specs["1000PEPEUSDT"].tick == Decimal("0.0000001")
    assert specs["BTCUSDT"].min_notional == 100
    assert specs["BTCUSDT"].max_quantity == 120
    assert specs["BTCUSDT"].max_leverage == 20
    assert server.counts["/fapi/v1/exchangeInfo"] == 1


def test_a_check_tells_that_it_answers(feed):
    assert 0 < feed.check() < 3


def test_opens_are_not_known_in_advance(feed):
    with pytest.raises(FeedError, match="no opens in advance") as caught:
        feed.opens([BTC], T0)

    assert caught.value.permanent


@pytest.mark.parametrize(
    ("fault", "words", "permanent"),
    [
        ("rate", r"asked to wait 7 s \(HTTP 429\)", False),
        ("ban", r"asked to wait 300 s \(HTTP 418\)", False),
        ("html", "answered HTTP 502 at .*: 502 Bad Gateway", False),
        ("garbage", "answered something that is no JSON", False),
        ("empty", "unknown form|no quote|cannot be read", False),
        ("redirect", "answered HTTP 302", False),
        ("odd", "cannot be read|unknown form", False),
    ],
)
def test_every_fault_is_an_error_that_says_what_was_found(server, feed, fault, words, permanent):
    server.fault = fault

    with pytest.raises(FeedError, match=words) as caught:
        feed.candles("BTCUSDT", "1m", until=_now(), count=3)

    assert caught.value.permanent is permanent
    assert not Candle.objects.exists()


@pytest.mark.parametrize("fault", ["rate", "ban"])
def test_when_told_to_wait_it_asks_no_more(server, feed, fault):
    server.fault = fault
    with pytest.raises(FeedError) as first:
        feed.quotes([BTC], T0)
    asked = sum(server.counts.values())
    server.fault = None

    with pytest.raises(FeedError, match="wants no request for another") as second:
        feed.quotes([BTC], T0)

    assert sum(server.counts.values()) == asked
    assert first.value.retry_after == {"rate": 7, "ban": 300}[fault]
    assert second.value.retry_after <= first.value.retry_after


@pytest.mark.parametrize("fault", ["slow", "drip"])
def test_a_server_that_takes_too_long_is_given_up(server, monkeypatch, fault):
    monkeypatch.setattr(binance_rest, "TOTAL_SECONDS", 0.6)
    server.fault = fault
    feed = open_feed(make_feed(FeedKind.BINANCE, base_url=server.url + "/"))
    started = time.monotonic()

    with pytest.raises(FeedError, match=r"did not answer at http://127.* within .* s: timed out"):
        feed.quotes([BTC], T0)

    assert time.monotonic() - started < 3


def test_a_server_that_is_not_there_is_said_so_at_once():
    feed = open_feed(make_feed(FeedKind.BINANCE, base_url="http://127.0.0.1:9"))

    with pytest.raises(
        FeedError,
        match=r"Binance did not answer at http://127\.0\.0\.1:9 within 3 s: Connection refused",
    ):
        feed.check()


@pytest.mark.django_db(transaction=True)
class TestSnapshots:
    def _capture(self, server, specs=(BTC, ETH), **fields):
        row = make_feed(FeedKind.BINANCE, base_url=server.url, source="binance", **fields)
        now = _now()
        return capture_snapshot(row, specs, ["1m", "15m"], as_of=now, now=now)

    def test_a_live_market_is_frozen(self, server):
        captured = self._capture(server)

        assert captured.manifest["reasons"] == []
        assert captured.manifest["simulated"] is False
        assert captured.manifest["series"]["ETHUSDT"]["15m"]["count"] >= 249
        assert captured.manifest["funding"]["BTCUSDT"]["rate"] == "0.0001"

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda server: setattr(server, "quote_age", 11), "QUOTE_TOO_OLD"),
            (lambda server: setattr(server, "mark_factor", Decimal("1.06")), "MARK_FAR_FROM_QUOTE"),
            (lambda server: server.price.update(BTCUSDT=Decimal("0.1")), "PRICE_NOT_POSITIVE"),
            (lambda server: server.price.pop("BTCUSDT"), "NO_QUOTE"),
        ],
    )
    def test_a_bad_quote_makes_no_data(self, server, change, reason):
        change(server)

        captured = self._capture(server)

        assert captured.snapshot.status == "NO_DATA"
        found = {
            row["reason"] for row in captured.manifest["reasons"] if row["symbol"] == "BTCUSDT"
        }
        assert found == {reason}

    def test_no_answer_makes_no_data_and_the_feed_tells(self, server):
        server.fault = "html"

        captured = self._capture(server)

        reasons = {row["reason"] for row in captured.manifest["reasons"]}
        assert reasons == {"NO_QUOTES", "NO_CANDLES"}
        assert "HTTP 502" in captured.snapshot.feed.health.last_error


def test_settled_funding_is_fetched_and_kept_once(server, feed):
    hour = 3_600_000
    last = server.now_ms() // hour * hour
    # As on the real thing a stamp bears some milliseconds.
    server.stamps = {last - 8 * hour: "0.00010000", last + 3: "-0.00020000"}
    until = _now()

    found = feed.settled_funding(["BTCUSDT"], after=until - timedelta(hours=20), until=until)
    again = feed.settled_funding(["BTCUSDT"], after=found[0].at, until=until)

    assert [rate.rate for rate in found] == [Decimal("0.0001"), Decimal("-0.0002")]
    assert [rate.at.microsecond for rate in found] == [0, 0]
    assert found[0].mark == 97500
    assert again == found[1:]
    assert FundingRate.objects.count() == 2


def test_a_live_market_gives_no_candles_for_what_was_between(feed):
    with pytest.raises(FeedError, match="shown by its quotes") as caught:
        feed.closed_bars(["BTCUSDT"], after=T0, until=_now())
    assert caught.value.permanent
