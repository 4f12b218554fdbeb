"""A competition as every page needs it: who takes part, what is traded, who may look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import Q

from competitions.models import Competition, Participant
from competitions.models.competitions import (
    ClockKind,
    CompetitionQuerySet,
    CompetitionStatus,
    Visibility,
)
from competitions.models.participants import ParticipantState
from competitions.models.roles import Role
from competitions.selectors.roles import STAFF, Asker, is_operator, role_of
from competitions.selectors.shown import monogram, shown
from trading.domain.rules import BookRules
from trading.models.books import Venue

SLOTS = 12
MIN_STALE_SECONDS = 15
LIVE_STATES = {CompetitionStatus.RUNNING, CompetitionStatus.PAUSED}


@dataclass(frozen=True, slots=True)
class Entrant:
    """A participant as drawn: ``css`` and ``symbol`` are the stylesheet's and the sprite's names.

    ``account_id`` is None before the start.
    """

    id: UUID
    ordinal: int
    slug: str
    name: str
    monogram: str
    css: str
    symbol: str
    is_baseline: bool
    state: str
    state_reason: str
    account_id: UUID | None
    provider: str
    model: str
    key_variable: str

    @property
    def is_out(self) -> bool:
        """Tell whether it plays no more, though the season goes on."""
        return self.state in {
            ParticipantState.SUSPENDED,
            ParticipantState.LIQUIDATED,
            ParticipantState.RETIRED,
        }


@dataclass(frozen=True, slots=True)
class Grid:
    """How a symbol's figures are written; ``base`` is its short name."""

    symbol: str
    base: str
    tick: Decimal
    step: Decimal


@dataclass(frozen=True)
class Season:
    """A competition with its entrants, loaded once for a page."""

    competition: Competition
    entrants: tuple[Entrant, ...]
    grids: Mapping[str, Grid]

    @cached_property
    def by_account(self) -> dict[UUID, Entrant]:
        """Return the entrants that have an account, by its id."""
        return {e.account_id: e for e in self.entrants if e.account_id is not None}

    @cached_property
    def by_id(self) -> dict[UUID, Entrant]:
        """Return the entrants by participant id."""
        return {entrant.id: entrant for entrant in self.entrants}

    @cached_property
    def rules(self) -> BookRules | None:
        """Return the frozen rules of the book, None before the start."""
        book = self.competition.book
        return None if book is None else book.frozen_rules()

    @property
    def slug(self) -> str:
        return self.competition.slug

    @property
    def mode(self) -> str:
        """Return what is at stake: SIMULATED, PAPER, TESTNET or LIVE."""
        return mode_of(self.competition)

    @property
    def total_rounds(self) -> int | None:
        """Return how many rounds the season has at most, extra ones so far included; None when it has no end."""
        return total_rounds(self.competition)

    @property
    def model_count(self) -> int:
        return sum(not entrant.is_baseline for entrant in self.entrants)

    @property
    def baseline_count(self) -> int:
        return sum(entrant.is_baseline for entrant in self.entrants)

    def grid(self, symbol: str) -> Grid | None:
        """Return how the symbol's figures are written; None for one that is not traded here."""
        return self.grids.get(symbol)

    def base(self, symbol: str) -> str:
        """Return the symbol's short name: BTC for BTCUSDT."""
        found = self.grids.get(symbol)
        return found.base if found else shown(symbol, limit=32)


def visible_to(user: Asker, *, own_only: bool = False) -> CompetitionQuerySet:
    """Return the competitions that ``user`` may open by their address.

    Operators see all; viewers all but drafts; everybody those that are neither private nor drafts, and the ones in which a
    participant of theirs takes part. With ``own_only`` the role adds nothing.
    """
    role = None if own_only else role_of(user)
    if role in STAFF:
        return Competition.objects.all()
    seen = ~Q(status=CompetitionStatus.DRAFT)
    if role != Role.VIEWER:
        seen &= ~Q(visibility=Visibility.PRIVATE)
    if user is not None and user.is_active and user.is_authenticated:
        own = Participant.objects.filter(owner_id=user.pk).values("competition_id")
        seen |= Q(pk__in=own)
    return Competition.objects.filter(seen)


def listed_to(user: Asker, *, own_only: bool = False) -> CompetitionQuerySet:
    """Return what ``visible_to`` does but for unlisted ones: those are listed for operators and their own participants alone."""
    seen = visible_to(user, own_only=own_only)
    if not own_only and is_operator(user):
        return seen
    hidden = Q(visibility=Visibility.UNLISTED)
    if user is not None and user.is_authenticated:
        hidden &= ~Q(pk__in=Participant.objects.filter(owner_id=user.pk).values("competition_id"))
    return seen.exclude(hidden)


def find_competition(slug: str, *, user: Asker, own_only: bool = False) -> Competition | None:
    """Return the competition at ``slug``, None when there is none that ``user`` may see."""
    rows = visible_to(user, own_only=own_only)
    return rows.select_related("feed", "book").filter(slug=slug).first()


def load_season(competition: Competition) -> Season:
    """Return the competition with entrants and instruments. Queries twice."""
    roster = (
        Participant.objects.filter(competition=competition)
        .select_related("agent__provider")
        .order_by("ordinal")
    )
    return Season(
        competition=competition,
        entrants=tuple(entrant_of(row) for row in roster),
        grids={grid.symbol: grid for grid in _grids(competition)},
    )


def entrant_of(row: Participant) -> Entrant:
    """Return a participant as drawn; its agent and provider must be loaded."""
    family = "b" if row.is_baseline else "a"
    slot = ((row.colour_slot or row.ordinal) - 1) % SLOTS + 1
    return Entrant(
        id=row.pk,
        ordinal=row.ordinal,
        slug=row.slug,
        name=shown(row.name),
        monogram=monogram(row.name),
        css=f"{family}{slot}",
        symbol=f"{'b' if row.is_baseline else ''}{slot}",
        is_baseline=row.is_baseline,
        state=row.state,
        state_reason=shown(row.state_reason),
        account_id=row.account_id,
        provider=row.agent.provider.slug,
        model=shown(row.agent.model),
        key_variable=row.agent.provider.key_variable,
    )


def _grids(competition: Competition) -> list[Grid]:
    fields = ("symbol", "base_asset", "quote_asset", "tick_size", "step_size")
    rows: Any = competition.instruments.order_by("symbol").values_list(*fields)
    return [
        Grid(symbol, base or symbol.removesuffix(quote), tick, step)
        for symbol, base, quote, tick, step in rows
    ]


def mode_of(competition: Competition) -> str:
    """Return what is at stake; a replayed or invented market is SIMULATED whatever the venue."""
    if competition.feed.is_simulated:
        return "SIMULATED"
    return {Venue.BINANCE_DEMO: "TESTNET", Venue.BINANCE_LIVE: "LIVE"}.get(
        Venue(competition.venue), "PAPER"
    )


def total_rounds(competition: Competition) -> int | None:
    """Return how many rounds there are at most: those of the schedule and the extra ones so far; None when there is no end."""
    planned = planned_rounds(competition)
    return None if planned is None else planned + competition.extra_count


def planned_rounds(competition: Competition) -> int | None:
    """Return the smaller of the given number of rounds and the slots between start and end."""
    limits = [competition.max_rounds] if competition.max_rounds else []
    if competition.starts_at and competition.ends_at:
        length = (competition.ends_at - competition.starts_at).total_seconds()
        limits.append(max(0, -(-int(length) // competition.interval_seconds)))
    return min(limits, default=None)


def stale_after_seconds(competition: Competition) -> int:
    """Return after how much silence of a running season its page is stale: two rounds, at least 15 s."""
    pace = (
        competition.interval_seconds
        if competition.clock == ClockKind.WALL
        else int(competition.pace_seconds) + competition.deadline_seconds
    )
    return max(MIN_STALE_SECONDS, 2 * pace)


def next_slot_at(competition: Competition) -> datetime | None:
    """Return the wall time of the next round; None when none is to come or it cannot be known."""
    if competition.status == CompetitionStatus.SCHEDULED:
        return competition.starts_at
    if competition.status != CompetitionStatus.RUNNING:
        return None
    if competition.clock == ClockKind.DATA:
        return competition.next_due_at
    if competition.last_slot_at is None:
        return competition.starts_at
    following = competition.last_slot_at + timedelta(seconds=competition.interval_seconds)
    return max(following, competition.next_due_at or following)


def market_now(season: Season, *, now: datetime) -> datetime:
    """Return the market time that the season has come to: now, or where a replayed period stands."""
    competition = season.competition
    return (competition.market_at or now) if competition.clock == ClockKind.DATA else now
