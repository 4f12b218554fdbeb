"""Addresses for the workers: ids in, one service call; each may be delivered never, once or five times, late, in parallel."""

from __future__ import annotations

import logging

from celery import shared_task
from django.utils import timezone

from competitions.models import Competition
from competitions.models.competitions import CompetitionStatus
from competitions.services import control
from competitions.services.advancing import advance_live
from competitions.services.driving import CHUNK, chunked, is_driven_elsewhere
from competitions.services.errors import ControlError
from competitions.services.feeding import watch_feeds
from competitions.services.leases import beat
from competitions.services.rounds import open_due_round, prepare_round
from competitions.services.sweeping import due_competitions, free_turns
from competitions.services.sweeping import sweep as find_left_over
from competitions.services.trials import left_trials
from competitions.services.trials import run_trial as run
from competitions.services.turns import play_turns as play
from competitions.services.watching import check_due_seasons

logger = logging.getLogger(__name__)

# The sweeper hands out again what nobody took: after an outage old copies expire, they do not pile up.
HANDED_OUT_SECONDS = 60


@shared_task(acks_late=True, ignore_result=True)
def open_due_rounds() -> None:
    """The clock's tick: open every round whose slot has come and hand it on; no network, no waiting."""
    now = timezone.now()
    for competition in due_competitions(now=now):
        if is_driven_elsewhere(competition, now=now):
            continue
        if competition.status == CompetitionStatus.SCHEDULED:
            start_scheduled.delay(str(competition.pk))
            continue
        try:
            round_ = open_due_round(competition.pk, now=timezone.now())
        except ControlError as error:
            logger.warning("not opened slug=%s: %s", competition.slug, error)
            continue
        if round_ is not None:
            start_round.delay(str(round_.pk))
    beat("clock", now=timezone.now())


@shared_task(acks_late=True, ignore_result=True, expires=HANDED_OUT_SECONDS)
def start_scheduled(competition_id: str) -> None:
    """Start a season whose time has come; asks the feed for its symbols, so not on the clock."""
    competition = Competition.objects.get(pk=competition_id)
    try:
        control.start_competition(competition, actor="clock", now=timezone.now())
    except ControlError as error:
        logger.warning("not started slug=%s: %s", competition.slug, error)


@shared_task(acks_late=True, ignore_result=True, expires=HANDED_OUT_SECONDS)
def start_round(round_id: str) -> None:
    """Capture a round's market and hand out its turns in chunks."""
    turn_ids = prepare_round(round_id, now=timezone.now())
    for chunk in chunked(turn_ids, CHUNK):
        play_turns.delay(round_id, [str(turn_id) for turn_id in chunk])


@shared_task(acks_late=True, ignore_result=True, expires=HANDED_OUT_SECONDS)
def play_turns(round_id: str, turn_ids: list[str]) -> None:
    """Play some turns of a round."""
    play(round_id, turn_ids)
    beat("worker", now=timezone.now())


@shared_task(acks_late=True, ignore_result=True)
def run_trial(trial_id: str) -> None:
    """Ask an agent on trial, once."""
    run(trial_id)


@shared_task(acks_late=True, ignore_result=True)
def sweep() -> None:
    """Hand out again what was left lying."""
    left = find_left_over(now=timezone.now())
    for round_id in left.unprepared:
        start_round.delay(str(round_id))
    for round_id, turn_ids in left.turns.items():
        for chunk in chunked(turn_ids, CHUNK):
            play_turns.delay(str(round_id), [str(turn_id) for turn_id in chunk])
    for trial_id in left_trials(now=timezone.now()):
        run_trial.delay(str(trial_id))
    beat("sweeper", now=timezone.now())


@shared_task(acks_late=True, ignore_result=True)
def advance_feeds() -> None:
    """Move the market on between rounds; has its own thread or process, since it waits for the network."""
    advance_live(now=timezone.now())
    watch_feeds(now=timezone.now())
    beat("feed", now=timezone.now())


@shared_task(acks_late=True, ignore_result=True, expires=HANDED_OUT_SECONDS)
def check_seasons() -> None:
    """Hold running seasons against their records; takes as long as it takes, so beside the clock."""
    note = check_due_seasons(now=timezone.now())
    beat("checker", now=timezone.now(), note=note)


def take_over() -> None:
    """Free what the last one-process arena held when it ended; its lock file says that it is gone."""
    freed = free_turns(now=timezone.now())
    if freed:
        logger.info("took over turns=%s", freed)
