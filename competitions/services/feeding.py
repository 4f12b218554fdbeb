"""Watching the feeds of running seasons between rounds, so that a silent one is known before the next slot."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from competitions.models import Competition
from competitions.models.competitions import ClockKind
from competitions.services.beside import Beside
from competitions.services.market import contract_of
from marketdata.services.watching import watch_feed

WATCH_SECONDS = 5


def watch_feeds(*, now: datetime) -> int:
    """Ask each feed of a running wall-clock season for its quotes, at most every five seconds; return how many were asked.

    Network inside; of a venue that takes long it is not awaited, and not counted. The outcome is kept on the feed's health, which the
    pages and the console read.
    """
    running = Competition.objects.running().filter(clock=ClockKind.WALL).select_related("feed")
    seasons = {competition.feed_id: competition for competition in running}
    own = [season for season in seasons.values() if season.feed.is_simulated]
    started = _venues.start(
        {
            season.feed.slug: partial(_watch, season, now)
            for season in seasons.values()
            if season not in own
        }
    )
    return sum(_watch(season, now) for season in own) + _venues.finish(started)


def _watch(competition: Competition, now: datetime) -> int:
    specs = contract_of(competition).rules.instruments
    return watch_feed(competition.feed, specs, now=now, every_seconds=WATCH_SECONDS)


_venues = Beside()
