"""Asking feeds how they are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from marketdata.domain.instruments import InstrumentSpec
from marketdata.feeds import FeedError, open_feed
from marketdata.models import Feed, FeedHealth

logger = logging.getLogger(__name__)

MAX_ERROR = 300


def watch_feed(
    feed: Feed, specs: Sequence[InstrumentSpec], *, now: datetime, every_seconds: float
) -> bool:
    """Ask a feed for its quotes unless it was heard of less than ``every_seconds`` ago, and keep what it said as its health.

    Return whether it was asked. Network inside.
    """
    health, _ = FeedHealth.objects.get_or_create(feed=feed)
    heard = max((at for at in (health.last_ok_at, health.last_error_at) if at), default=None)
    if heard is not None and (now - heard).total_seconds() < every_seconds:
        return False
    try:
        quotes = open_feed(feed).quotes(specs, now)
    except FeedError as error:
        logger.warning("feed does not answer feed=%s: %s", feed.slug, error)
        _note_error(feed, str(error), now=now)
        return True
    missing = [spec.symbol for spec in specs if spec.symbol not in quotes]
    if missing:
        _note_error(feed, f"no quote of {', '.join(missing)}", now=now)
    else:
        FeedHealth.objects.filter(feed=feed).update(last_ok_at=now)
    return True


def _note_error(feed: Feed, message: str, *, now: datetime) -> None:
    FeedHealth.objects.filter(feed=feed).update(last_error_at=now, last_error=message[:MAX_ERROR])
