"""Opening rounds: the slot under the competition's lock, then the market, then the turns may be played."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from competitions.domain.slots import SlotPlan, is_beyond, plan_data_slot, plan_wall_slot
from competitions.models import Competition, Gap, Round, Turn
from competitions.models.competitions import ClockKind, CompetitionStatus
from competitions.models.events import EventKind
from competitions.models.participants import ParticipantState
from competitions.models.rounds import RoundKind, TurnOutcome, TurnState
from competitions.services import control
from competitions.services.advancing import advance_to_slot
from competitions.services.closing import close_round, seal_season
from competitions.services.market import capture_for, contract_of, no_data_reason
from competitions.services.opening import place_round
from competitions.services.tape import quote_events
from marketdata.models.snapshots import SnapshotStatus
from marketdata.services import CapturedSnapshot
from trading import services as trading

logger = logging.getLogger(__name__)


def open_due_round(competition_id: UUID | str, *, now: datetime) -> Round | None:
    """Open the round whose slot has come, or end the season; None when there is nothing to play.

    Fast and without network: called from the clock. A doubled call opens nothing twice, since number and slot are given under the
    competition's row lock and are unique.
    """
    with transaction.atomic():
        competition = (
            Competition.objects.select_for_update(of=("self",))
            .select_related("feed", "book")
            .get(pk=competition_id)
        )
        if competition.status != CompetitionStatus.RUNNING or competition.starts_at is None:
            return None
        running = Round.objects.open().filter(competition=competition).first()
        if running is not None:
            return None
        if competition.pause_after_round:
            # The process that closed the round ended before it could pause.
            _pause_after_round(competition, now=now)
            return None
        plan = plan_next(competition, now=now)
        if plan.slot_at is None or is_beyond(
            plan.slot_at,
            number=competition.scheduled_count + 1,
            ends_at=competition.ends_at,
            max_rounds=competition.max_rounds,
        ):
            _nothing_to_open(competition, plan, now=now)
            return None
        return _open(competition, plan, plan.slot_at, now=now)


def plan_next(competition: Competition, *, now: datetime) -> SlotPlan:
    """Return what the schedule of a started season says of ``now``; extra rounds do not change it. Queries once at most."""
    assert competition.starts_at is not None
    if competition.clock == ClockKind.DATA:
        return plan_data_slot(
            competition.starts_at, competition.last_slot_at, competition.interval_seconds
        )
    return plan_wall_slot(
        competition.starts_at, _last_or_missed(competition), competition.interval_seconds, now=now
    )


def _last_or_missed(competition: Competition) -> datetime | None:
    """Return the last slot that was played or told as missed."""
    last_gap = competition.gaps.order_by("-to_at").first()
    interval = timedelta(seconds=competition.interval_seconds)
    slots = [competition.last_slot_at, last_gap.to_at - interval if last_gap else None]
    return max((slot for slot in slots if slot is not None), default=None)


def _nothing_to_open(competition: Competition, plan: SlotPlan, *, now: datetime) -> None:
    _record_gap(competition, plan, now=now)
    following = plan.slot_at or plan.next_slot_at
    number = competition.scheduled_count + 1
    if is_beyond(
        following, number=number, ends_at=competition.ends_at, max_rounds=competition.max_rounds
    ):
        by_rounds = competition.max_rounds is not None and number > competition.max_rounds
        control.finish_competition(
            competition,
            reason=f"all {competition.max_rounds} rounds played"
            if by_rounds
            else "the end was reached",
            now=now,
        )
        return
    Competition.objects.filter(pk=competition.pk).update(next_due_at=plan.next_slot_at)


def _record_gap(competition: Competition, plan: SlotPlan, *, now: datetime) -> None:
    if plan.missed and plan.missed_from and plan.missed_to:
        Gap.objects.create(
            competition=competition,
            from_at=plan.missed_from,
            to_at=plan.missed_to,
            missed_slots=plan.missed,
            reason=_gap_reason(competition, plan.missed_from),
        )
        logger.warning("slots missed slug=%s count=%s", competition.slug, plan.missed)


def _gap_reason(competition: Competition, missed_from: datetime) -> str:
    last = competition.rounds.order_by("-number").first()
    if last is not None and last.closed_at is not None and last.closed_at > missed_from:
        return f"round {last.number} was still running"
    act = (
        competition.book.operator_acts.filter(kind="RESUME").order_by("-seq").first()
        if competition.book
        else None
    )
    if act is not None and act.at > missed_from:
        return "the season was paused"
    return "the arena was not running"


def _open(competition: Competition, plan: SlotPlan, slot_at: datetime, *, now: datetime) -> Round:
    _record_gap(competition, plan, now=now)
    roster = competition.participants.filter(state=ParticipantState.ACTIVE).order_by("ordinal")
    round_ = place_round(
        competition,
        roster,
        kind=RoundKind.SCHEDULED,
        slot_at=slot_at,
        deadline_at=now + timedelta(seconds=competition.deadline_seconds),
        now=now,
    )
    competition.last_slot_at = slot_at
    competition.next_due_at = plan.next_slot_at if competition.clock == ClockKind.WALL else None
    competition.save(update_fields=["round_count", "last_slot_at", "market_at", "next_due_at"])
    return round_


def prepare_round(round_id: UUID | str, *, now: datetime) -> list[UUID]:
    """Move the market on to the round's slot, capture its snapshot and tape, once, and return the ids of the turns to play.

    Network outside any transaction; of two that capture at once, the first to commit wins and the other's snapshot is never used.
    """
    round_ = Round.objects.select_related("competition__feed", "competition__book", "snapshot").get(
        pk=round_id
    )
    if round_.closed_at is not None:
        return []
    if round_.snapshot is None:
        contract = contract_of(round_.competition)
        advance_to_slot(round_, contract, now=now)
        captured = capture_for(round_, contract, now=now)
        _keep_capture(round_, captured, now=now)
        if captured.snapshot.status != SnapshotStatus.OK:
            hold_all(round_.pk, reason=no_data_reason(captured), now=now)
            finish_round(round_.pk, now=now)
            return []
    return list(
        Turn.objects.unsettled()
        .filter(round=round_)
        .order_by("participant__ordinal")
        .values_list("pk", flat=True)
    )


def _keep_capture(round_: Round, captured: CapturedSnapshot, *, now: datetime) -> None:
    competition = round_.competition
    has_data = captured.snapshot.status == SnapshotStatus.OK
    events = [*quote_events(captured.quotes), *quote_events(captured.opens)] if has_data else []
    with transaction.atomic():
        Competition.objects.select_for_update().get(pk=competition.pk)
        current = Round.objects.select_for_update().get(pk=round_.pk)
        if current.snapshot_id is not None:
            return
        position = trading.append_tape(competition.opened_book.pk, events, now=now)
        current.snapshot = captured.snapshot
        current.has_data = has_data
        current.first_tape_position = position
        current.save(update_fields=["snapshot", "has_data", "first_tape_position"])


def hold_all(round_id: UUID | str, *, reason: str, now: datetime) -> None:
    """Settle every open turn of a round as held, for the same reason."""
    Turn.objects.unsettled().filter(round_id=round_id).update(
        state=TurnState.SETTLED,
        outcome=TurnOutcome.HELD,
        reason=reason,
        settled_at=now,
        lease_until=None,
    )


def finish_round(round_id: UUID | str, *, now: datetime) -> bool:
    """Close a round whose turns are all settled, then do what waits for its end: a pause, the season's end, the seal."""
    if not close_round(round_id, now=now):
        return False
    competition = Competition.objects.get(rounds__pk=round_id)
    if competition.is_over:
        seal_season(competition, _end_event(competition), now=now)
    elif competition.pause_after_round:
        _pause_after_round(competition, now=now)
    elif (
        competition.max_rounds is not None and competition.scheduled_count >= competition.max_rounds
    ):
        control.finish_competition(
            competition, reason=f"all {competition.max_rounds} rounds played", now=now
        )
    return True


def seal_ended(*, now: datetime) -> None:
    """Seal the seasons that ended in a process which did not live to do it."""
    for competition in Competition.objects.filter(finished_at__isnull=False, season_digest=""):
        seal_season(competition, _end_event(competition), now=now)


def _pause_after_round(competition: Competition, *, now: datetime) -> None:
    control.pause_competition(
        competition, actor="system", reason="pause after the round", after_round=False, now=now
    )


def _end_event(competition: Competition) -> str:
    if competition.status == CompetitionStatus.FINISHED:
        return EventKind.COMPETITION_FINISHED
    return EventKind.COMPETITION_STOPPED
