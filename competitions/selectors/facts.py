"""The head of a competition's page: state, countdown, round, length, roster, capital, rules' hash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from competitions.models.competitions import ClockKind, CompetitionStatus
from competitions.models.rounds import Round, RoundState
from competitions.selectors.seasons import (
    LIVE_STATES,
    Season,
    next_slot_at,
    planned_rounds,
    stale_after_seconds,
)

RING_PARTS = 12


@dataclass(frozen=True, slots=True)
class Facts:
    """What is fixed or counting; lengths as timedeltas, None where it does not apply.

    ``is_market_time`` tells that elapsed and total are the replayed period's.
    """

    status: str
    status_label: str
    round_count: int
    total_rounds: int | None
    is_round_open: bool
    next_at: datetime | None
    left: timedelta | None
    ring_passed: int
    elapsed: timedelta | None
    total: timedelta | None
    is_market_time: bool
    last_event_at: datetime | None
    stale_seconds: int

    def is_stale(self, now: datetime) -> bool:
        """Tell whether a running season has been silent for too long."""
        if not self.stale_seconds or self.last_event_at is None:
            return False
        return now - self.last_event_at > timedelta(seconds=self.stale_seconds)


def facts_of(season: Season, *, now: datetime) -> Facts:
    """Return the head's figures. Queries twice: the last round, the last event."""
    competition = season.competition
    last = Round.objects.filter(competition=competition).order_by("-number").first()
    event = competition.events.order_by("-seq").values_list("at", flat=True).first()
    next_at = next_slot_at(competition)
    left = None if next_at is None else max(next_at - now, timedelta(0))
    elapsed, total = _lengths(season, now=now)
    status = CompetitionStatus(competition.status)
    return Facts(
        status=status.value,
        status_label=str(status.label),
        round_count=competition.round_count,
        total_rounds=season.total_rounds,
        is_round_open=last is not None and last.state == RoundState.OPEN,
        next_at=next_at,
        left=left,
        ring_passed=_ring_passed(left, competition.interval_seconds),
        elapsed=elapsed,
        total=total,
        is_market_time=competition.clock == ClockKind.DATA,
        last_event_at=event,
        stale_seconds=stale_after_seconds(competition)
        if status == CompetitionStatus.RUNNING
        else 0,
    )


def _ring_passed(left: timedelta | None, interval_seconds: int) -> int:
    if left is None:
        return 0
    remaining = ceil(RING_PARTS * left.total_seconds() / interval_seconds)
    return RING_PARTS - min(RING_PARTS, remaining)


def _lengths(season: Season, *, now: datetime) -> tuple[timedelta | None, timedelta | None]:
    """Return how long the season has run and how long it is, in the time its slots are told in."""
    competition = season.competition
    start = competition.starts_at
    rounds = planned_rounds(competition)
    total = None
    if rounds is not None:
        total = timedelta(seconds=rounds * competition.interval_seconds)
    if start is None or competition.started_at is None:
        return None, total
    if competition.clock == ClockKind.DATA:
        reached = competition.market_at or start
    else:
        reached = now if competition.status in LIVE_STATES else competition.finished_at or now
    return max(reached - start, timedelta(0)), total
