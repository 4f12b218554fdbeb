"""Playing a season's rounds one after the other in this process, without the clock and without Celery."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.utils import timezone

from competitions.models import Competition, Round, Turn
from competitions.models.competitions import ClockKind, CompetitionStatus
from competitions.services.errors import ControlError
from competitions.services.leases import held_by_other, holder_name, release_lease, take_lease
from competitions.services.rounds import finish_round, open_due_round, prepare_round
from competitions.services.sweeping import DRIVE, resume_rounds
from competitions.services.turns import play_turns

LEASE_SECONDS = 120
CHUNK = 50
THREADS = 8


def driver_lease(competition: Competition) -> str:
    """Return the name of the lease that says who opens a season's rounds."""
    return f"{DRIVE}{competition.pk}"


def chunked(turn_ids: Sequence[UUID], size: int) -> list[Sequence[UUID]]:
    """Return the turns in chunks of ``size``, in order."""
    return [turn_ids[start : start + size] for start in range(0, len(turn_ids), size)]


def drive(
    competition: Competition,
    *,
    rounds: int | None,
    until: Callable[[], bool] = lambda: False,
    chunk: int = CHUNK,
) -> Iterator[Round]:
    """Play up to ``rounds`` more rounds (None: to the season's end) and yield each when it has closed.

    Takes the driver's lease, so that the clock leaves the season alone, and first finishes what an interrupted driver left. Extra rounds
    that were asked for meanwhile are played too; they count as none of ``rounds``.

    Raises:
        ControlError: If another driver holds the lease, or the season is not running.
    """
    holder, lease = holder_name("run_competition"), driver_lease(competition)
    _hold(competition, lease, holder)
    try:
        played = 0
        for round_ in _finish_left_over(competition, chunk=chunk):
            played += not round_.is_extra
            yield round_
        while (rounds is None or played < rounds) and not until():
            _hold(competition, lease, holder)
            round_id = _next_round(competition, lease, holder)
            if round_id is None:
                return
            round_ = _play(round_id, chunk=chunk)
            # Of an extra round a worker may play the turns: it is told when it has closed.
            if round_.closed_at is not None:
                played += not round_.is_extra
                yield round_
    finally:
        release_lease(lease, holder)


def _finish_left_over(competition: Competition, *, chunk: int) -> Iterator[Round]:
    left = resume_rounds(competition, now=timezone.now())
    for round_id in (*left.unprepared, *left.turns):
        yield _play(round_id, chunk=chunk)


def _hold(competition: Competition, lease: str, holder: str) -> None:
    """Take or renew the lease for longer than a round may last; raise ControlError when another has it."""
    seconds = LEASE_SECONDS + 2 * competition.deadline_seconds
    if not take_lease(lease, holder, seconds=seconds, now=timezone.now()):
        raise ControlError(
            f"{competition.slug} is being driven by another process; stop that one first"
        )


def _next_round(competition: Competition, lease: str, holder: str) -> UUID | None:
    """Open the next round, waiting for its slot on the wall clock, or find an extra one; None when the season is over or paused."""
    while True:
        round_ = open_due_round(competition.pk, now=timezone.now())
        if round_ is not None:
            return round_.pk
        extra = Round.objects.open().filter(competition=competition).first()
        if extra is not None and _is_free(extra):
            return extra.pk
        competition.refresh_from_db()
        if competition.status != CompetitionStatus.RUNNING:
            return None
        time.sleep(_seconds_to_wait(competition, now=timezone.now()))
        # A slot may be hours away.
        _hold(competition, lease, holder)


def _is_free(round_: Round) -> bool:
    """Tell whether there is something to do for a round that no worker is at."""
    turns = Turn.objects.filter(round=round_)
    return not turns.unsettled().exists() or turns.claimable(timezone.now()).exists()


def _seconds_to_wait(competition: Competition, *, now: datetime) -> float:
    if competition.clock == ClockKind.DATA or competition.next_due_at is None:
        return 0.05
    return min(max((competition.next_due_at - now).total_seconds(), 0.05), 1.0)


def _play(round_id: UUID | str, *, chunk: int) -> Round:
    turn_ids = prepare_round(round_id, now=timezone.now())
    chunks = chunked(turn_ids, chunk)
    if len(chunks) == 1:
        play_turns(round_id, chunks[0])
    elif chunks:
        with ThreadPoolExecutor(max_workers=min(THREADS, len(chunks))) as pool:
            list(pool.map(lambda ids: _play_chunk(round_id, ids), chunks))
    finish_round(round_id, now=timezone.now())
    return Round.objects.select_related("competition").get(pk=round_id)


def _play_chunk(round_id: UUID | str, turn_ids: Sequence[UUID]) -> None:
    try:
        play_turns(round_id, turn_ids)
    finally:
        connection.close()


def is_driven_elsewhere(competition: Competition, *, now: datetime) -> bool:
    """Tell whether a driver other than the clock opens this season's rounds."""
    return held_by_other(driver_lease(competition), "", now=now)
