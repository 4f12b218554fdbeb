"""Binance USD-M perpetuals: quotes and marks of now, candles and funding rates, all public."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings

from marketdata.domain.aggregation import candle_fault
from marketdata.domain.canonical import parse_decimal
from marketdata.domain.facts import Candle, Funding, Quote, Timeframe
from marketdata.domain.instruments import InstrumentSpec
from marketdata.feeds.base import FeedError
from marketdata.feeds.binance_rest import BinanceRest, rest_at
from marketdata.feeds.stored import (
    base_of,
    store_funding,
    stored_candles,
    stored_key,
    stored_stamps,
)
from marketdata.models import Candle as CandleRow
from marketdata.models import CandleSeries, Feed
from marketdata.selectors.series import last_closed

# Further back than this nothing is fetched, however many candles are asked for.
MAX_FETCH = 250
_KLINES_LIMIT = 1000
_PARALLEL = 6
_INSTRUMENTS_SECONDS = 600.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Candles to fetch: those that open at ``start`` or later and closed by ``end``."""

    symbol: str
    timeframe: Timeframe
    start: datetime
    end: datetime


class BinanceFeed:
    """Asks Binance's public interface; closed candles are stored once under the feed's source and only missing ones fetched."""

    is_live = True

    def __init__(self, feed: Feed) -> None:
        base_url = (feed.base_url or settings.BINANCE_FAPI_BASE_URL).rstrip("/")
        self._rest = rest_at(base_url)
        self._source = feed.source
        # The answer to the last quotes(): marks and funding come together.
        self._premiums: list[dict[str, Any]] | None = None

    def check(self) -> float:
        """Return the seconds a ping took; raise FeedError when Binance does not answer within 3 s."""
        return self._rest.check()

    def quotes(self, specs: Sequence[InstrumentSpec], at: datetime) -> dict[str, Quote]:
        """Return the quotes of now with their own time stamps; ``at`` cannot be chosen."""
        if not specs:
            return {}
        only = specs[0].symbol if len(specs) == 1 else None
        books = {row.get("symbol"): row for row in self._rest.book_tickers(only)}
        self._premiums = self._rest.premium_index(only)
        premiums = {row.get("symbol"): row for row in self._premiums}
        return {
            spec.symbol: _quote(spec.symbol, books[spec.symbol], premiums[spec.symbol])
            for spec in specs
            if spec.symbol in books and spec.symbol in premiums
        }

    def opens(self, specs: Sequence[InstrumentSpec], at: datetime) -> dict[str, Quote]:
        """Refuse: the open of a bar that starts now is only known once it has started."""
        raise FeedError("a live market gives no opens in advance", permanent=True)

    def candles(self, symbol: str, timeframe: str, *, until: datetime, count: int) -> list[Candle]:
        self.prepare([symbol], [timeframe], until=until, count=count)
        return stored_candles(self._source, symbol, timeframe, until=until, count=count)

    def prepare(
        self, symbols: Sequence[str], timeframes: Sequence[str], *, until: datetime, count: int
    ) -> None:
        """Fetch the missing ones of the last ``count`` candles (at most 250) of each series, six at a time, and store them."""
        wanted = [
            item
            for symbol in symbols
            for timeframe in timeframes
            if (item := self._missing(symbol, Timeframe(timeframe), until, min(count, MAX_FETCH)))
        ]
        if not wanted:
            return
        # By the server's clock: ours may be ahead, and a bar still open must reach nobody.
        server_now = _time(self._rest.server_time_ms())
        with ThreadPoolExecutor(max_workers=min(_PARALLEL, len(wanted))) as pool:
            fetched = list(pool.map(lambda item: _fetch(self._rest, item), wanted))
        for item, candles in zip(wanted, fetched, strict=True):
            closed = [bar for bar in candles if bar.open_at + item.timeframe.delta <= server_now]
            self._keep(item, closed)

    def funding(self, symbols: Sequence[str], at: datetime) -> dict[str, Funding]:
        """Return the rates announced for the next stamp."""
        rows = self._premiums if self._premiums is not None else self._rest.premium_index()
        found = (_funding(row) for row in rows if row.get("symbol") in symbols)
        return {rate.symbol: rate for rate in found if rate}

    def closed_bars(
        self, symbols: Sequence[str], *, after: datetime, until: datetime
    ) -> dict[str, tuple[Timeframe, list[Candle]]]:
        """Refuse: a live market is seen tick by tick."""
        raise FeedError("a live market is shown by its quotes, not by candles", permanent=True)

    def settled_funding(
        self, symbols: Sequence[str], *, after: datetime, until: datetime
    ) -> list[Funding]:
        """Ask for the settled rates, one request a symbol, and keep them; what is kept already is kept once."""
        start_ms, end_ms = (int(at.timestamp() * 1000) for at in (after, until))
        for symbol in symbols:
            rows = self._rest.funding_rates(symbol, start_ms=start_ms + 1, end_ms=end_ms)
            store_funding(self._source, [_settled(row) for row in rows])
        return stored_stamps(self._source, symbols, after=after, until=until)

    def coverage(self, symbol: str, timeframe: str) -> tuple[datetime, datetime] | None:
        """Return None: what is missing is fetched."""
        return None

    def symbols(self, asked: Sequence[str]) -> list[str]:
        """Return those that are trading now."""
        trading = self.instruments()
        return [symbol for symbol in asked if symbol in trading]

    def instruments(self) -> dict[str, InstrumentSpec]:
        """Return the limits of all trading symbols by name; asked again after ten minutes."""
        return _instruments.get(self._rest)

    def series_key(self, symbol: str, timeframe: str) -> str:
        return stored_key(self._source, symbol, timeframe)

    def _missing(
        self, symbol: str, timeframe: Timeframe, until: datetime, count: int
    ) -> _Wanted | None:
        end = timeframe.floor(until)
        start = max(end - count * timeframe.delta, _first_known.get(self._key(symbol, timeframe)))
        base = base_of(self._source, symbol, timeframe)
        held: set[datetime] = set()
        if base is not None and base.timeframe == timeframe:
            held = {bar.open_at for bar in last_closed(base, timeframe, until=end, count=count)}
        while start < end and start in held:
            start += timeframe.delta
        return _Wanted(symbol, timeframe, start, end) if start < end else None

    def _keep(self, item: _Wanted, candles: list[Candle]) -> None:
        if not candles:
            return
        row, _ = CandleSeries.objects.get_or_create(
            source=self._source, symbol=item.symbol, timeframe=item.timeframe
        )
        CandleRow.objects.store(row, candles)
        if candles[0].open_at > item.start:
            # Asked from earlier on, nothing there: a symbol as young as that.
            _first_known.put(self._key(item.symbol, item.timeframe), candles[0].open_at)

    def _key(self, symbol: str, timeframe: Timeframe) -> tuple[str, str, str]:
        return (self._rest.base_url, symbol, str(timeframe))


class _FirstKnown:
    """From when on a series exists at all, as far as this process found out."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str, str], datetime] = {}

    def get(self, key: tuple[str, str, str]) -> datetime:
        return self._first.get(key, _EPOCH)

    def put(self, key: tuple[str, str, str], at: datetime) -> None:
        self._first[key] = at


class _Instruments:
    """The exchange's list of symbols, some hundred kilobytes, kept for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, tuple[float, dict[str, InstrumentSpec]]] = {}

    def get(self, rest: BinanceRest) -> dict[str, InstrumentSpec]:
        with self._lock:
            asked_at, specs = self._found.get(rest.base_url, (0.0, {}))
        if specs and time.monotonic() - asked_at < _INSTRUMENTS_SECONDS:
            return specs
        specs = dict(_specs(rest.exchange_info()))
        with self._lock:
            self._found[rest.base_url] = (time.monotonic(), specs)
        return specs


_first_known = _FirstKnown()
_instruments = _Instruments()


def _time(milliseconds: Any) -> datetime:
    return _EPOCH + timedelta(milliseconds=int(milliseconds))


def _unreadable(what: str, row: Any, error: Exception) -> FeedError:
    return FeedError(f"Binance's {what} cannot be read ({error!r}): {row!r:.160}")


def _quote(symbol: str, book: dict[str, Any], premium: dict[str, Any]) -> Quote:
    try:
        return Quote(
            symbol=symbol,
            # As old as the older of the two.
            at=min(_time(book["time"]), _time(premium["time"])),
            bid=parse_decimal(str(book["bidPrice"])),
            ask=parse_decimal(str(book["askPrice"])),
            mark=parse_decimal(str(premium["markPrice"])),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _unreadable("quote", [book, premium], error) from error


def _funding(row: dict[str, Any]) -> Funding | None:
    try:
        stamp = int(row["nextFundingTime"])
        # Delivery contracts are listed, too; they have no funding.
        if not stamp or row["lastFundingRate"] == "":
            return None
        return Funding(row["symbol"], _time(stamp), parse_decimal(str(row["lastFundingRate"])))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _unreadable("funding rate", row, error) from error


def _settled(row: dict[str, Any]) -> Funding:
    try:
        mark = str(row.get("markPrice") or "")
        # A stamp bears some milliseconds.
        at = _time(row["fundingTime"]).replace(microsecond=0)
        return Funding(
            row["symbol"],
            at,
            parse_decimal(str(row["fundingRate"])),
            parse_decimal(mark) if mark else None,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _unreadable("settled funding rate", row, error) from error


def _fetch(rest: BinanceRest, item: _Wanted) -> list[Candle]:
    """Return the candles asked for; the one still open is cut off by time."""
    start_ms = int(item.start.timestamp() * 1000)
    limit = min(int((item.end - item.start) / item.timeframe.delta) + 1, _KLINES_LIMIT)
    rows = rest.klines(item.symbol, item.timeframe, start_ms=start_ms, limit=limit)
    candles = [_candle(row, item.timeframe) for row in rows]
    in_time = [bar for bar in candles if bar.open_at + item.timeframe.delta <= item.end]
    return sorted(in_time, key=lambda bar: bar.open_at)


def _candle(row: Any, timeframe: Timeframe) -> Candle:
    try:
        candle = Candle(_time(row[0]), *(parse_decimal(str(value)) for value in row[1:6]))
    except (IndexError, TypeError, ValueError, OverflowError) as error:
        raise _unreadable("candle", row, error) from error
    fault = candle_fault(candle, timeframe)
    if fault:
        raise _unreadable("candle", row, ValueError(fault))
    return candle


def _specs(info: dict[str, Any]) -> Iterator[tuple[str, InstrumentSpec]]:
    rows = info.get("symbols")
    if not isinstance(rows, list) or not rows:
        raise FeedError(f"Binance's list of symbols is empty or missing: {info!r:.120}")
    for row in rows:
        try:
            if row["status"] == "TRADING" and row.get("contractType") == "PERPETUAL":
                yield row["symbol"], _spec(row)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise _unreadable("symbol", row, error) from error


def _spec(row: dict[str, Any]) -> InstrumentSpec:
    """Return a symbol's limits; out of its filters, since ``pricePrecision`` is not the tick."""
    filters = {item["filterType"]: item for item in row["filters"]}
    lot, market_lot = filters["LOT_SIZE"], filters.get("MARKET_LOT_SIZE", filters["LOT_SIZE"])
    margin_pct = parse_decimal(row.get("requiredMarginPercent") or "5")
    return InstrumentSpec(
        symbol=row["symbol"],
        tick=parse_decimal(filters["PRICE_FILTER"]["tickSize"]),
        step=max(parse_decimal(lot["stepSize"]), parse_decimal(market_lot["stepSize"])),
        min_quantity=max(parse_decimal(lot["minQty"]), parse_decimal(market_lot["minQty"])),
        min_notional=parse_decimal(filters["MIN_NOTIONAL"]["notional"]),
        max_leverage=max(int(Decimal(100) / margin_pct), 1),
        max_quantity=min(parse_decimal(lot["maxQty"]), parse_decimal(market_lot["maxQty"])),
        base_asset=row["baseAsset"],
        quote_asset=row["quoteAsset"],
    )
