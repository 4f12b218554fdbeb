"""A season's tape shown to its replayed accounts again, each as far as it has come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from competitions.domain.contract import Contract
from competitions.domain.digests import BetweenRecord, MarketFillRecord, PostingRecord
from competitions.services.journal import Journal
from competitions.services.records import by_cause, posting_records
from marketdata.feeds import FeedError, MarketFeed
from trading.domain.acting import Bars, Fact, Funding, Night, Ticks, act_on
from trading.domain.engine import step
from trading.domain.events import EndStatus, OrderEnded
from trading.domain.intents import TimeInForce
from trading.domain.outcome import BookedFill
from trading.domain.state import AccountState
from trading.domain.tape import ACTING, TapeEvent, TapeKind

SHOWS = ACTING - {TapeKind.STATE}
# In these an order that only reduces may go on waiting.
STILL_OPEN = {"PAUSED", "REDUCING"}
# Longer ago no stamp is settled late: a season that did not run has no fills after one.
LATE_FILLS = 200


class TapeWalk:
    """Where each account of a season stands on the tape; moves the accounts of a replay on to a position.

    ``problems`` are sentences about tape lines that cannot be shown again as they were. ``journal``, if there is one, is told what the
    market does.
    """

    def __init__(
        self,
        contract: Contract,
        feed: MarketFeed,
        states: dict[int, AccountState],
        journal: Journal | None = None,
    ) -> None:
        self._journal = journal
        self.problems: list[str] = []
        self._rules = contract.rules
        self._feed = feed
        self._states = states
        self._facts: dict[int, TapeEvent | Fact] = {}
        self._stands: dict[int, int] = dict.fromkeys(states, 0)
        self._fills: dict[int, list[BookedFill]] = defaultdict(list)
        self._told: dict[int, tuple[list[MarketFillRecord], list[PostingRecord]]] = {}

    def lay(self, first: int, events: Iterable[TapeEvent]) -> None:
        """Put the next stretch of the tape in place; what every account has passed is forgotten."""
        passed = min(self._stands.values(), default=0)
        self._facts = {place: fact for place, fact in self._facts.items() if place >= passed}
        for place, event in enumerate(events, start=first):
            shows = event.kind in SHOWS
            self._facts[place] = self._fact(event) if shows else event

    def catch_up(self, ordinal: int, position: int) -> None:
        """Show an account what lies between where it stands and ``position`` (excluded)."""
        state = self._states[ordinal]
        for place in range(self._stands[ordinal], position):
            fact = self._facts.get(place)
            if isinstance(fact, TapeEvent):
                state = self._told_by(state, fact)
            elif fact is not None:
                state = self._show(ordinal, state, fact, place + 1)
        self._states[ordinal] = state
        self._stands[ordinal] = max(position, self._stands[ordinal])

    def note(self, ordinal: int, fills: tuple[BookedFill, ...]) -> None:
        """Remember the account's fills: a funding stamp that is told late counts what was held before them."""
        self._fills[ordinal] = [*self._fills[ordinal], *fills][-LATE_FILLS:]

    def take_problems(self) -> list[str]:
        """Return what was found wrong with the tape since the last call."""
        told, self.problems = self.problems, []
        return told

    def take_between(self) -> list[BetweenRecord]:
        """Return what the market did to accounts since the last call, by ordinal."""
        told, self._told = self._told, {}
        return [
            BetweenRecord(ordinal, fills, sorted(postings, key=by_cause))
            for ordinal, (fills, postings) in sorted(told.items())
        ]

    def _told_by(self, state: AccountState, event: TapeEvent) -> AccountState:
        """Take an event that shows no market: new marks, or a state of the book in which some orders may no longer wait."""
        if event.kind is not TapeKind.STATE:
            return state.with_marks(event.marks)
        for order in list(state.orders.values()):
            intent = order.intent
            is_brief = not intent.rests or intent.time_in_force is TimeInForce.IOC
            if not is_brief and not (intent.reduce_only and event.state in STILL_OPEN):
                ended = OrderEnded(event.at, order.client_order_id, EndStatus.CANCELLED)
                outcome = step(state, ended, self._rules)
                state = outcome.state
                if self._journal is not None:
                    self._journal.stepped(ended, outcome)
        return state

    def _show(self, ordinal: int, state: AccountState, fact: Fact, position: int) -> AccountState:
        held = None
        if isinstance(fact, Funding):
            held = self._held_at(ordinal, state, fact.symbol, fact.at)
        outcome = act_on(state, fact, self._rules, held=held)
        self.note(ordinal, outcome.fills)
        if self._journal is not None and not outcome.is_empty:
            self._journal.acted(outcome, at=fact.at, tape_position=position)
        if outcome.fills or outcome.postings:
            fills, postings = self._told.setdefault(ordinal, ([], []))
            fills.extend(map(market_fill, outcome.fills))
            postings.extend(posting_records(outcome))
        # A step keeps the mappings that it was given; this one is shared by nobody.
        return replace(outcome.state, marks=dict(outcome.state.marks))

    def _held_at(
        self, ordinal: int, state: AccountState, symbol: str, stamp: datetime
    ) -> Decimal | None:
        later = [
            fill.quantity * fill.side.sign
            for fill in self._fills[ordinal]
            if fill.symbol == symbol and fill.at > stamp
        ]
        return state.quantity(symbol) - sum(later) if later else None

    def _fact(self, event: TapeEvent) -> Fact:
        if event.kind is TapeKind.TICKS:
            return Ticks(event.at, event.quotes)
        if event.kind is TapeKind.NIGHT:
            return Night(event.at, event.prices)
        if event.kind is TapeKind.FUNDING:
            assert event.rate is not None
            ((symbol, mark),) = event.prices.items()
            return Funding(event.at, symbol, event.rate, mark)
        assert event.since is not None
        return self._bars(event, event.since)

    def _bars(self, event: TapeEvent, since: datetime) -> Bars:
        """Read the candles that the line names, and say so when they are no longer the same."""
        try:
            candles = self._feed.closed_bars(sorted(event.bars), after=since, until=event.at)
        except FeedError as error:
            self.problems.append(f"the candles of the tape cannot be read: {error}")
            return Bars(since, event.at, {})
        bars = Bars(since, event.at, candles)
        found: Mapping[str, object] = bars.as_event().bars
        for symbol in sorted(event.bars.keys() | found.keys()):
            if event.bars.get(symbol) != found.get(symbol):
                self.problems.append(
                    f"the candles of {symbol} from {since:%Y-%m-%d %H:%M} to {event.at:%H:%M} are not those of the tape"
                )
        return bars


def market_fill(fill: BookedFill) -> MarketFillRecord:
    """Return an execution that the market set off as the digest sees it."""
    return MarketFillRecord(
        fill.exit_name.value if fill.exit_name else fill.cause.value.lower(),
        fill.seq,
        fill.symbol,
        fill.side.value,
        fill.quantity,
        fill.price,
        fill.fee,
        fill.realised,
    )
