"""What keeps drafts from starting, as far as their rows alone tell; no feed is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from uuid import UUID

from django.db.models import Count, Q

from competitions.models import Competition, Participant
from competitions.models.competitions import ClockKind, CompetitionStatus, FillRule
from marketdata.models.feeds import FeedKind
from trading.models.books import Venue

CLOCKS = {
    FeedKind.REPLAY: {ClockKind.DATA},
    FeedKind.BINANCE: {ClockKind.WALL},
    FeedKind.SYNTHETIC: {ClockKind.WALL, ClockKind.DATA},
}
UNSTARTED = (CompetitionStatus.DRAFT, CompetitionStatus.SCHEDULED)
NO_PARTICIPANT = "a competition needs at least one participant, found none"
NO_INSTRUMENT = "at least one enabled instrument is wanted, found none"


def unready_seasons(*, limit: int) -> list[tuple[Competition, list[str]]]:
    """Return the newest unstarted seasons that have problems, with those; two queries, however many there are."""
    enabled = Q(instruments__is_enabled=True)
    rows = list(
        Competition.objects.filter(status__in=UNSTARTED)
        .select_related("feed")
        .annotate(
            roster=Count("participants", distinct=True),
            traded=Count("instruments", filter=enabled, distinct=True),
        )
        .order_by("-created_at")[:limit]
    )
    disabled = _disabled(rows)
    found = [(row, [*_row_problems(row), *disabled.get(row.pk, ())]) for row in rows]
    return [(row, problems) for row, problems in found if problems]


def _disabled(rows: list[Competition]) -> Mapping[UUID, list[str]]:
    told: dict[UUID, list[str]] = defaultdict(list)
    out = Participant.objects.filter(competition__in=rows, agent__is_enabled=False)
    for participant in out.select_related("agent").order_by("ordinal"):
        told[participant.competition_id].append(disabled_agent(participant))
    return told


def _row_problems(row: Competition) -> Iterator[str]:
    if not row.roster:  # type: ignore[attr-defined]  # annotated
        yield NO_PARTICIPANT
    if not row.traded:  # type: ignore[attr-defined]  # annotated
        yield NO_INSTRUMENT
    yield from schedule_problems(row)
    yield from venue_problems(row)


def disabled_agent(participant: Participant) -> str:
    """Return the problem of a participant whose agent is disabled."""
    return f"{participant.name} uses the agent {participant.agent.slug}, which is disabled"


def venue_problems(competition: Competition) -> Iterator[str]:
    """Yield why its venue cannot be traded on."""
    if competition.venue != Venue.PAPER:
        yield f"the venue {competition.venue} cannot be armed yet; paper is the one that can"


def schedule_problems(competition: Competition) -> Iterator[str]:
    """Yield what its times, clock and fill rule say against each other. No queries but for the feed."""
    if (
        competition.starts_at
        and competition.ends_at
        and competition.ends_at <= competition.starts_at
    ):
        yield f"the end must be after the start, was {competition.ends_at:%Y-%m-%d %H:%M} with a start of {competition.starts_at:%Y-%m-%d %H:%M} UTC"
    clocks = CLOCKS[FeedKind(competition.feed.kind)]
    if ClockKind(competition.clock) not in clocks:
        yield f"a {competition.feed.kind} feed runs on the {' or '.join(sorted(clocks))} clock, was {competition.clock}"
    if competition.clock == ClockKind.WALL:
        if competition.fill_rule == FillRule.NEXT_BAR:
            yield "the fill rule next_bar needs the data's clock: on the wall clock the next bar is not known yet; use arrival or snapshot"
        if competition.deadline_seconds > competition.interval_seconds:
            yield f"the deadline must not be longer than the interval ({competition.interval_seconds} s), was {competition.deadline_seconds} s"
    elif competition.fill_rule == FillRule.ARRIVAL:
        yield "the fill rule arrival needs the wall clock; a replay fills by snapshot or next_bar"
