"""Finding work that was left lying: everything is told by rows, so whoever comes next can go on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from competitions.models import Competition, Lease, Round, Turn
from competitions.models.competitions import ClockKind, CompetitionStatus
from competitions.models.rounds import TurnOutcome, TurnState
from competitions.services.leases import is_gone
from competitions.services.rounds import finish_round, seal_ended
from competitions.services.settling import settle_without_answer

CAPTURE_SECONDS = 15
# Prefix of the lease that says who opens a season's rounds.
DRIVE = "drive:"


@dataclass(frozen=True, slots=True)
class LeftOver:
    """Work to hand out again: rounds without a snapshot, and unsettled turns by round."""

    unprepared: tuple[UUID, ...]
    turns: dict[UUID, list[UUID]]


def sweep(*, now: datetime) -> LeftOver:
    """Close what can be closed, end what is past its deadline, and return what somebody must take up again."""
    unprepared: list[UUID] = []
    turns: dict[UUID, list[UUID]] = {}
    for round_ in Round.objects.open().select_related("competition").order_by("opened_at"):
        if round_.snapshot_id is None:
            if round_.opened_at < now - timedelta(seconds=CAPTURE_SECONDS):
                unprepared.append(round_.pk)
            continue
        left = _left_turns(round_, now=now)
        if left:
            turns[round_.pk] = left
        else:
            finish_round(round_.pk, now=now)
    seal_ended(now=now)
    return LeftOver(tuple(unprepared), turns)


def _left_turns(round_: Round, *, now: datetime) -> list[UUID]:
    claimable = Turn.objects.claimable(now).filter(round=round_)
    if round_.deadline_at < now:
        if round_.competition.clock == ClockKind.DATA:
            renew_deadline(round_, now=now)
        else:
            _end_unanswered(round_, now=now)
    return list(claimable.order_by("participant__ordinal").values_list("pk", flat=True))


def renew_deadline(round_: Round, *, now: datetime) -> None:
    """Give an interrupted round of a replay its time again: no market moves on meanwhile."""
    seconds = round_.competition.deadline_seconds
    Round.objects.open().filter(pk=round_.pk).update(deadline_at=now + timedelta(seconds=seconds))


def _end_unanswered(round_: Round, *, now: datetime) -> None:
    """Settle as timed out what nobody is asking any more and nobody answered."""
    lost = Turn.objects.claimable(now).filter(
        Q(state=TurnState.PENDING) | Q(state=TurnState.ASKED),
        round=round_,
        answered_at__isnull=True,
    )
    for turn in lost:
        settle_without_answer(
            turn.pk,
            turn.fence,
            TurnOutcome.TIMEOUT,
            reason="no answer by the round's deadline",
            now=now,
        )


def free_turns(*, now: datetime) -> int:
    """Free the unsettled turns of seasons that no driver holds, and return how many.

    Only for a process that knows itself to be the one that plays turns: the one-process arena at its start.
    """
    driven = [
        UUID(lease.name.removeprefix(DRIVE))
        for lease in Lease.objects.filter(name__startswith=DRIVE, until__gte=now)
        if not is_gone(lease.holder)
    ]
    held = Turn.objects.unsettled().filter(lease_until__gte=now)
    return held.exclude(round__competition__in=driven).update(lease_until=None)


def resume_rounds(competition: Competition, *, now: datetime) -> LeftOver:
    """Free what a dead driver of this season held, and return what is left; only for the one who has its lease."""
    open_rounds = Round.objects.open().filter(competition=competition)
    Turn.objects.unsettled().filter(round__in=open_rounds).update(lease_until=None)
    unprepared = tuple(open_rounds.filter(snapshot__isnull=True).values_list("pk", flat=True))
    turns: dict[UUID, list[UUID]] = {}
    for round_ in open_rounds.filter(snapshot__isnull=False).select_related("competition"):
        if competition.clock == ClockKind.DATA:
            renew_deadline(round_, now=now)
        left = Turn.objects.unsettled().filter(round=round_).order_by("participant__ordinal")
        turns[round_.pk] = list(left.values_list("pk", flat=True))
    return LeftOver(unprepared, turns)


def due_competitions(*, now: datetime) -> list[Competition]:
    """Return the competitions that the clock must look at now."""
    return list(Competition.objects.due(now).exclude(status=CompetitionStatus.PAUSED))
