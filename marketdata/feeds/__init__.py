"""Sources of market facts behind one protocol; a new kind is one module and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from marketdata.domain.default_instruments import default_specs
from marketdata.feeds.base import FeedError, MarketFeed
from marketdata.models import Feed
from marketdata.models.feeds import FeedKind

__all__ = ["FeedError", "MarketFeed", "default_specs", "open_feed"]

# Imported when first opened: one brings numpy along, another the venue's client.
_CLASSES = {
    FeedKind.REPLAY: "marketdata.feeds.replay:ReplayFeed",
    FeedKind.SYNTHETIC: "marketdata.feeds.synthetic:SyntheticFeed",
    FeedKind.BINANCE: "marketdata.feeds.binance:BinanceFeed",
}


def open_feed(feed: Feed) -> MarketFeed:
    """Return the source that a feed row describes; nothing is asked of it yet."""
    module, _, name = _CLASSES[FeedKind(feed.kind)].partition(":")
    return cast("MarketFeed", getattr(import_module(module), name)(feed))
