"""Market facts as values: candles, quotes, funding; and the timeframes they come in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class Timeframe(StrEnum):
    """The length of a candle; ``seconds`` and ``delta`` tell it in units."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    H1 = "1h"
    H4 = "4h"
    D1 = "1d"

    @property
    def seconds(self) -> int:
        return int(self.value[:-1]) * {"m": 60, "h": 3600, "d": 86400}[self.value[-1]]

    @property
    def delta(self) -> timedelta:
        return timedelta(seconds=self.seconds)

    def floor(self, at: datetime) -> datetime:
        """Return the open time of the candle that contains ``at`` (UTC grid since the epoch)."""
        return floor_time(at, self.seconds)


def floor_time(at: datetime, seconds: int) -> datetime:
    """Return the last instant of the UTC grid of ``seconds`` that is not after ``at``."""
    stamp = int(at.timestamp())
    return datetime.fromtimestamp(stamp - stamp % seconds, tz=UTC)


@dataclass(frozen=True, slots=True)
class Candle:
    """One bar; ``open_at`` is its first instant, UTC. Prices in quote currency, ``volume`` in base units."""

    open_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """The best bid and ask of a symbol at one instant, with the mark price (used for margin and unrealised profit)."""

    symbol: str
    at: datetime
    bid: Decimal
    ask: Decimal
    mark: Decimal


@dataclass(frozen=True, slots=True)
class Funding:
    """A settled or announced funding rate: a fraction of notional, paid by longs when positive."""

    symbol: str
    at: datetime
    rate: Decimal
    mark: Decimal | None = None
