"""Extra rounds: a turn beside the schedule, for those who were asked for, that costs nobody a slot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from competitions.models import Competition, Participant, Round, Turn
from competitions.models.competitions import ClockKind, CompetitionStatus
from competitions.models.participants import ParticipantState
from competitions.models.rounds import RoundKind
from competitions.services.audit import record_act
from competitions.services.errors import ControlError
from competitions.services.opening import place_round
from competitions.services.rounds import plan_next

# With less time than this before the next slot nobody could answer.
LEAST_TIME = timedelta(seconds=2)


def open_extra_round(
    competition: Competition, participants: Collection[Participant], *, actor: str, now: datetime
) -> Round:
    """Open an EXTRA round for some participants of a running season, at the market time that it has reached.

    The schedule stays as it is: the round takes no slot, does not count towards ``max_rounds`` and, on the wall clock, ends with
    the next slot at the latest.

    Raises:
        ControlError: When it is not possible now: the season does not run, a round is open or due, the end is reached, somebody does
            not play any more or had an extra turn since the last slot.
    """
    with transaction.atomic():
        locked = (
            Competition.objects.select_for_update(of=("self",))
            .select_related("book")
            .get(pk=competition.pk)
        )
        _check_runs(locked)
        slot_at, deadline_at = _times(locked, now=now)
        roster = _roster(locked, participants)
        round_ = place_round(
            locked,
            roster,
            kind=RoundKind.EXTRA,
            slot_at=slot_at,
            deadline_at=deadline_at,
            asked_by=actor,
            now=now,
        )
        locked.extra_count += 1
        locked.save(update_fields=["round_count", "extra_count", "market_at"])
        names = ", ".join(participant.slug for participant in roster)
        record_act(
            "extra round",
            locked.slug,
            actor=actor,
            now=now,
            round=str(round_.number),
            participants=names,
        )
    return round_


def _check_runs(competition: Competition) -> None:
    if competition.status != CompetitionStatus.RUNNING:
        raise ControlError(
            f"{competition.slug} is {competition.status}, RUNNING is wanted for an extra round"
        )
    if competition.last_slot_at is None:
        raise ControlError(
            f"the first round of {competition.slug} has not been opened yet, an extra one comes after it"
        )
    if competition.pause_after_round:
        raise ControlError(f"{competition.slug} is about to pause")
    running = Round.objects.open().filter(competition=competition).first()
    if running is not None:
        raise ControlError(
            f"round {running.number} of {competition.slug} is being played, ask again when it has closed"
        )


def _times(competition: Competition, *, now: datetime) -> tuple[datetime, datetime]:
    """Return the round's market time and the wall time of its deadline.

    A replay stands still between its slots: there the round sees the market of the last one, and nothing later.
    """
    assert competition.market_at is not None
    deadline_at = now + timedelta(seconds=competition.deadline_seconds)
    if competition.clock == ClockKind.DATA:
        return competition.market_at, deadline_at
    # Whoever waited for the lock has a time that may have passed.
    now = max(now, competition.market_at)
    if competition.ends_at is not None and now >= competition.ends_at:
        raise ControlError(
            f"{competition.slug} has reached its end, {competition.ends_at:%Y-%m-%d %H:%M} UTC"
        )
    plan = plan_next(competition, now=now)
    if plan.slot_at is not None:
        raise ControlError(f"the next round of {competition.slug} is due and comes first")
    if plan.next_slot_at - now < LEAST_TIME:
        left = (plan.next_slot_at - now).total_seconds()
        raise ControlError(
            f"the next round of {competition.slug} comes in {left:.1f} s, at least {LEAST_TIME.total_seconds():.0f} s are wanted"
        )
    return now, min(deadline_at, plan.next_slot_at)


def _roster(competition: Competition, participants: Collection[Participant]) -> list[Participant]:
    wanted = {participant.pk for participant in participants}
    roster = list(competition.participants.filter(pk__in=wanted).order_by("ordinal"))
    if not roster or len(roster) < len(wanted):
        raise ControlError(
            f"participants of {competition.slug} are wanted, found {len(roster)} of {len(wanted)}"
        )
    for participant in roster:
        if participant.state != ParticipantState.ACTIVE:
            raise ControlError(
                f"{participant.name} is {participant.state}, ACTIVE is wanted for an extra turn"
            )
    had = _had_one(competition, roster)
    if had:
        raise ControlError(
            f"{', '.join(had)} had an extra turn since the last slot, one between two slots is the most"
        )
    return roster


def _had_one(competition: Competition, roster: Sequence[Participant]) -> list[str]:
    """Return the names of those who had an extra turn since the last scheduled round was opened."""
    scheduled = competition.rounds.filter(kind=RoundKind.SCHEDULED).order_by("-number")
    last = scheduled.values_list("number", flat=True).first()
    turns = Turn.objects.filter(
        participant__in=roster, round__competition=competition, round__number__gt=last or 0
    )
    return list(turns.order_by("participant__ordinal").values_list("participant__name", flat=True))
