"""How the arena is, for the command line and for monitors: seasons, parts, feeds, queue, last acts, and what is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Min, Q

from competitions.models import AuditEvent, Competition, Heartbeat, Turn
from competitions.models.competitions import ClockKind, CompetitionStatus
from competitions.models.rounds import Round, TurnState
from competitions.selectors.board import board_of
from competitions.selectors.facts import facts_of
from competitions.selectors.operations import BAD, BEATS, OK, QUEUE_BAD, QUEUE_WARN, grade
from competitions.selectors.seasons import LIVE_STATES, load_season
from marketdata.models import FeedHealth
from trading.models import Position

SEASONS_LENGTH = 40
ACTS_LENGTH = 8
# The sweeper closes a round soon after its deadline.
LATE_AFTER = timedelta(seconds=30)
WARNING, FAILED, OFF = "warning", "failed", "off"
_STATES = {OK: OK, BAD: FAILED}


@dataclass(frozen=True, slots=True)
class OpenRound:
    """A round that has not closed; late when the sweeper should have closed it."""

    number: int
    settled: int
    turns: int
    opened_at: datetime
    deadline_at: datetime
    is_late: bool


@dataclass(frozen=True, slots=True)
class Leader:
    """The first line of the leaderboard; ``total_return`` is a fraction of 1."""

    participant: str
    equity: Decimal
    total_return: Decimal


@dataclass(frozen=True, slots=True)
class SeasonState:
    """Where one competition stands; ``is_driven`` says that a command opens its rounds, not the clock."""

    slug: str
    name: str
    status: str
    mode: str
    clock: str
    feed: str
    venue: str
    round_count: int
    total_rounds: int | None
    next_round_at: datetime | None
    last_event_at: datetime | None
    is_stale: bool
    is_driven: bool
    participants: int
    open_positions: int
    leader: Leader | None
    open_round: OpenRound | None


@dataclass(frozen=True, slots=True)
class Part:
    """A part's last sign of life: ok, warning, failed, or off when it is silent and nothing needs it."""

    name: str
    state: str
    is_needed: bool
    last_at: datetime | None
    age_seconds: float | None
    note: str


@dataclass(frozen=True, slots=True)
class FeedState:
    """The last good and bad word of a feed that a live season uses."""

    slug: str
    state: str
    last_ok_at: datetime | None
    last_error_at: datetime | None
    last_error: str


@dataclass(frozen=True, slots=True)
class Queue:
    """Turns that nobody holds."""

    state: str
    waiting: int
    oldest_seconds: float | None


@dataclass(frozen=True, slots=True)
class Act:
    """An entry of the audit log."""

    at: datetime
    actor: str
    action: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class ArenaStatus:
    """Everything together; ``troubles`` are sentences, empty when all is well."""

    at: datetime
    troubles: tuple[str, ...]
    competitions: tuple[SeasonState, ...]
    parts: tuple[Part, ...]
    feeds: tuple[FeedState, ...]
    queue: Queue
    acts: tuple[Act, ...]


def status_of(*, now: datetime, driven: Collection[UUID], slug: str = "") -> ArenaStatus:
    """Return how the arena is, of one season or of the newest 40. Queries some eight times per season.

    ``driven`` are the competitions whose rounds a command opens.
    """
    rows = Competition.objects.select_related("feed", "book").order_by("-created_at")
    rows = rows.filter(slug=slug) if slug else rows
    seasons = tuple(_season(row, now=now, driven=driven) for row in rows[:SEASONS_LENGTH])
    parts = tuple(_parts(driven, now=now))
    feeds = tuple(_feeds(slug))
    queue = _queue(now=now)
    return ArenaStatus(
        at=now,
        troubles=tuple(_troubles(seasons, parts, feeds, queue)),
        competitions=seasons,
        parts=parts,
        feeds=feeds,
        queue=queue,
        acts=tuple(_acts(slug)),
    )


def _season(row: Competition, *, now: datetime, driven: Collection[UUID]) -> SeasonState:
    season = load_season(row)
    facts = facts_of(season, now=now)
    leader = board_of(season).leader
    return SeasonState(
        slug=row.slug,
        name=row.name,
        status=facts.status,
        mode=season.mode,
        clock=row.clock,
        feed=row.feed.slug,
        venue=row.venue,
        round_count=row.round_count,
        total_rounds=season.total_rounds,
        next_round_at=facts.next_at,
        last_event_at=facts.last_event_at,
        is_stale=facts.is_stale(now),
        is_driven=row.pk in driven,
        participants=len(season.entrants),
        open_positions=_open_positions(row),
        leader=None
        if leader is None
        else Leader(leader.entrant.slug, leader.equity, leader.earned),
        open_round=_open_round(row, now=now) if facts.is_round_open else None,
    )


def _open_positions(row: Competition) -> int:
    if row.book_id is None:
        return 0
    return Position.objects.open().filter(account__book_id=row.book_id).count()


def _open_round(row: Competition, *, now: datetime) -> OpenRound | None:
    done = Count("turns", filter=Q(turns__state=TurnState.SETTLED))
    rounds = Round.objects.open().filter(competition=row).order_by("number")
    found: Any = rounds.annotate(settled=done, total=Count("turns")).first()
    if found is None:
        return None
    return OpenRound(
        number=found.number,
        settled=found.settled,
        turns=found.total,
        opened_at=found.opened_at,
        deadline_at=found.deadline_at,
        is_late=row.status == CompetitionStatus.RUNNING and now > found.deadline_at + LATE_AFTER,
    )


def _parts(driven: Collection[UUID], *, now: datetime) -> Iterator[Part]:
    needed = _needed(driven)
    seen = {row.name: row for row in Heartbeat.objects.order_by("name")}
    for name, (_, note, warn, bad) in BEATS.items():
        row = seen.pop(name, None)
        if row is None:
            state = FAILED if name in needed else OFF
            yield Part(name, state, name in needed, None, None, "never heard of")
            continue
        age = (now - row.at).total_seconds()
        state = _state(grade(age, warn, bad)[0])
        if name not in needed and state != OK:
            state = OFF
        yield Part(name, state, name in needed, row.at, round(age, 1), row.note or note)
    # Parts that beat only when they have work: no age is too old for them.
    for row in seen.values():
        age = (now - row.at).total_seconds()
        yield Part(row.name, OK, False, row.at, round(age, 1), row.note or "last work done")


def _needed(driven: Collection[UUID]) -> set[str]:
    """Return the parts without which a season would stand still; a season that a command drives needs none."""
    waiting = [CompetitionStatus.RUNNING, CompetitionStatus.SCHEDULED]
    rows = Competition.objects.filter(status__in=waiting).exclude(pk__in=driven)
    found = set(rows.values_list("status", "clock"))
    needed = {"clock", "sweeper"} if found else set()
    return needed | {"feed"} if (CompetitionStatus.RUNNING, ClockKind.WALL) in found else needed


def _state(graded: str) -> str:
    return _STATES.get(graded, WARNING)


def _queue(*, now: datetime) -> Queue:
    found = Turn.objects.claimable(now).aggregate(count=Count("pk"), at=Min("round__opened_at"))
    if not found["count"]:
        return Queue(OK, 0, None)
    age = (now - found["at"]).total_seconds()
    return Queue(_state(grade(age, QUEUE_WARN, QUEUE_BAD)[0]), found["count"], round(age, 1))


def _feeds(slug: str) -> Iterator[FeedState]:
    rows = FeedHealth.objects.select_related("feed").filter(
        feed__competitions__status__in=LIVE_STATES
    )
    if slug:
        rows = rows.filter(feed__competitions__slug=slug)
    for row in rows.distinct().order_by("feed__slug"):
        failed = row.last_error_at is not None and (
            row.last_ok_at is None or row.last_error_at > row.last_ok_at
        )
        yield FeedState(
            row.feed.slug,
            FAILED if failed else OK,
            row.last_ok_at,
            row.last_error_at,
            row.last_error,
        )


def _acts(slug: str) -> Iterator[Act]:
    rows = AuditEvent.objects.order_by("-seq")
    rows = rows.filter(subject=slug) if slug else rows
    for row in rows[:ACTS_LENGTH]:
        yield Act(row.at, row.actor, row.action, row.subject, str(row.detail.get("reason", "")))


def _troubles(
    seasons: Sequence[SeasonState], parts: Sequence[Part], feeds: Sequence[FeedState], queue: Queue
) -> Iterator[str]:
    for part in parts:
        if part.state == FAILED:
            since = (
                "was never heard of"
                if part.age_seconds is None
                else f"has been silent for {part.age_seconds:.0f} s"
            )
            yield f"{part.name} {since}, and a season needs it"
    for season in seasons:
        if season.is_stale:
            yield f"{season.slug} runs and has told nothing since {season.last_event_at:%Y-%m-%d %H:%M:%S} UTC"
        if season.open_round and season.open_round.is_late:
            late = season.open_round
            yield f"{season.slug}: round {late.number} should have closed at {late.deadline_at:%H:%M:%S} UTC, {late.settled} of {late.turns} turns are settled"
    yield from (
        f"feed {feed.slug} fails: {feed.last_error}" for feed in feeds if feed.state == FAILED
    )
    if queue.state == FAILED:
        yield f"{queue.waiting} turns wait for a worker, the oldest for {queue.oldest_seconds:.0f} s"
