"""Watching the feeds of running seasons between rounds, so that a silent one is known before the next slot."""

from __future__ import annotations

import logging
from datetime import datetime

from competitions.models import Competition
from competitions.models.competitions import ClockKind
from competitions.services.market import contract_of
from marketdata.services.watching import watch_feed

logger = logging.getLogger(__name__)

WATCH_SECONDS = 5


def watch_feeds(*, now: datetime) -> int:
    """Ask each feed of a running wall-clock season for its quotes, at most every five seconds; return how many were asked.

    Network inside. The outcome is kept on the feed's health, which the pages and the console read.
    """
    asked = 0
    seen: set[object] = set()
    running = Competition.objects.running().filter(clock=ClockKind.WALL).select_related("feed")
    for competition in running:
        if competition.feed_id in seen:
            continue
        seen.add(competition.feed_id)
        specs = contract_of(competition).rules.instruments
        if watch_feed(competition.feed, specs, now=now, every_seconds=WATCH_SECONDS):
            asked += 1
    return asked
