"""Tables of market facts and of the large texts that everything else points at."""

from __future__ import annotations

from marketdata.models.blobs import Blob
from marketdata.models.candles import Candle, CandleSeries, FundingRate
from marketdata.models.feeds import Feed, FeedHealth
from marketdata.models.instruments import Instrument, MarginTier
from marketdata.models.snapshots import MarketSnapshot

__all__ = [
    "Blob",
    "Candle",
    "CandleSeries",
    "Feed",
    "FeedHealth",
    "FundingRate",
    "Instrument",
    "MarginTier",
    "MarketSnapshot",
]
