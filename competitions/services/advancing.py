"""Moving a season's market on between its rounds: stops, targets, liquidation and funding act when their price comes.

On the wall clock each running season is shown the quotes of now, once a second (of a venue every three); in the time of stored data the candles between two
slots, before the later one's round. What is shown and what it does is written in one transaction, under the book's lock.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from competitions.domain.contract import Contract
from competitions.models import Competition, Participant, Round
from competitions.models.competitions import ClockKind, CompetitionStatus
from competitions.models.events import EventKind
from competitions.models.participants import ParticipantState
from competitions.services.audit import record_act
from competitions.services.beside import Beside
from competitions.services.events import record_events
from competitions.services.leases import holder_name, take_lease
from competitions.services.market import contract_of
from marketdata.domain.canonical import canonical_decimal, canonical_time
from marketdata.domain.facts import Funding as FundingFact
from marketdata.domain.facts import Quote
from marketdata.feeds import FeedError, MarketFeed, open_feed
from marketdata.models import Feed
from marketdata.services import sound_quotes
from trading import services as trading
from trading.domain.acting import Bars, Fact, Funding, Night, Ticks
from trading.domain.outcome import BookedFill, FillCause
from trading.domain.overnight import overnight_stamps
from trading.domain.rules import MarginModel
from trading.selectors import has_stakes
from trading.services.accounts import funded_at

logger = logging.getLogger(__name__)

LEASE_SECONDS = 10
# A venue is asked over the network, and each answer tells all of its symbols.
VENUE_SECONDS = 3.0
# Stamps lie on full hours, and are told some seconds after; asked for at most so often then.
STAMP_SECONDS = timedelta(seconds=10)
STAMP_PATIENCE = timedelta(minutes=2)


def advance_to_slot(round_: Round, contract: Contract, *, now: datetime) -> None:
    """Show a season in the time of data everything that closed before the round's slot; nothing on the wall clock.

    Must be called outside any transaction. A second call shows nothing twice.
    """
    competition = round_.competition
    if competition.clock != ClockKind.DATA or not contract.rules.needs_ticks:
        return
    book = competition.opened_book
    book.refresh_from_db()
    since = book.advanced_to or contract.starts_at
    if round_.slot_at <= since:
        return
    facts = list(facts_between(open_feed(competition.feed), contract, since, round_.slot_at))
    with transaction.atomic():
        locked = Competition.objects.select_for_update().get(pk=competition.pk)
        happenings = trading.advance_book(book.pk, facts, until=round_.slot_at, now=now)
        _tell(locked, happenings, now=now)


def facts_between(
    feed: MarketFeed, contract: Contract, since: datetime, until: datetime
) -> Iterator[Fact]:
    """Yield the stored market after ``since`` up to ``until``: its candles, cut at each funding stamp, each stamp after its candles."""
    symbols = list(contract.rules.symbols)
    stamps: dict[datetime, list[FundingFact]] = defaultdict(list)
    if contract.rules.margin_model is MarginModel.PERPETUAL:
        for stamp in feed.settled_funding(symbols, after=since, until=until):
            stamps[stamp.at].append(stamp)
    nights = set(overnight_stamps(since, until, contract.rules))
    start = since
    for end in sorted({*stamps, *nights, until}):
        candles = feed.closed_bars(symbols, after=start, until=end)
        if candles:
            yield Bars(start, end, candles)
        for stamp in stamps.get(end, ()):
            yield from _settled(feed, contract, stamp)
        if end in nights:
            told = feed.quotes(contract.rules.instruments, end)
            yield Night(end, {symbol: quote.mark for symbol, quote in told.items()})
        start = end


def _settled(feed: MarketFeed, contract: Contract, stamp: FundingFact) -> Iterator[Funding]:
    mark = stamp.mark
    if mark is None:
        told = feed.quotes([contract.rules.spec(stamp.symbol)], stamp.at)
        mark = told[stamp.symbol].mark if stamp.symbol in told else None
    if mark is None:
        logger.warning("funding left out, no mark symbol=%s at=%s", stamp.symbol, stamp.at)
        return
    yield Funding(stamp.at, stamp.symbol, stamp.rate, mark)


def advance_live(*, now: datetime) -> int:
    """Show every season on the wall clock that has something at stake the quotes of now; return how many were shown any.

    Network inside, so never in a transaction. One process leads a season at a time, by a lease; seasons that share a feed share its
    answer. A feed that does not answer, or whose quotes are stale or wrong, shows nothing: stops wait for a good price. Of a venue that
    takes long its seasons are shown the quotes when they come, not counted here; the others do not wait for them.
    """
    by_feed: dict[Any, list[Competition]] = defaultdict(list)
    for competition in _seasons_to_lead(now=now):
        by_feed[competition.feed_id].append(competition)
    own = [group for group in by_feed.values() if group[0].feed.is_simulated]
    started = _venues.start(
        {
            group[0].feed.slug: partial(_advance_group, group)
            for group in by_feed.values()
            if group not in own
        }
    )
    shown = sum(_advance_group(group) for group in own)
    return shown + _venues.finish(started)


def _seasons_to_lead(*, now: datetime) -> Iterator[Competition]:
    seasons = Competition.objects.filter(
        status__in=[CompetitionStatus.RUNNING, CompetitionStatus.PAUSED], clock=ClockKind.WALL
    ).select_related("feed", "book")
    for competition in seasons:
        book = competition.book
        if book is None or not book.frozen_rules().needs_ticks or not has_stakes(book.pk):
            continue
        lease = f"advance:{book.pk}"
        if take_lease(lease, holder_name("feed"), seconds=LEASE_SECONDS, now=now):
            yield competition


def _advance_group(group: list[Competition]) -> int:
    """Ask one feed once and show its quotes to the seasons that use it."""
    feed = group[0].feed
    if not _is_feed_due(feed):
        return 0
    specs = {
        spec.symbol: spec for season in group for spec in contract_of(season).rules.instruments
    }
    try:
        market = open_feed(feed)
        quotes = sound_quotes(
            market, list(specs.values()), known=_last.get(feed), at=timezone.now()
        )
    except FeedError as error:
        logger.warning("nothing shown feed=%s: %s", feed.slug, error)
        return 0
    _last.put(feed, quotes)
    return sum(_advance_season(season, market, quotes) for season in group)


def _advance_season(
    competition: Competition,
    market: MarketFeed,
    quotes: Mapping[str, Quote],
) -> bool:
    """Settle what funding is due, then show the quotes."""
    now = timezone.now()
    contract = contract_of(competition)
    own = {symbol: quote for symbol, quote in quotes.items() if symbol in contract.rules.symbols}
    if not own:
        return False
    facts: list[Fact] = [
        *_live_stamps(competition, contract, market, own, now=now),
        *_live_nights(competition, contract, own, now=now),
    ]
    # The quotes of several symbols count as of the latest: none may act before it was told.
    told_at = max(quote.at for quote in own.values())
    facts.append(Ticks(told_at, own))
    with transaction.atomic():
        locked = Competition.objects.select_for_update().get(pk=competition.pk)
        happenings = trading.advance_book(competition.opened_book.pk, facts, until=told_at, now=now)
        _tell(locked, happenings, now=now)
    return True


def _live_stamps(
    competition: Competition,
    contract: Contract,
    market: MarketFeed,
    quotes: Mapping[str, Quote],
    *,
    now: datetime,
) -> list[Funding]:
    """Return the stamps since the last one settled; asked for only when an hour has passed since they were last."""
    book = competition.opened_book
    book.refresh_from_db(fields=["funded_at"])
    if contract.rules.margin_model is not MarginModel.PERPETUAL or not _stamps_due(book.pk, now):
        return []
    _asked[book.pk] = now
    settled = funded_at(book)
    symbols = sorted(quotes)
    after = min(settled.get(symbol, contract.starts_at) for symbol in symbols)
    try:
        found = market.settled_funding(symbols, after=after, until=now)
    except FeedError as error:
        logger.warning("no funding rates slug=%s: %s", competition.slug, error)
        return []
    return [
        Funding(stamp.at, stamp.symbol, stamp.rate, stamp.mark or quotes[stamp.symbol].mark)
        for stamp in found
        if stamp.at > settled.get(stamp.symbol, contract.starts_at)
    ]


def _live_nights(
    competition: Competition, contract: Contract, quotes: Mapping[str, Quote], *, now: datetime
) -> list[Night]:
    """Return the trading days that ended since the last one settled, at the marks of now: those of then are gone."""
    if not contract.rules.has_overnight:
        return []
    settled = funded_at(competition.opened_book).values()
    after = max(settled, default=contract.starts_at)
    marks = {symbol: quote.mark for symbol, quote in quotes.items()}
    return [Night(stamp, marks) for stamp in overnight_stamps(after, now, contract.rules)]


def _stamps_due(book_id: UUID, now: datetime) -> bool:
    asked = _asked.get(book_id)
    if asked is None:
        return True
    hour = now.replace(minute=0, second=0, microsecond=0)
    return asked < hour or (now - hour < STAMP_PATIENCE and now - asked >= STAMP_SECONDS)


def _is_feed_due(feed: Feed) -> bool:
    """Tell whether the feed may be asked again: one of ours at each call, a venue after a while."""
    if feed.is_simulated:
        return True
    now = time.monotonic()
    if now - _asked_feeds.get(feed.pk, -VENUE_SECONDS) < VENUE_SECONDS:
        return False
    _asked_feeds[feed.pk] = now
    return True


class _LastQuotes:
    """The marks that each feed told last in this process: a jump from them is asked about again."""

    def __init__(self) -> None:
        self._marks: dict[Any, dict[str, Decimal]] = {}

    def get(self, feed: Feed) -> Mapping[str, Decimal]:
        return self._marks.get(feed.pk, {})

    def put(self, feed: Feed, quotes: Mapping[str, Quote]) -> None:
        known = self._marks.setdefault(feed.pk, {})
        known.update({symbol: quote.mark for symbol, quote in quotes.items()})


_last = _LastQuotes()
_venues = Beside()
_asked_feeds: dict[Any, float] = {}
# When each book's funding was last asked for, by this process.
_asked: dict[UUID, datetime] = {}


def _tell(
    competition: Competition, happenings: Sequence[trading.Happening], *, now: datetime
) -> None:
    """Tell viewers what happened, and take out of the season whom nothing is left to."""
    if not happenings:
        return
    roster = {row.account_id: row for row in Participant.objects.filter(competition=competition)}
    events: list[tuple[str, dict[str, Any]]] = []
    for happening in happenings:
        participant = roster[happening.account_id]
        events += _events_of(participant, happening)
        if happening.is_wiped_out and participant.state == ParticipantState.ACTIVE:
            participant.state = ParticipantState.LIQUIDATED
            participant.save(update_fields=["state"])
            record_act(
                "liquidated", f"{competition.slug}/{participant.slug}", actor="system", now=now
            )
    if events:
        record_events(competition, *events, now=now)


def _events_of(
    participant: Participant, happening: trading.Happening
) -> Iterator[tuple[str, dict[str, Any]]]:
    who = {"participant": participant.slug, "at": canonical_time(happening.at)}
    for fill in happening.fills:
        figures = {
            "symbol": fill.symbol,
            "side": fill.side.value,
            "quantity": canonical_decimal(fill.quantity),
            "price": canonical_decimal(fill.price),
            "cause": _cause_of(fill),
        }
        kind = (
            EventKind.LIQUIDATION if fill.cause is FillCause.LIQUIDATION else EventKind.ORDER_FILLED
        )
        yield kind, {**who, **figures}
    for held in happening.closed:
        result = {
            "symbol": held.symbol,
            "realised": canonical_decimal(held.realised),
            "fees": canonical_decimal(held.fees),
        }
        yield EventKind.POSITION_CLOSED, {**who, **result}


def _cause_of(fill: BookedFill) -> str:
    """Return in one word what set a fill off: the exit, ``liquidation`` or ``order``."""
    return fill.exit_name.value if fill.exit_name else fill.cause.value.lower()
