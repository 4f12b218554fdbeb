"""The invented market: the same for every asker, and like a market."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from marketdata.domain.aggregation import candle_fault
from marketdata.domain.facts import Timeframe
from marketdata.domain.synthetic import (
    character_of,
    minute_candles,
    minute_paths,
    price_in_minute,
    volatility_factor,
)
from marketdata.feeds import FeedError, open_feed
from marketdata.feeds.synthetic import HISTORY
from marketdata.models import Candle, CandleSeries
from marketdata.models.feeds import FeedKind
from tests.marketdata.markets import BTC, ETH, make_feed

FIRST = 29_000_000
NOW = datetime(2026, 3, 4, 12, 34, 56, tzinfo=UTC)


def _candles(symbol, count, *, seed=7, first=FIRST):
    start = character_of(symbol).start
    return list(minute_candles(seed, symbol, first_minute=first, count=count, previous_close=start))


def _returns(symbol, count, seed=7):
    closes = np.array([float(bar.close) for bar in _candles(symbol, count, seed=seed)])
    return np.diff(np.log(closes))


def test_the_same_seed_makes_the_same_market_whatever_the_pieces():
    whole = _candles("BTCUSDT", 300)

    pieces, at, close = [], FIRST, character_of("BTCUSDT").start
    for count in (1, 59, 100, 7, 133):
        part = list(
            minute_candles(7, "BTCUSDT", first_minute=at, count=count, previous_close=close)
        )
        pieces += part
        at, close = at + count, part[-1].close

    assert pieces == whole


def test_a_literal_candle_stays_what_it_was():
    # Known figures: a change of the formula would silently break every season that goes on.
    first = _candles("BTCUSDT", 1)[0]

    assert [str(value) for value in (first.open, first.high, first.low, first.close)] == [
        "97502.2",
        "97542.5",
        "97501.8",
        "97536.5",
    ]


def test_another_seed_makes_another_market():
    assert _candles("BTCUSDT", 5) != _candles("BTCUSDT", 5, seed=8)


def test_every_candle_is_sane_and_on_tick():
    for symbol in ("BTCUSDT", "DOGEUSDT", "SOMETHINGELSE"):
        tick = character_of(symbol).tick
        for bar in _candles(symbol, 500):
            assert candle_fault(bar, Timeframe.M1) is None
            assert bar.close % tick == 0
            assert bar.high % tick == 0


def test_the_price_within_a_minute_walks_from_its_open_to_its_close():
    bar = _candles("ETHUSDT", 1)[0]
    start = character_of("ETHUSDT").start
    prices = [
        price_in_minute(7, "ETHUSDT", minute=FIRST, second=second, previous_close=start)
        for second in range(60)
    ]

    assert (prices[0], prices[-1]) == (bar.open, bar.close)
    assert (max(prices), min(prices)) == (bar.high, bar.low)


def test_symbols_move_together_but_not_alike():
    btc, eth = _returns("BTCUSDT", 5000), _returns("ETHUSDT", 5000)

    assert 0.4 < np.corrcoef(btc, eth)[0, 1] < 0.9


def test_volatility_changes_smoothly():
    minutes = np.arange(FIRST, FIRST + 10_000, dtype=np.uint64)
    factor = volatility_factor(7, minutes)

    assert factor.max() / factor.min() > 2
    assert np.abs(np.diff(factor)).max() < 0.1


def test_prices_jump_now_and_then():
    moves = np.diff(minute_paths(7, "BTCUSDT", np.arange(FIRST, FIRST + 5000, dtype=np.uint64)))
    jumps = np.abs(moves) > 0.0025

    # One minute in 480 and one in 900 carry a jump: some 16 in 5000; a usual second moves by 0.00006.
    assert 5 <= jumps.sum() <= 40


@pytest.mark.django_db
def test_a_day_of_history_is_there_at_once():
    feed = make_feed(FeedKind.SYNTHETIC, source="made", seed=3)

    candles = open_feed(feed).candles("BTCUSDT", "1m", until=NOW, count=2000)

    end = NOW.replace(second=0)
    assert candles[0].open_at == end - HISTORY
    assert candles[-1].open_at == end - timedelta(minutes=1)
    assert len(candles) == 1440


@pytest.mark.django_db
def test_the_market_does_not_depend_on_when_it_was_asked():
    # Two feeds of one seed and one origin: one is asked once, the other every few minutes.
    once = open_feed(make_feed(FeedKind.SYNTHETIC, slug="once", source="once", seed=3))
    often = open_feed(make_feed(FeedKind.SYNTHETIC, slug="often", source="often", seed=3))
    later = NOW + timedelta(minutes=90)

    once.candles("ETHUSDT", "1m", until=NOW, count=1)
    for minutes in (0, 1, 7, 8, 50):
        often.quotes([ETH, BTC], NOW + timedelta(minutes=minutes))

    assert once.candles("ETHUSDT", "1m", until=later, count=1530) == often.candles(
        "ETHUSDT", "1m", until=later, count=1530
    )
    assert once.quotes([ETH], later) == often.quotes([ETH], later)


@pytest.mark.django_db
def test_a_quote_of_the_past_is_the_one_that_was_given_then():
    feed = open_feed(make_feed(FeedKind.SYNTHETIC, source="made", seed=3))
    then = feed.quotes([BTC, ETH], NOW)
    feed.quotes([BTC, ETH], NOW + timedelta(hours=2))

    assert feed.quotes([BTC, ETH], NOW) == then


@pytest.mark.django_db
def test_quotes_move_within_a_minute_and_keep_the_spread():
    feed = open_feed(make_feed(FeedKind.SYNTHETIC, source="made", seed=3, spread_bps=4))
    marks = {feed.quotes([BTC], NOW + timedelta(seconds=s))["BTCUSDT"].mark for s in range(4)}
    quote = feed.quotes([BTC], NOW)["BTCUSDT"]

    assert len(marks) > 1
    # 4 bps of 97,500 is 39.0; each side is put on its tick of 0.1.
    assert Decimal("0.00039") < (quote.ask - quote.bid) / quote.mark < Decimal("0.00041")
    assert quote.bid < quote.mark < quote.ask


@pytest.mark.django_db
def test_opens_are_the_first_price_of_the_minute():
    feed = open_feed(make_feed(FeedKind.SYNTHETIC, source="made", seed=3))
    at = NOW.replace(second=0)

    opened = feed.opens([BTC], at)["BTCUSDT"].mark

    bar = feed.candles("BTCUSDT", "1m", until=at + timedelta(minutes=1), count=1)[0]
    assert (bar.open_at, bar.open) == (at, opened)
    assert feed.opens([BTC], NOW) == {}


@pytest.mark.django_db
def test_nothing_exists_before_the_origin():
    feed = open_feed(make_feed(FeedKind.SYNTHETIC, source="made", seed=3))
    feed.quotes([BTC], NOW)
    before = NOW - HISTORY - timedelta(minutes=5)

    assert feed.quotes([BTC], before) == {}
    assert feed.candles("BTCUSDT", "1m", until=before, count=5) == []


@pytest.mark.django_db
def test_a_clock_years_ahead_is_refused_without_filling_the_disk():
    feed = open_feed(make_feed(FeedKind.SYNTHETIC, source="made", seed=3))
    feed.quotes([BTC], NOW)
    held = Candle.objects.count()

    with pytest.raises(FeedError, match="grows by at most 92 days at once, was asked for 2031"):
        feed.quotes([BTC], NOW.replace(year=2031))

    assert Candle.objects.count() == held


@pytest.mark.django_db
def test_longer_timeframes_are_built_from_the_minutes():
    feed = open_feed(make_feed(FeedKind.SYNTHETIC, source="made", seed=3))

    hours = feed.candles("BTCUSDT", "4h", until=NOW, count=10)

    # From 12:34 the day before: whole bars from 16:00 to 12:00.
    assert [bar.open_at.hour for bar in hours] == [16, 20, 0, 4, 8]
    assert all(before.close != after.close for before, after in pairwise(hours))
    assert CandleSeries.objects.count() == 1
    assert feed.symbols(["BTCUSDT", "ANYUSDT"]) == ["BTCUSDT", "ANYUSDT"]
