"""The market as it was last seen: for pages, price strips and the next capture."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from marketdata.domain.facts import Timeframe
from marketdata.models import Feed, FeedHealth, MarketSnapshot
from marketdata.models.snapshots import SnapshotStatus
from marketdata.selectors.series import base_for, last_closed, stored_series


def latest_snapshot(feed: Feed, *, before: datetime | None = None) -> MarketSnapshot | None:
    """Return the feed's last complete snapshot by market time (of those before an instant), or None."""
    snapshots = MarketSnapshot.objects.filter(feed=feed, status=SnapshotStatus.OK)
    if before is not None:
        snapshots = snapshots.filter(as_of__lt=before)
    return snapshots.order_by("-as_of", "-captured_at").first()


def mark_history(
    feed: Feed, symbol: str, timeframe: str, *, until: datetime, points: int
) -> list[Decimal]:
    """Return the last closes up to ``until``, oldest first, at most ``points``: what a sparkline draws."""
    base = base_for(stored_series(feed.source, [symbol]).get(symbol, []), Timeframe(timeframe))
    if base is None:
        return []
    candles = last_closed(base, Timeframe(timeframe), until=until, count=points)
    return [candle.close for candle in candles]


def feed_health(feed: Feed) -> FeedHealth | None:
    """Return the last good and bad word from a feed; None when it was never asked."""
    return FeedHealth.objects.filter(feed=feed).first()
