"""Market data in the admin: what may be changed, what is only shown."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.urls import reverse

from marketdata.admin_readonly import ReadOnlyAdmin
from marketdata.models import Blob, Candle, Feed, FeedHealth, FundingRate, Instrument
from marketdata.models.feeds import FeedKind
from marketdata.services import capture_snapshot, default_specs, ensure_instruments
from tests.marketdata.markets import BTC, T0, make_feed, store, walk

pytestmark = pytest.mark.django_db

READ_ONLY = [
    "marginTier",
    "candleseries",
    "candle",
    "fundingrate",
    "feedhealth",
    "marketsnapshot",
    "blob",
]


@pytest.fixture
def operator(client):
    user = get_user_model().objects.create_superuser("operator", password="x" * 14)
    client.force_login(user)
    return client


@pytest.fixture
def market():
    ensure_instruments(default_specs().values())
    store(walk(30))
    feed = make_feed()
    FundingRate.objects.create(source="test", symbol="BTCUSDT", at=T0, rate="0.0001")
    return capture_snapshot(feed, [BTC], ["1m"], as_of=T0.replace(minute=20), now=T0)


def _url(model, page="changelist", *args):
    return reverse(f"admin:marketdata_{model.lower()}_{page}", args=args)


@pytest.mark.parametrize("model", [*READ_ONLY, "instrument", "feed"])
def test_every_list_opens(operator, market, model):
    assert operator.get(_url(model)).status_code == 200


@pytest.mark.parametrize("model", READ_ONLY)
def test_facts_cannot_be_added(operator, market, model):
    assert operator.get(_url(model, "add")).status_code == 403


def test_facts_are_shown_and_neither_changed_nor_deleted(operator, market):
    candle = Candle.objects.first()

    page = operator.get(_url("candle", "change", candle.pk))
    assert page.status_code == 200
    assert b"_save" not in page.content
    assert operator.post(_url("candle", "change", candle.pk), {"close": "1"}).status_code == 403
    assert operator.post(_url("candle", "delete", candle.pk), {"post": "yes"}).status_code == 403


def test_every_append_only_model_has_a_read_only_page():
    for model, page in admin.site._registry.items():
        if model._meta.app_label == "marketdata" and getattr(model, "append_only", False):
            assert isinstance(page, ReadOnlyAdmin), model


def test_a_snapshot_shows_its_content(operator, market):
    page = operator.get(_url("marketsnapshot", "change", market.snapshot.pk))

    assert b"2025-06-01T00:20:00Z" in page.content


def test_a_blob_is_shown_as_text_and_never_as_markup(operator):
    sha = Blob.objects.put("<script>alert(1)</script>" + "x" * 30_000)

    page = operator.get(_url("blob", "change", sha))

    assert b"&lt;script&gt;alert(1)" in page.content
    assert b"<script>alert(1)" not in page.content
    assert page.content.count(b"x" * 1000) < 25


def _instrument(**changes):
    return {
        "symbol": "NEWUSDT",
        "name": "",
        "asset_class": "CRYPTO",
        "base_asset": "NEW",
        "quote_asset": "USDT",
        "tick_size": "0.01",
        "step_size": "1",
        "min_quantity": "1",
        "max_quantity": "",
        "min_notional": "5",
        "max_leverage": "10",
        "is_enabled": "on",
        **changes,
    }


def test_an_instrument_can_be_added(operator):
    answer = operator.post(_url("instrument", "add"), _instrument())

    assert answer.status_code == 302
    assert Instrument.objects.get().spec().max_quantity is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tick_size": "0"}, b"must be above 0, was 0"),
        ({"step_size": "-1"}, b"must be above 0, was -1"),
        ({"max_quantity": "0.5"}, b"must be at least the smallest (1), was 0.5"),
        ({"min_notional": "-5"}, b"must be at least 0, was -5"),
        ({"max_leverage": "0"}, b"greater than or equal to 1"),
        ({"symbol": "new usdt"}, b"capital letters, digits"),
        ({"max_leverage": "1001"}, b"must be at most 1000, was 1001"),
        ({"tick_size": "NaN"}, b"Enter a number"),
        ({"tick_size": "1e-13"}, b"must have at most 12 decimals, had 13"),
        ({"max_quantity": "1e30"}, b"must be below 1,000,000,000,000"),
        ({"step_size": "0.4"}, b"must be a whole number of steps (0.4), was 1"),
        ({"max_quantity": "10.5"}, b"must be a whole number of steps (1), was 10.5"),
    ],
)
def test_limits_under_which_nothing_trades_are_refused(operator, changes, words):
    page = operator.post(_url("instrument", "add"), _instrument(**changes))

    assert page.status_code == 200
    assert words in page.content
    assert not Instrument.objects.exists()


def _feed(**changes):
    return {
        "slug": "new",
        "name": "New",
        "kind": FeedKind.SYNTHETIC,
        "source": "made",
        "seed": "1",
        "spread_bps": "2",
        "base_url": "",
        **changes,
    }


def test_a_feed_can_be_added(operator):
    assert operator.post(_url("feed", "add"), _feed()).status_code == 302
    assert Feed.objects.get().kind == FeedKind.SYNTHETIC


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": FeedKind.REPLAY, "source": "nothing"}, b"no candles are stored under"),
        ({"base_url": "http://127.0.0.1:1"}, b"is for Binance feeds, this one is SYNTHETIC"),
        ({"kind": FeedKind.BINANCE}, b"is for synthetic markets, this one is BINANCE"),
        (
            {"kind": FeedKind.BINANCE, "seed": "0", "base_url": "https://u:p@example.org"},
            b"must hold no user or password",
        ),
        (
            {"kind": FeedKind.BINANCE, "seed": "0", "base_url": "ftp://example.org"},
            b"must start with https:// or http://",
        ),
        ({"spread_bps": "1001"}, b"must be at most 1000 (10 %), was 1001"),
        ({"source": "my market"}, b"found &#x27; &#x27; at character 3"),
        ({"source": "taken"}, b"the feed other stores other candles under"),
        ({"kind": "ALPACA"}, b"Select a valid choice"),
    ],
)
def test_a_feed_that_cannot_work_is_refused_where_it_was_set_up(operator, changes, words):
    make_feed(FeedKind.SYNTHETIC, slug="other", source="taken", seed=9)

    page = operator.post(_url("feed", "add"), _feed(**changes))

    assert page.status_code == 200
    assert words in page.content
    assert Feed.objects.count() == 1


def test_what_a_used_market_was_made_from_is_frozen(operator, market):
    feed = Feed.objects.get()

    page = operator.post(
        _url("feed", "change", feed.pk),
        {"slug": "test", "name": "Another name", "source": "elsewhere", "base_url": ""},
    )

    feed.refresh_from_db()
    assert page.status_code == 302
    assert (feed.name, feed.source) == ("Another name", "test")


def test_health_is_shown_beside_the_feed(operator):
    feed = make_feed()
    FeedHealth.objects.create(feed=feed, last_error_at=T0, last_error="no answer")

    assert b"2025-06-01 00:00:00 no answer" in operator.get(_url("feed")).content
