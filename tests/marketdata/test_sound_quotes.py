"""Quotes that are acted on at once: what cannot be trusted is left out, and a jump must be told twice."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from marketdata.feeds import open_feed
from marketdata.models.feeds import FeedKind
from marketdata.services import sound_quotes
from tests.fakes.binance_rest import BinanceServer
from tests.marketdata.markets import BTC, ETH, make_feed

pytestmark = pytest.mark.django_db


@pytest.fixture
def server():
    with BinanceServer() as running:
        yield running


def ask(server, known=None):

    feed = open_feed(make_feed(FeedKind.BINANCE, base_url=server.url, source="binance"))
    return sound_quotes(feed, [BTC, ETH], known=known or {}, at=timezone.now())


def test_good_quotes_are_all_there(server):
    assert set(ask(server)) == {"BTCUSDT", "ETHUSDT"}


def test_stale_quotes_are_left_out(server):
    server.quote_age = 11.0

    assert ask(server) == {}


def test_a_mark_far_from_its_quotes_is_left_out(server):
    server.mark_factor = Decimal("1.2")

    assert ask(server) == {}


def test_a_jump_is_asked_about_again_and_taken_when_it_is_told_again(server):
    known = {"BTCUSDT": Decimal(60000), "ETHUSDT": Decimal(3400)}

    assert set(ask(server, known)) == {"BTCUSDT", "ETHUSDT"}
    # The book and the marks of all, then those of the one that jumped.
    assert server.counts["/fapi/v1/premiumIndex"] == 2


def test_a_jump_that_is_gone_when_asked_again_is_left_out(server, monkeypatch):
    prices = iter([Decimal(97500), Decimal(60000)])
    feed = open_feed(make_feed(FeedKind.BINANCE, base_url=server.url, source="binance"))
    told = feed.quotes

    def flickering(specs, at):
        server.price["BTCUSDT"] = next(prices)
        return told(specs, at)

    monkeypatch.setattr(feed, "quotes", flickering)

    quotes = sound_quotes(feed, [BTC, ETH], known={"BTCUSDT": Decimal(60000)}, at=timezone.now())
    assert set(quotes) == {"ETHUSDT"}
    assert quotes["ETHUSDT"].at > timezone.now() - timedelta(seconds=10)
