"""Showing the market to every account of a book between the turns."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from marketdata.domain.canonical import canonical_time
from trading.domain.acting import Bars, Fact, Funding, Night, Ticks, act_on
from trading.domain.intents import Side
from trading.domain.outcome import BookedFill, EntryKind, OrderChange, Outcome
from trading.domain.rules import BookRules
from trading.domain.state import AccountState, PositionState
from trading.domain.tape import TapeEvent
from trading.domain.ticking import Tick
from trading.models import Account, Book, Fill, Position, Standing
from trading.models.books import BookState
from trading.selectors.holdings import book_states
from trading.selectors.tape import marks_at
from trading.services.accounts import funded_at
from trading.services.locks import lock_book
from trading.services.saving import Occasion, is_wiped_out, save_outcome
from trading.services.tape import append_tape

# What the column holds: some 24 days.
LONGEST_LATENCY_MS = 2**31 - 1
# In a book that is halted or over nothing moves any more.
ACTING_STATES = (BookState.RUNNING, BookState.PAUSED, BookState.REDUCING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What one fact did to one account."""

    account_id: uuid.UUID
    ordinal: int
    at: datetime
    fills: tuple[BookedFill, ...]
    closed: tuple[PositionState, ...]
    orders: tuple[OrderChange, ...]
    is_wiped_out: bool


@transaction.atomic
def advance_book(
    book_id: uuid.UUID, facts: Sequence[Fact], *, until: datetime, now: datetime
) -> list[Happening]:
    """Let ``facts`` act on every account, in order; ``until`` is the market time that the book has then been advanced to.

    Facts that begin before the book's ``advanced_to`` were shown already and are left out, so a repeated or overtaken call changes
    nothing. What changed an account, and every bar and funding stamp, goes on the tape. Queries a constant number of times, and some
    more for each account that acts. Nothing happens in a book that is halted or over.
    """
    book = lock_book(book_id)
    rules = book.frozen_rules()
    if not rules.needs_ticks or book.state not in ACTING_STATES:
        return []
    fresh = [fact for fact in facts if _is_fresh(fact, book)]
    happenings = _show(book, fresh, rules, now=now) if fresh else []
    if happenings or not all(isinstance(fact, Ticks) for fact in facts):
        # Ticks that changed nothing leave no trace.
        shown_to = max(until, book.advanced_to or until)
        Book.objects.filter(pk=book.pk).update(advanced_to=shown_to, funded_at=book.funded_at)
    return happenings


def _is_fresh(fact: Fact, book: Book) -> bool:
    match fact:
        case Funding():
            # A stamp may become known after later ticks were shown.
            last = funded_at(book).get(fact.symbol)
            return last is None or fact.at > last
        case Night():
            return all(fact.at > last for last in funded_at(book).values())
        case Bars():
            return book.advanced_to is None or fact.since >= book.advanced_to
        case _:
            return book.advanced_to is None or fact.at > book.advanced_to


@dataclass(slots=True)
class _Shown:
    """One account on its way through the facts: its state before, and after which fact what happened."""

    account_id: uuid.UUID
    before: AccountState
    outcomes: list[tuple[int, Outcome]]


def _show(book: Book, facts: Sequence[Fact], rules: BookRules, *, now: datetime) -> list[Happening]:
    states = _at_stake(book, facts, rules)
    late = _late_fills(states, facts)
    shown = [_walk(key, state, facts, rules, late[key]) for key, state in states.items()]
    moved = [item for item in shown if item.outcomes]
    accounts = Account.objects.in_bulk([item.account_id for item in moved])
    numbers = _next_numbers(accounts.values())
    kept = _kept(facts, moved)
    first = append_tape(book.pk, [event for event, _ in kept.values()], now=now)
    happenings: list[Happening] = []
    for item in moved:
        account = accounts[item.account_id]
        account.book = book
        position, fill = numbers[account.pk]
        # Walked once more with the numbers of its next fill and holding, which the others do without.
        state = replace(item.before, next_position=position, next_fill=fill)
        again = _walk(account.pk, state, facts, rules, late[account.pk])
        for index, outcome in again.outcomes:
            place = first + kept[index][1] + 1
            _save(account, facts[index], outcome, position=place)
            happenings.append(_happening(account, facts[index], outcome))
    for fact in facts:
        for symbol in _symbols_settled(fact):
            book.funded_at[symbol] = canonical_time(fact.at)
    return happenings


def _symbols_settled(fact: Fact) -> Iterable[str]:
    if isinstance(fact, Funding):
        return [fact.symbol]
    return fact.marks if isinstance(fact, Night) else []


def _at_stake(book: Book, facts: Sequence[Fact], rules: BookRules) -> dict[uuid.UUID, AccountState]:
    """Return the states of the accounts that the facts may change, by ordinal; a constant number of queries for all accounts."""
    all_states = book_states(book.pk)
    symbols = {symbol for state in all_states.values() for symbol in state.positions}
    told = facts[0].quotes.keys() if isinstance(facts[0], Ticks) else ()
    missing = symbols.difference(told)
    marks = marks_at(book.pk, missing, tape_position=book.tape_position) if missing else {}
    late = _traded_since(book, facts)
    funded, peaks = funded_at(book), _peaks(book, rules)
    states = {
        key: replace(state, marks=marks, funded_at=funded, peak=peaks.get(key))
        for key, state in all_states.items()
        if state.positions or state.orders or key in late
    }
    if len(facts) == 1 and isinstance(facts[0], Ticks):
        tick = Tick(facts[0].quotes, rules)
        return {key: state for key, state in states.items() if tick.may_act(state)}
    return states


def _traded_since(book: Book, facts: Sequence[Fact]) -> set[uuid.UUID]:
    """Return the accounts with fills later than a funding stamp among the facts: what they held then may be gone."""
    stamped = {fact.symbol: fact.at for fact in facts if isinstance(fact, Funding)}
    if not stamped:
        return set()
    fills = Fill.objects.filter(
        account__book=book, at__gt=min(stamped.values()), symbol__in=stamped
    )
    return set(fills.values_list("account_id", flat=True))


def _peaks(book: Book, rules: BookRules) -> dict[uuid.UUID, Decimal]:
    if not rules.watches_drawdown:
        return {}
    rows = Standing.objects.filter(account__book=book)
    return dict(rows.values_list("account_id", "peak"))


LateFills = Mapping[str, Sequence[tuple[datetime, Decimal]]]


def _late_fills(
    accounts: Iterable[uuid.UUID], facts: Sequence[Fact]
) -> dict[uuid.UUID, dict[str, list[tuple[datetime, Decimal]]]]:
    """Return, by account and symbol, the signed fills after the first funding stamp among the facts."""
    found: dict[uuid.UUID, dict[str, list[tuple[datetime, Decimal]]]] = {
        key: defaultdict(list) for key in accounts
    }
    stamps = [fact.at for fact in facts if isinstance(fact, Funding)]
    if stamps and found:
        for fill in Fill.objects.filter(account__in=found, at__gt=min(stamps)):
            signed = fill.quantity * Side(fill.side).sign
            found[fill.account_id][fill.symbol].append((fill.at, signed))
    return found


def held_at(
    state: AccountState, symbol: str, stamp: datetime, fills: Iterable[tuple[datetime, Decimal]]
) -> Decimal | None:
    """Return what was held at a stamp where fills came after it; None where none did."""
    later = [signed for at, signed in fills if at > stamp]
    return state.quantity(symbol) - sum(later) if later else None


def _walk(
    account_id: uuid.UUID,
    state: AccountState,
    facts: Sequence[Fact],
    rules: BookRules,
    late: LateFills,
) -> _Shown:
    outcomes: list[tuple[int, Outcome]] = []
    before = state
    for index, fact in enumerate(facts):
        held = None
        if isinstance(fact, Funding):
            held = held_at(state, fact.symbol, fact.at, late.get(fact.symbol, ()))
        outcome = act_on(state, fact, rules, held=held)
        state = outcome.state
        if not outcome.is_empty:
            outcomes.append((index, outcome))
    return _Shown(account_id, before, outcomes)


def _kept(facts: Sequence[Fact], moved: Iterable[_Shown]) -> dict[int, tuple[TapeEvent, int]]:
    """Return the facts that go on the tape, by their index, each with its place there."""
    acted = {index for item in moved for index, _ in item.outcomes}
    kept = [
        index for index, fact in enumerate(facts) if index in acted or not isinstance(fact, Ticks)
    ]
    return {index: (facts[index].as_event(), place) for place, index in enumerate(kept)}


def _next_numbers(accounts: Collection[Account]) -> dict[uuid.UUID, tuple[int, int]]:
    positions = dict(
        Position.objects.filter(account__in=accounts)
        .values_list("account_id")
        .annotate(last=Max("seq"))
    )
    fills = dict(
        Fill.objects.filter(account__in=accounts)
        .values_list("account_id")
        .annotate(last=Max("seq"))
    )
    return {row.pk: (positions.get(row.pk, 0) + 1, fills.get(row.pk, 0) + 1) for row in accounts}


def _save(account: Account, fact: Fact, outcome: Outcome, *, position: int) -> None:
    moment = timezone.now()
    latency = None
    if isinstance(fact, Ticks):
        passed = round((moment - fact.at).total_seconds() * 1000)
        latency = min(max(passed, 0), LONGEST_LATENCY_MS)
    occasion = Occasion(tape_position=position, now=moment, by_market=True, latency_ms=latency)
    save_outcome(account, outcome, occasion)
    if isinstance(fact, Funding):
        _fund_closed_holding(account, fact, outcome)


def _fund_closed_holding(account: Account, fact: Funding, outcome: Outcome) -> None:
    """Put on a holding that was closed since the stamp what it received or paid there."""
    if any(held.symbol == fact.symbol for held in outcome.positions):
        return
    paid = sum(
        line.amount
        for line in outcome.postings
        if line.house is None and line.kind is EntryKind.FUNDING
    )
    if paid:
        held = Position.objects.filter(
            account=account, symbol=fact.symbol, opened_at__lte=fact.at
        ).latest("seq")
        held.funding += paid
        held.save(update_fields=["funding"])


def _happening(account: Account, fact: Fact, outcome: Outcome) -> Happening:
    return Happening(
        account_id=account.pk,
        ordinal=account.ordinal,
        at=fact.at,
        fills=outcome.fills,
        closed=tuple(held for held in outcome.positions if held.is_closed),
        orders=outcome.orders,
        is_wiped_out=is_wiped_out(outcome),
    )
