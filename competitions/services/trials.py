"""Trials: the real prompt, a real answer, the rules' word on it, and nothing traded. Each asks its model once at most."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from agents import services as agents
from agents.domain.context import DecisionContext
from agents.domain.prompts import Messages, build_messages
from agents.models import Agent, Completion
from agents.models.answers import DecisionStatus
from agents.providers import CallRequest, RawCompletion, api_key_for, open_client
from competitions.models import Competition, Participant, Trial
from competitions.models.competitions import CompetitionStatus
from competitions.models.trials import TrialOutcome, TrialState
from competitions.services.asking import ATTEMPTS, request_of, why_not_asked
from competitions.services.audit import record_act
from competitions.services.errors import ControlError, TooOften
from competitions.services.rehearsing import Scene, context_of, scene_of, verdicts_of
from marketdata.feeds import FeedError

logger = logging.getLogger(__name__)

PER_HOUR = 10
HOUR = timedelta(hours=1)
# In how long one that is under way is likely to be over.
LIKELY_SECONDS = 10
# What a lease covers beside the asking: the snapshot before it, the verdicts after it.
LEASE_GRACE = timedelta(seconds=60)
# Nobody took it up for so long: its message was lost.
LOST_SECONDS = 15
UNSTARTED = {CompetitionStatus.DRAFT, CompetitionStatus.SCHEDULED}
OUTCOMES = {
    DecisionStatus.VALID: TrialOutcome.READ,
    DecisionStatus.REPAIRED: TrialOutcome.READ,
    DecisionStatus.INVALID: TrialOutcome.INVALID,
    DecisionStatus.REFUSED: TrialOutcome.REFUSED,
    DecisionStatus.TIMEOUT: TrialOutcome.TIMEOUT,
    DecisionStatus.ERROR: TrialOutcome.ERROR,
}


def is_before_rounds(competition: Competition) -> bool:
    """Tell whether a triggered invocation is a trial: the first round has not been opened, so there is nothing to trade in."""
    is_waiting = (
        competition.status == CompetitionStatus.RUNNING and competition.last_slot_at is None
    )
    return competition.status in UNSTARTED or is_waiting


def request_trials(
    competition: Competition, participants: Collection[Participant], *, actor: str, now: datetime
) -> list[Trial]:
    """Make a trial for each of the participants, all or none; somebody must then run them.

    Raises:
        ControlError: If the season's rounds have begun, or nobody takes part.
        TooOften: If one of them has a trial under way, or had ten within the hour.
    """
    with transaction.atomic():
        # The competition's lock keeps two requests at once from counting the same trials.
        locked = Competition.objects.select_for_update().get(pk=competition.pk)
        if not is_before_rounds(locked):
            raise ControlError(
                f"the rounds of {locked.slug} have begun (it is {locked.status}), a trial comes before them"
            )
        if not participants:
            raise ControlError(f"nobody takes part in {locked.slug} yet, so nobody can be tried")
        for participant in participants:
            _check_limit(participant, now=now)
        return [
            _make(locked, participant.agent, participant, actor=actor, now=now)
            for participant in sorted(participants, key=lambda row: row.ordinal)
        ]


def _check_limit(participant: Participant, *, now: datetime) -> None:
    trials = Trial.objects.filter(participant=participant)
    if trials.unfinished().exists():
        raise TooOften(f"a trial of {participant.name} is under way", retry_after=LIKELY_SECONDS)
    recent = trials.filter(requested_at__gt=now - HOUR).order_by("-requested_at")
    times = list(recent.values_list("requested_at", flat=True)[:PER_HOUR])
    if len(times) == PER_HOUR:
        left = (times[-1] + HOUR - now).total_seconds()
        raise TooOften(
            f"{participant.name} had {PER_HOUR} trials within the hour, that is the most",
            retry_after=max(1, int(left) + 1),
        )


def request_agent_trial(
    agent: Agent, competition: Competition, *, symbols: Sequence[str], actor: str, now: datetime
) -> Trial:
    """Make a trial of an agent that need not take part in the competition whose market and rules it is asked about."""
    with transaction.atomic():
        return _make(competition, agent, None, symbols=symbols, actor=actor, now=now)


def _make(
    competition: Competition,
    agent: Agent,
    participant: Participant | None,
    *,
    symbols: Sequence[str] = (),
    actor: str,
    now: datetime,
) -> Trial:
    trial = Trial.objects.create(
        competition=competition,
        agent=agent,
        participant=participant,
        symbols=list(symbols),
        asked_by=actor,
        requested_at=now,
    )
    record_act(
        "trial", competition.slug, actor=actor, now=now, agent=agent.slug, trial=trial.trial_key
    )
    return trial


def left_trials(*, now: datetime) -> list[UUID]:
    """Return the trials that nobody runs, for want of a message or of the one who began."""
    lost = Trial.objects.claimable(now).filter(
        requested_at__lt=now - timedelta(seconds=LOST_SECONDS)
    )
    return list(lost.order_by("requested_at").values_list("pk", flat=True))


def run_trial(trial_id: UUID | str) -> None:
    """Run a trial to its end; nothing happens when another runs it or it is done.

    Network inside, so never in a transaction. The model is asked by the first run alone: one that was cut off before its answer was
    stored ends as an error and is not paid for again.
    """
    trial = _claim(trial_id, now=timezone.now())
    if trial is None:
        return
    asked = Completion.objects.filter(turn_key=trial.trial_key).order_by("-attempt").first()
    if asked is None and trial.deadline_at is not None:
        _finish(trial, TrialOutcome.ERROR, "the arena was interrupted while the model was asked")
        return
    reason = why_not_asked(trial.agent, trial.agent.name)
    if reason and asked is None:
        _finish(trial, TrialOutcome.SKIPPED, reason)
        return
    try:
        scene = scene_of(trial, now=timezone.now())
        context = None if asked else context_of(trial.competition, scene)
    except (ControlError, FeedError, ValueError) as error:
        _finish(trial, TrialOutcome.SKIPPED, str(error))
        return
    completion = asked if context is None else _ask(trial, scene, context)
    if completion is not None:
        _judge(trial, scene, completion)


def _claim(trial_id: UUID | str, *, now: datetime) -> Trial | None:
    found = Trial.objects.select_related("agent").filter(pk=trial_id).first()
    if found is None:
        return None
    lease = now + timedelta(seconds=found.agent.timeout_seconds) + LEASE_GRACE
    claimed = Trial.objects.claimable(now).filter(pk=trial_id)
    if not claimed.update(state=TrialState.ASKED, lease_until=lease, fence=F("fence") + 1):
        return None
    return Trial.objects.select_related(
        "agent__provider", "agent__template", "competition__feed", "participant", "snapshot"
    ).get(pk=trial_id)


def _finish(trial: Trial, outcome: TrialOutcome, reason: str = "", **fields: Any) -> None:
    Trial.objects.filter(pk=trial.pk, fence=trial.fence).unfinished().update(
        state=TrialState.DONE,
        outcome=outcome,
        reason=reason[:500],
        lease_until=None,
        finished_at=timezone.now(),
        **fields,
    )


# --- asking -------------------------------------------------------------------------------------


def _ask(trial: Trial, scene: Scene, context: DecisionContext) -> Completion | None:
    """Ask within the agent's time, store each try, and return the last; None when another run has the trial now."""
    agent, now = trial.agent, timezone.now()
    messages = build_messages(agent.template.text(), context)
    request = request_of(agent, messages, context, seconds=float(agent.timeout_seconds))
    owned = Trial.objects.filter(pk=trial.pk, fence=trial.fence).unfinished()
    deadline_at = now + timedelta(seconds=agent.timeout_seconds)
    if not owned.update(snapshot=scene.snapshot, deadline_at=deadline_at):
        return None
    async_to_sync(_ask_model)(trial, messages, request)
    return Completion.objects.filter(turn_key=trial.trial_key).order_by("-attempt").first()


async def _ask_model(trial: Trial, messages: Messages, request: CallRequest) -> None:
    agent = trial.agent

    def store(attempt: int, sent_at: datetime, answered_at: datetime, raw: RawCompletion) -> None:
        agents.record_completion(
            trial.trial_key,
            attempt,
            agent,
            messages,
            request,
            raw,
            sent_at=sent_at,
            answered_at=answered_at,
        )

    client = open_client(agent.provider, api_key=api_key_for(agent.provider) or "")
    try:
        await agents.ask(
            client,
            request,
            deadline=time.monotonic() + request.timeout_seconds,
            attempts=ATTEMPTS,
            on_answer=sync_to_async(store, thread_sensitive=True),
        )
    finally:
        await client.aclose()


# --- judging ------------------------------------------------------------------------------------


def _judge(trial: Trial, scene: Scene, completion: Completion) -> None:
    decision = agents.record_decision(
        trial.trial_key,
        completion.agent,
        completion,
        symbols=scene.contract.rules.symbols,
        resting_orders=scene.contract.rules.resting_orders,
        now=timezone.now(),
    )
    outcome = OUTCOMES[DecisionStatus(decision.status)]
    verdicts = verdicts_of(scene, decision) if outcome == TrialOutcome.READ else []
    _finish(trial, outcome, decision.error, decision=decision, verdicts=verdicts)
    logger.info("trial done key=%s outcome=%s", trial.trial_key, outcome)
