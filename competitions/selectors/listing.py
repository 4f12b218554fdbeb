"""All competitions, for the first page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from competitions.models import Competition, Participant
from competitions.models.competitions import CompetitionStatus
from competitions.selectors.board import idle_among, last_turns, ranks_of
from competitions.selectors.chart import Chart, ChartView
from competitions.selectors.roles import Asker
from competitions.selectors.season_page import chart_of
from competitions.selectors.seasons import (
    LIVE_STATES,
    Entrant,
    entrant_of,
    listed_to,
    load_season,
    mode_of,
    next_slot_at,
    total_rounds,
)
from competitions.templatetags.arena_format import interval
from trading.models import EquityPoint, Standing

LIMIT = 24
PODIUM = 4
SPARK_LINES = 3
SPARK_ROUNDS = 200
SPARK_WIDTH, SPARK_HEIGHT = 2080, 1000


@dataclass(frozen=True, slots=True)
class Place:
    """One line of a podium; ``rank`` is None for a baseline among models."""

    rank: int | None
    entrant: Entrant
    equity: Decimal
    earned: Decimal


@dataclass(frozen=True, slots=True)
class Spark:
    """Small equity lines; ``reference`` is the height of the start line."""

    strokes: tuple[tuple[Entrant, str], ...]
    reference: int


@dataclass(frozen=True, slots=True)
class Card:
    """One competition in a list; ``progress`` in percent, None without an end."""

    competition: Competition
    mode: str
    status: str
    status_label: str
    blurb: str
    models: int
    baselines: int
    total_rounds: int | None
    progress: int | None
    next_at: datetime | None
    left: timedelta | None
    podium: tuple[Place, ...]
    spark: Spark | None


@dataclass(frozen=True, slots=True)
class Home:
    """The first page: what runs (the first of them large, with its chart), what comes, what was."""

    hero: Card | None
    chart: Chart | None
    running: tuple[Card, ...]
    upcoming: tuple[Card, ...]
    finished: tuple[Card, ...]
    now: datetime

    @property
    def is_empty(self) -> bool:
        return not (self.hero or self.upcoming or self.finished)


def home_of(user: Asker, *, now: datetime) -> Home:
    """Return the competitions that are listed for ``user``. Queries at most a dozen times, however many there are."""
    rows = _listed(user)
    rosters = _rosters(rows)
    places = _places(rows, rosters)
    sparks = _sparks(rows, places)
    cards = [
        _card(row, rosters[row.pk], places[row.pk], sparks.get(row.pk), now=now) for row in rows
    ]
    running = [card for card in cards if card.status in LIVE_STATES]
    hero = running[0] if running else None
    return Home(
        hero=hero,
        chart=chart_of(load_season(hero.competition), ChartView()) if hero else None,
        running=tuple(running[1:]),
        upcoming=tuple(card for card in cards if card.status == CompetitionStatus.SCHEDULED),
        finished=tuple(card for card in cards if card.competition.is_over),
        now=now,
    )


def _listed(user: Asker) -> list[Competition]:
    listed = listed_to(user).select_related("feed")
    over = [CompetitionStatus.FINISHED, CompetitionStatus.STOPPED, CompetitionStatus.FAILED]
    live = listed.filter(status__in=LIVE_STATES).order_by("-status", "-started_at")[:LIMIT]
    upcoming = listed.filter(status=CompetitionStatus.SCHEDULED).order_by("starts_at")[:LIMIT]
    finished = listed.filter(status__in=over).order_by("-finished_at")[:LIMIT]
    return [*live, *upcoming, *finished]


def _rosters(rows: Sequence[Competition]) -> Mapping[UUID, list[Entrant]]:
    found: dict[UUID, list[Entrant]] = defaultdict(list)
    roster = Participant.objects.filter(competition__in=rows).select_related("agent__provider")
    for row in roster.order_by("ordinal"):
        found[row.competition_id].append(entrant_of(row))
    return found


def _places(
    rows: Sequence[Competition], rosters: Mapping[UUID, list[Entrant]]
) -> Mapping[UUID, list[Place]]:
    """Return each competition's leaderboard, those with a rank first. Queries twice."""
    standings = {
        row.account_id: row for row in Standing.objects.filter(account__book__competition__in=rows)
    }
    idle = idle_among(last_turns(rows))
    return {row.pk: list(_ranked(rosters[row.pk], standings, idle)) for row in rows}


def _ranked(
    roster: Iterable[Entrant], standings: Mapping[UUID, Standing], idle: Collection[UUID]
) -> Iterable[Place]:
    entered = [
        (entrant, standings[entrant.account_id])
        for entrant in roster
        if entrant.account_id is not None and entrant.account_id in standings
    ]
    entered.sort(key=lambda pair: (-pair[1].equity, pair[0].ordinal))
    ranks = ranks_of(entered, idle)
    unranked = len(entered) + 1
    entered.sort(key=lambda pair: ranks.get(pair[0].id, unranked))
    for entrant, row in entered:
        yield Place(ranks.get(entrant.id), entrant, row.equity, row.equity / row.start_capital - 1)


def _sparks(
    rows: Sequence[Competition], places: Mapping[UUID, list[Place]]
) -> Mapping[UUID, Spark]:
    """Return the lines of the first three of every running competition but the first, which has a chart."""
    drawn = [row for row in rows if row.status in LIVE_STATES][1:]
    wanted = Q(pk__in=[])
    for row in drawn:
        accounts = [place.entrant.account_id for place in places[row.pk][:SPARK_LINES]]
        wanted |= Q(account__in=accounts, number__gte=row.round_count - SPARK_ROUNDS)
    points: dict[UUID, list[Decimal]] = defaultdict(list)
    if drawn:
        found = EquityPoint.objects.filter(wanted).order_by("account_id", "number")
        for account, equity in found.values_list("account_id", "equity"):
            points[account].append(equity)
    return {row.pk: _spark(places[row.pk][:SPARK_LINES], points, row) for row in drawn}


def _spark(
    places: Sequence[Place], points: Mapping[UUID, list[Decimal]], row: Competition
) -> Spark:
    lines = [
        (place.entrant, points[place.entrant.account_id])
        for place in places
        if place.entrant.account_id is not None and len(points[place.entrant.account_id]) > 1
    ]
    capital = row.initial_capital
    values = [value for _, line in lines for value in line]
    low, high = min([*values, capital]), max([*values, capital])
    span = high - low or Decimal(1)

    def height(value: Decimal) -> int:
        return 60 + int((high - value) / span * (SPARK_HEIGHT - 120))

    strokes = tuple((entrant, _steps([height(value) for value in line])) for entrant, line in lines)
    return Spark(tuple(reversed(strokes)), height(capital))


def _steps(heights: Sequence[int]) -> str:
    width = SPARK_WIDTH / (len(heights) - 1)
    parts = [f"M0 {heights[0]}"]
    parts += [f"H{place * width:.0f}V{height}" for place, height in enumerate(heights[1:], start=1)]
    return "".join(parts)


def _card(
    row: Competition,
    roster: Sequence[Entrant],
    places: Sequence[Place],
    spark: Spark | None,
    *,
    now: datetime,
) -> Card:
    total = total_rounds(row)
    next_at = next_slot_at(row)
    status = CompetitionStatus(row.status)
    return Card(
        competition=row,
        mode=mode_of(row),
        status=status.value,
        status_label=str(status.label),
        blurb=f"{row.feed.name}, a round every {interval(row.interval_seconds)}, {row.max_leverage}\u00d7 at most",
        models=sum(not entrant.is_baseline for entrant in roster),
        baselines=sum(entrant.is_baseline for entrant in roster),
        total_rounds=total,
        progress=min(100, 100 * row.round_count // total) if total else None,
        next_at=next_at,
        left=max(next_at - now, timedelta(0)) if next_at else None,
        podium=tuple(places[:PODIUM]),
        spark=spark,
    )
