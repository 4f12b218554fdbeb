"""Freeze the market at one instant: fetch, validate, hash, keep."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from marketdata.domain.canonical import canonical_json, canonical_time
from marketdata.domain.facts import Funding, Quote, Timeframe
from marketdata.domain.indicators import WINDOW, last_values
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.manifest import (
    SeriesState,
    fault_rows,
    funding_fields,
    quote_fields,
    quotes_of,
)
from marketdata.domain.quotes import Fault, is_near, jump_fault, quote_fault
from marketdata.feeds import FeedError, MarketFeed, open_feed
from marketdata.models import Blob, Feed, FeedHealth, MarketSnapshot
from marketdata.models.snapshots import SnapshotStatus
from marketdata.selectors.snapshots import latest_snapshot
from marketdata.services.series import chain_state, series_start, table_of, window

logger = logging.getLogger(__name__)

MAX_ERROR = 300


@dataclass(frozen=True, slots=True)
class CapturedSnapshot:
    """A stored snapshot with its content as values; ``opens`` is empty unless asked for."""

    snapshot: MarketSnapshot
    quotes: dict[str, Quote]
    opens: dict[str, Quote]
    manifest: dict[str, Any]


@dataclass(slots=True)
class _Gathered:
    """What the feed said, and what was wrong with it."""

    quotes: dict[str, Quote] = field(default_factory=dict)
    opens: dict[str, Quote] = field(default_factory=dict)
    funding: dict[str, Funding] = field(default_factory=dict)
    series: dict[str, dict[str, SeriesState]] = field(default_factory=dict)
    indicators: dict[str, dict[str, dict[str, str | None]]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    # What the feed could not do, told to its health.
    error: str = ""


def capture_snapshot(
    feed: Feed,
    specs: Sequence[InstrumentSpec],
    timeframes: Sequence[str],
    *,
    as_of: datetime,
    now: datetime,
    with_opens: bool = False,
    history_from: datetime | None = None,
) -> CapturedSnapshot:
    """Fetch, validate and store the market at ``as_of``; any fault makes the snapshot NO_DATA, with the reasons in its manifest.

    A live feed is asked over the network, so this must not run inside a transaction.

    Args:
        feed: Where facts come from.
        specs: The symbols of the competition.
        timeframes: Codes such as ``"15m"``.
        as_of: Market time; nothing that closed later is in the snapshot.
        now: Wall time; only the row's ``captured_at`` and the feed's health carry it.
        with_opens: Also take the quotes round the opens of the bars that start at ``as_of`` (fill rule next_bar).
        history_from: Open time from which series count, so that the hash does not depend on what else is stored; None for the
            last 250 bars.
    """
    market = open_feed(feed)
    if market.is_live and connection.in_atomic_block:
        raise RuntimeError("a live feed is asked over the network, never inside a transaction")
    frames = [Timeframe(name) for name in timeframes]
    gathered = _Gathered()
    _gather_quotes(gathered, feed, market, specs, as_of=as_of)
    if with_opens:
        _gather_opens(gathered, market, specs, as_of=as_of)
    _gather_series(gathered, feed, market, specs, frames, as_of=as_of, history_from=history_from)
    manifest = _manifest(gathered, feed, as_of=as_of, with_opens=with_opens)
    snapshot = _store(feed, manifest, _trouble(gathered), as_of=as_of, now=now)
    if gathered.faults:
        logger.warning(
            "market snapshot without data feed=%s as_of=%s faults=%s",
            feed.slug,
            manifest["as_of"],
            [f"{fault.symbol} {fault.reason}".strip() for fault in gathered.faults],
        )
    return CapturedSnapshot(snapshot, gathered.quotes, gathered.opens, manifest)


def _gather_quotes(
    gathered: _Gathered,
    feed: Feed,
    market: MarketFeed,
    specs: Sequence[InstrumentSpec],
    *,
    as_of: datetime,
) -> None:
    try:
        gathered.quotes = market.quotes(specs, as_of)
        marks = _previous_marks(feed, as_of=as_of)
        jumps = list(_jumps(gathered.quotes, marks))
        if jumps:
            jumps = _unexplained(gathered, market, specs, jumps, marks, as_of=as_of)
    except FeedError as error:
        _note_error(gathered, "NO_QUOTES", error)
        return
    missing = [spec.symbol for spec in specs if spec.symbol not in gathered.quotes]
    gathered.faults += [Fault(symbol, "NO_QUOTE", "the feed gave no quote") for symbol in missing]
    for quote in gathered.quotes.values():
        fault = quote_fault(quote, as_of=as_of, is_live=market.is_live)
        if fault:
            gathered.faults.append(fault)
    gathered.faults += jumps


def _note_error(gathered: _Gathered, reason: str, error: FeedError) -> None:
    gathered.error = str(error)
    gathered.faults.append(Fault("", reason, str(error)))


def _previous_marks(feed: Feed, *, as_of: datetime) -> dict[str, Decimal]:
    previous = latest_snapshot(feed, before=as_of)
    if previous is None:
        return {}
    return {symbol: quote.mark for symbol, quote in quotes_of(previous.content()).items()}


def _jumps(quotes: Mapping[str, Quote], marks: Mapping[str, Decimal]) -> Iterator[Fault]:
    for symbol, quote in quotes.items():
        fault = jump_fault(quote, marks.get(symbol))
        if fault:
            yield fault


def _unexplained(
    gathered: _Gathered,
    market: MarketFeed,
    specs: Sequence[InstrumentSpec],
    jumps: Sequence[Fault],
    marks: Mapping[str, Decimal],
    *,
    as_of: datetime,
) -> list[Fault]:
    """Ask again for the symbols that jumped and take the second answer if it says the same, or shows no jump; return the other jumps."""
    jumped = {fault.symbol for fault in jumps}
    again = market.quotes([spec for spec in specs if spec.symbol in jumped], as_of)
    left: list[Fault] = []
    for fault in jumps:
        first, second = gathered.quotes[fault.symbol], again.get(fault.symbol)
        if second is None:
            left.append(fault)
            continue
        gathered.quotes[fault.symbol] = second
        if not is_near(second.mark, first.mark):
            left += _jumps({fault.symbol: second}, marks)
    return left


def _gather_opens(
    gathered: _Gathered, market: MarketFeed, specs: Sequence[InstrumentSpec], *, as_of: datetime
) -> None:
    try:
        gathered.opens = market.opens(specs, as_of)
    except FeedError as error:
        _note_error(gathered, "NO_OPENS", error)
        return
    missing = [spec.symbol for spec in specs if spec.symbol not in gathered.opens]
    gathered.faults += [
        Fault(symbol, "NO_OPEN", f"no candle starts at {canonical_time(as_of)}")
        for symbol in missing
    ]
    faults = (quote_fault(quote, as_of=as_of, is_live=False) for quote in gathered.opens.values())
    gathered.faults += [fault for fault in faults if fault]


def _gather_series(
    gathered: _Gathered,
    feed: Feed,
    market: MarketFeed,
    specs: Sequence[InstrumentSpec],
    timeframes: Sequence[Timeframe],
    *,
    as_of: datetime,
    history_from: datetime | None,
) -> None:
    symbols = [spec.symbol for spec in specs]
    try:
        market.prepare(symbols, timeframes, until=as_of, count=WINDOW)
        for symbol in symbols:
            states = gathered.series.setdefault(symbol, {})
            values = gathered.indicators.setdefault(symbol, {})
            for timeframe in timeframes:
                start = series_start(timeframe, history_from=history_from, as_of=as_of)
                state = chain_state(
                    market,
                    kind=feed.kind,
                    symbol=symbol,
                    timeframe=timeframe,
                    start=start,
                    as_of=as_of,
                )
                states[str(timeframe)] = state
                values[str(timeframe)] = _indicators(
                    market, symbol, timeframe, state, start=start, as_of=as_of
                )
        gathered.funding = market.funding(symbols, as_of)
    except FeedError as error:
        _note_error(gathered, "NO_CANDLES", error)


def _indicators(
    market: MarketFeed,
    symbol: str,
    timeframe: Timeframe,
    state: SeriesState,
    *,
    start: datetime,
    as_of: datetime,
) -> dict[str, str | None]:
    table = table_of(state, lambda: window(market, symbol, timeframe, start=start, as_of=as_of))
    return last_values(table)


def _manifest(
    gathered: _Gathered, feed: Feed, *, as_of: datetime, with_opens: bool
) -> dict[str, Any]:
    manifest: dict[str, Any] = {
        "as_of": canonical_time(as_of),
        "feed_kind": feed.kind,
        "simulated": feed.is_simulated,
        "status": str(SnapshotStatus.NO_DATA if gathered.faults else SnapshotStatus.OK),
        "reasons": fault_rows(gathered.faults),
        "quotes": {symbol: quote_fields(quote) for symbol, quote in gathered.quotes.items()},
        "series": {
            symbol: {name: state.as_canonical() for name, state in states.items()}
            for symbol, states in gathered.series.items()
        },
        "indicators": gathered.indicators,
        "funding": {
            symbol: funding_fields(funding) for symbol, funding in gathered.funding.items()
        },
    }
    if with_opens:
        manifest["opens"] = {
            symbol: quote_fields(quote) for symbol, quote in gathered.opens.items()
        }
    return manifest


def _trouble(gathered: _Gathered) -> str:
    """Return what to tell about the feed's health in one line; empty when all is well."""
    if gathered.error or not gathered.faults:
        return gathered.error
    first = gathered.faults[0]
    return f"{first.symbol} {first.reason}: {first.found}"


@transaction.atomic
def _store(
    feed: Feed, manifest: dict[str, Any], error: str, *, as_of: datetime, now: datetime
) -> MarketSnapshot:
    word = {"last_error_at": now, "last_error": error[:MAX_ERROR]} if error else {"last_ok_at": now}
    FeedHealth.objects.update_or_create(feed=feed, defaults=word)
    return MarketSnapshot.objects.create(
        feed=feed,
        as_of=as_of,
        status=manifest["status"],
        manifest_id=Blob.objects.put(canonical_json(manifest)),
        captured_at=now,
    )
