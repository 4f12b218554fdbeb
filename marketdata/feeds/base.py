"""What every source of market facts can be asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from marketdata.domain.facts import Candle, Funding, Quote, Timeframe
from marketdata.domain.instruments import InstrumentSpec


class FeedError(Exception):
    """A feed gave no usable answer; ``permanent`` means asking again cannot help.

    ``retry_after`` is the wait in seconds that the source asked for, if it asked for one.
    """

    def __init__(
        self, message: str, *, permanent: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


class MarketFeed(Protocol):
    """A source of market facts, asked by market time. All methods raise :class:`FeedError` when it does not answer.

    ``is_live`` is True where facts exist at wall time alone (a venue); a feed that can be asked for any time is not live.
    Symbols the feed does not know are left out of what it returns.
    """

    is_live: bool

    def quotes(self, specs: Sequence[InstrumentSpec], at: datetime) -> dict[str, Quote]:
        """Return the quotes in force at market time ``at``, on tick; a live feed gives those of now."""
        ...

    def opens(self, specs: Sequence[InstrumentSpec], at: datetime) -> dict[str, Quote]:
        """Return quotes round the open of the shortest candle that starts at ``at``; live feeds refuse."""
        ...

    def candles(self, symbol: str, timeframe: str, *, until: datetime, count: int) -> list[Candle]:
        """Return the last ``count`` candles closed at or before ``until``, oldest first."""
        ...

    def prepare(
        self, symbols: Sequence[str], timeframes: Sequence[str], *, until: datetime, count: int
    ) -> None:
        """Fetch and store, several at a time, what :meth:`candles` will be asked for; stored feeds have nothing to do."""
        ...

    def funding(self, symbols: Sequence[str], at: datetime) -> dict[str, Funding]:
        """Return the latest funding rates announced or settled at ``at``."""
        ...

    def closed_bars(
        self, symbols: Sequence[str], *, after: datetime, until: datetime
    ) -> dict[str, tuple[Timeframe, list[Candle]]]:
        """Return the candles that closed after ``after`` up to ``until``, of each symbol's shortest timeframe, oldest first.

        Symbols without any are left out. For markets that are not live: what a live one did between is seen tick by tick.
        """
        ...

    def settled_funding(
        self, symbols: Sequence[str], *, after: datetime, until: datetime
    ) -> list[Funding]:
        """Return the funding stamps later than ``after``, up to ``until``, that are settled, by time and symbol."""
        ...

    def coverage(self, symbol: str, timeframe: str) -> tuple[datetime, datetime] | None:
        """Return the first open and the last close held; None where there is no limit, or nothing (see :meth:`symbols`)."""
        ...

    def symbols(self, asked: Sequence[str]) -> list[str]:
        """Return those of the symbols asked for that the feed has, in the order asked."""
        ...

    def series_key(self, symbol: str, timeframe: str) -> str:
        """Return a name of the rows behind a series; it changes when earlier rows do, and is never used again."""
        ...
