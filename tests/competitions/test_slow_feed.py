"""A venue that hangs: seasons on other feeds are acted on and watched as if it were not there."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from agents.domain.baselines import BASELINES
from competitions.models import Competition
from competitions.models.competitions import ClockKind, FillRule
from competitions.services.advancing import advance_live
from competitions.services.driving import drive
from competitions.services.feeding import watch_feeds
from marketdata.models import Feed
from marketdata.models.feeds import FeedKind
from tests.builders import baselines, make_season, make_synthetic_feed, start_season
from tests.fakes.binance_rest import BinanceServer
from trading.models import Fill, Position

pytestmark = pytest.mark.usefixtures("threads_database")

BUY = {"action": "open_long", "symbol": "BTCUSDT", "margin_fraction": "0.1", "stop_loss": "1"}
# As one turn of the feed's process may take; a hanging venue is given up after ten.
SECONDS = 2


@pytest.fixture(autouse=True)
def buying_cash(monkeypatch: pytest.MonkeyPatch) -> None:
    said = json.dumps({"summary": "One order.", "instructions": [BUY]})
    monkeypatch.setitem(BASELINES, "cash", lambda context: said)


def holding_season(slug: str, seed: int) -> Competition:
    """Return a running season on a synthetic feed of its own in which a position is held, with a stop above any price."""
    season = make_season(
        slug,
        make_synthetic_feed(seed),
        baselines("cash"),
        symbols=["BTCUSDT"],
        clock=ClockKind.WALL,
        fill_rule=FillRule.ARRIVAL,
        starts_at=None,
        interval_seconds=4,
        deadline_seconds=4,
        acts_between_rounds=True,
        resting_orders=True,
    )
    season = start_season(season)
    list(drive(season, rounds=1))
    held = Position.objects.open().get(account__book=season.book)
    Position.objects.filter(pk=held.pk).update(stop_loss=held.average_entry * 2)
    return season


def test_a_stop_acts_while_another_feed_hangs():
    slow, quick = holding_season("slow", 7), holding_season("quick", 8)
    with BinanceServer() as server:
        server.fault = "slow"
        Feed.objects.filter(pk=slow.feed_id).update(kind=FeedKind.BINANCE, base_url=server.url)
        began = time.monotonic()

        assert advance_live(now=timezone.now()) == 1
        assert Fill.objects.filter(by_market=True).get().account.book_id == quick.book_id
        # It is being asked still, and is not asked twice at once.
        assert advance_live(now=timezone.now()) <= 1
        # Both are due to be watched again by then.
        assert watch_feeds(now=timezone.now() + timedelta(seconds=10)) == 1
        assert time.monotonic() - began < SECONDS
        assert sum(server.counts.values()) <= 4

        server.fault = None
        wait_until_given_up()


def wait_until_given_up() -> None:
    """Wait for the threads that a hanging venue keeps, so that they are over before the test's tables are."""
    from competitions.services import advancing, feeding

    for beside in (advancing._venues, feeding._venues):
        for job in beside._under_way.values():
            job.result(30)
