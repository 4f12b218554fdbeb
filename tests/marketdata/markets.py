"""Small markets for tests: stored candles, feeds and specs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from marketdata.domain.facts import Candle, Timeframe
from marketdata.domain.instruments import InstrumentSpec
from marketdata.models import Candle as CandleRow
from marketdata.models import CandleSeries, Feed
from marketdata.models.feeds import FeedKind

T0 = datetime(2025, 6, 1, tzinfo=UTC)

BTC = InstrumentSpec(
    symbol="BTCUSDT",
    tick=Decimal("0.1"),
    step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    min_notional=Decimal(100),
    max_leverage=20,
    base_asset="BTC",
)
ETH = InstrumentSpec(
    symbol="ETHUSDT",
    tick=Decimal("0.01"),
    step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    min_notional=Decimal(20),
    max_leverage=20,
    base_asset="ETH",
)


def candle(open_at: datetime, *prices: str, volume: str = "10") -> Candle:
    """Return a candle of (open, high, low, close), or of one price for all four."""
    values = [Decimal(price) for price in (prices * 4 if len(prices) == 1 else prices)]
    return Candle(open_at, *values, Decimal(volume))


def flat(count: int, *, price: str = "1000", start: datetime = T0) -> list[Candle]:
    """Return ``count`` one-minute candles that do not move."""
    return [candle(start + timedelta(minutes=i), price) for i in range(count)]


def walk(count: int, *, start: datetime = T0, base: int = 1000) -> list[Candle]:
    """Return one-minute candles that go up three and down one, again and again."""
    out, price = [], base
    for i in range(count):
        close = price + (3 if i % 2 == 0 else -1)
        top, bottom = max(price, close) + 1, min(price, close) - 1
        at = start + timedelta(minutes=i)
        out.append(candle(at, str(price), str(top), str(bottom), str(close), volume=str(5 + i % 7)))
        price = close
    return out


def store(
    candles: Sequence[Candle],
    *,
    symbol: str = "BTCUSDT",
    timeframe: str = Timeframe.M1,
    source: str = "test",
) -> CandleSeries:
    series, _ = CandleSeries.objects.get_or_create(
        source=source, symbol=symbol, timeframe=timeframe
    )
    CandleRow.objects.store(series, candles)
    return series


def make_feed(kind: str = FeedKind.REPLAY, *, slug: str = "test", **fields: object) -> Feed:
    return Feed.objects.create(
        slug=slug, name=slug, kind=kind, source=fields.pop("source", "test"), **fields
    )
