"""What an operator looks at: seasons to act on, health with its age, the audit log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Min, Q, QuerySet

from agents.models import Provider
from agents.providers import key_in_use
from competitions.models import AuditEvent, Competition, Heartbeat, Turn
from competitions.models.competitions import CompetitionStatus
from competitions.models.rounds import Round, TurnState
from competitions.selectors.holdings import PositionView, position_view
from competitions.selectors.market import closing_marks
from competitions.selectors.seasons import (
    LIVE_STATES,
    load_season,
    mode_of,
    next_slot_at,
    total_rounds,
)
from competitions.templatetags.arena_format import duration
from marketdata.models import FeedHealth
from trading.models import OperatorAct, Position
from trading.models.books import BookState, Venue

AUDIT_LENGTH = 30
LENGTH = 40
OK, WARN, BAD = "ok", "warn", "bad"
# After how many seconds of silence a part's tile turns: first to a warning, then to trouble.
BEATS: Mapping[str, tuple[str, str, float, float]] = {
    "clock": ("Clock", "opens rounds each second", 3, 10),
    "sweeper": ("Sweeper", "finds what was left lying", 12, 30),
    "feed": ("Feeds", "watched between rounds", 6, 30),
}
QUEUE_WARN, QUEUE_BAD = 30.0, 90.0


@dataclass(frozen=True, slots=True)
class Run:
    """A season that can be acted on; ``settled`` of ``turns`` in the open round, if any."""

    competition: Competition
    mode: str
    status: str
    status_label: str
    total_rounds: int | None
    next_at: datetime | None
    left: timedelta | None
    participants: int
    open_round: int | None
    settled: int
    turns: int
    positions: tuple[PositionView, ...]
    last_act: OperatorAct | None

    @property
    def is_ready(self) -> bool:
        """Tell that it has not started."""
        return self.status in {CompetitionStatus.DRAFT, CompetitionStatus.SCHEDULED}


@dataclass(frozen=True, slots=True)
class Tile:
    """One part's health: its state, what it says, and how old that is."""

    name: str
    state: str
    word: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Console:
    """The operator's page."""

    runs: tuple[Run, ...]
    ready: tuple[Run, ...]
    leftover: tuple[Run, ...]
    tiles: tuple[Tile, ...]
    keys: tuple[tuple[str, str, bool], ...]
    audit: tuple[AuditEvent, ...]
    audit_count: int
    now: datetime

    @property
    def troubles(self) -> tuple[Tile, ...]:
        return tuple(tile for tile in self.tiles if tile.state != OK)


def console_of(*, now: datetime) -> Console:
    """Return everything on the operator's page. Queries a few times per season that holds positions."""
    runs = _runs(now=now)
    return Console(
        runs=tuple(run for run in runs if run.status in LIVE_STATES),
        ready=tuple(run for run in runs if run.is_ready),
        leftover=tuple(run for run in runs if run.competition.is_over and run.positions),
        tiles=tiles_of(now=now),
        keys=tuple(_keys()),
        audit=tuple(AuditEvent.objects.order_by("-seq")[:AUDIT_LENGTH]),
        audit_count=AuditEvent.objects.count(),
        now=now,
    )


def tiles_of(*, now: datetime) -> tuple[Tile, ...]:
    """Return the health of every part; three queries."""
    return (*_beats(now=now), _queue(now=now), *_feeds(now=now))


def run_of(competition: Competition, *, now: datetime) -> Run:
    """Return one season as the console shows it."""
    row = _rows().get(pk=competition.pk)
    return _as_runs([row], now=now)[0]


def _rows() -> QuerySet[Competition]:
    return Competition.objects.select_related("feed", "book").annotate(roster=Count("participants"))


def _runs(*, now: datetime) -> list[Run]:
    """Return what can be acted on: live and unstarted seasons, and ended ones that are not closed out.

    On paper an ended season keeps its positions at the mark; only where its book was halted, or where the
    venue is a real one, is what is left open somebody's business.
    """
    unstarted = [CompetitionStatus.DRAFT, CompetitionStatus.SCHEDULED]
    over = [CompetitionStatus.FINISHED, CompetitionStatus.STOPPED, CompetitionStatus.FAILED]
    unsettled = Q(book__state=BookState.HALTED) | ~Q(venue=Venue.PAPER)
    rows = _rows().filter(Q(status__in=[*LIVE_STATES, *unstarted]) | Q(unsettled, status__in=over))
    return _as_runs(list(rows.order_by("-started_at", "created_at")[:LENGTH]), now=now)


def _as_runs(rows: Sequence[Competition], *, now: datetime) -> list[Run]:
    held: dict[UUID | None, list[Position]] = defaultdict(list)
    books = [row.book_id for row in rows if row.book_id]
    for position in (
        Position.objects.open().filter(account__book__in=books).select_related("account")
    ):
        held[position.account.book_id].append(position)
    progress, acts = _progress(rows), _last_acts(rows)
    return [_run(row, held[row.book_id], progress, acts, now=now) for row in rows]


def _run(
    row: Competition,
    positions: Sequence[Position],
    progress: Mapping[UUID, tuple[int, int, int]],
    acts: Mapping[UUID, OperatorAct],
    *,
    now: datetime,
) -> Run:
    views: tuple[PositionView, ...] = ()
    if positions:
        season = load_season(row)
        marks = closing_marks(season)
        ordered = sorted(
            positions, key=lambda item: (season.by_account[item.account_id].ordinal, item.symbol)
        )
        views = tuple(position_view(season, position, marks) for position in ordered)
    number, settled, turns = progress.get(row.pk, (None, 0, 0))
    next_at = next_slot_at(row)
    status = CompetitionStatus(row.status)
    return Run(
        competition=row,
        mode=mode_of(row),
        status=status.value,
        status_label=str(status.label),
        total_rounds=total_rounds(row),
        next_at=next_at,
        left=max(next_at - now, timedelta(0)) if next_at else None,
        participants=row.roster,  # type: ignore[attr-defined]  # annotated
        open_round=number,
        settled=settled,
        turns=turns,
        positions=views,
        last_act=acts.get(row.book_id) if row.book_id else None,
    )


def _progress(rows: Sequence[Competition]) -> dict[UUID, tuple[int, int, int]]:
    """Return number, settled turns and turns of each open round, by competition."""
    done = Count("turns", filter=Q(turns__state=TurnState.SETTLED))
    found = (
        Round.objects.open()
        .filter(competition__in=rows)
        .annotate(settled=done, total=Count("turns"))
        .values_list("competition_id", "number", "settled", "total")
    )
    return {competition: (number, settled, total) for competition, number, settled, total in found}


def _last_acts(rows: Sequence[Competition]) -> dict[UUID, OperatorAct]:
    books = [row.book_id for row in rows if row.book_id]
    acts = OperatorAct.objects.filter(book__in=books).order_by("seq")
    return {act.book_id: act for act in acts}


def grade(seconds: float, warn: float, bad: float) -> tuple[str, str]:
    """Return state and word of a part that was last heard of so many seconds ago."""
    if seconds > bad:
        return BAD, "Silent"
    return (WARN, "Slow") if seconds > warn else (OK, "OK")


def _beats(*, now: datetime) -> list[Tile]:
    seen = {row.name: row for row in Heartbeat.objects.all()}
    tiles = []
    for name, (label, note, warn, bad) in BEATS.items():
        row = seen.pop(name, None)
        if row is None:
            tiles.append(Tile(label, BAD, "Unknown", "—", "never heard of"))
            continue
        age = now - row.at
        state, word = grade(age.total_seconds(), warn, bad)
        tiles.append(Tile(label, state, word, f"{duration(age)} ago", row.note or note))
    # Parts that beat only when they have work: no age is too old for them.
    tiles += [
        Tile(
            row.name.capitalize(),
            OK,
            "OK",
            f"{duration(now - row.at)} ago",
            row.note or "last work done",
        )
        for row in seen.values()
    ]
    return tiles


def _queue(*, now: datetime) -> Tile:
    waiting: dict[str, Any] = Turn.objects.claimable(now).aggregate(
        count=Count("pk"), oldest=Min("round__opened_at")
    )
    if not waiting["count"]:
        return Tile("Turns waiting", OK, "OK", "0", "every turn is held or settled")
    age = now - waiting["oldest"]
    state, word = grade(age.total_seconds(), QUEUE_WARN, QUEUE_BAD)
    return Tile("Turns waiting", state, word, f"{waiting['count']}", f"oldest for {duration(age)}")


def _feeds(*, now: datetime) -> list[Tile]:
    rows = FeedHealth.objects.select_related("feed").filter(
        feed__competitions__status__in=LIVE_STATES
    )
    return [_feed_tile(row, now=now) for row in rows.distinct()]


def _feed_tile(row: FeedHealth, *, now: datetime) -> Tile:
    failed = row.last_error_at is not None and (
        row.last_ok_at is None or row.last_error_at > row.last_ok_at
    )
    if failed and row.last_error_at is not None:
        note = f"{row.last_error[:120]} · {duration(now - row.last_error_at)} ago"
        return Tile(row.feed.name, BAD, "Failing", "no good answer", note)
    value = f"{duration(now - row.last_ok_at)} ago" if row.last_ok_at else "—"
    return Tile(row.feed.name, OK, "OK", value, "last good answer")


def _keys() -> list[tuple[str, str, bool]]:
    """Return name, where its key comes from and whether it is there, of every provider that a participant uses; never a key."""
    used = Provider.objects.filter(agents__participants__isnull=False)
    rows = used.exclude(key__isnull=True, key_variable="").distinct().order_by("slug")
    found = [(row.name, key_in_use(row)) for row in rows]
    return [(name, key.origin, not key.is_missing) for name, key in found]
