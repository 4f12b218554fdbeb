"""Invocations by trigger: an extra round while a season runs, a trial before its first round."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Body, Router

from competitions import tasks
from competitions.api.access import KeyHeader, caller_of, get_competition, get_participant
from competitions.api.invoked import InvocationOut, TrialOut, extra_out, trial_out, trials_out
from competitions.api.once import answer_once
from competitions.api.wire import READ_ERRORS, WRITE_ERRORS, ApiError, ErrorOut
from competitions.api.wishes import InvokeIn, NothingIn
from competitions.models import Competition, Participant, Trial
from competitions.models.access import Scope
from competitions.models.competitions import CompetitionStatus
from competitions.models.participants import ParticipantState
from competitions.selectors.seasons import load_season
from competitions.selectors.trials import trial_view
from competitions.services.errors import ControlError, TooOften
from competitions.services.extra import open_extra_round
from competitions.services.trials import is_before_rounds, request_trials

router = Router(tags=["internal"], auth=KeyHeader(Scope.CONTROL))
# Whoever controls seasons, and owners of participants.
CONCERNED = KeyHeader(Scope.CONTROL, Scope.PARTICIPANT)
ERRORS = {**WRITE_ERRORS, 429: ErrorOut}
LISTED = 10


@router.post(
    "/invoke-participants",
    response={202: InvocationOut, **ERRORS},
    operation_id="invoke_participants",
)
def invoke_all(
    request: HttpRequest, competition: str = "", body: Body[InvokeIn | None] = None
) -> HttpResponse:
    """Ask all participants of a competition now: the named one, else the only public season that runs."""
    found = _target(request, (body.competition_id if body else "") or competition)
    wanted = found.participants.select_related("agent").order_by("ordinal")
    if not is_before_rounds(found):
        wanted = wanted.filter(state=ParticipantState.ACTIVE)
    return _invoke(request, found, list(wanted))


@router.post(
    "/trigger-invocation/{participant_id}",
    auth=CONCERNED,
    response={202: InvocationOut, **ERRORS},
    operation_id="trigger_invocation",
)
def invoke_one(
    request: HttpRequest, participant_id: uuid.UUID, body: Body[NothingIn | None] = None
) -> HttpResponse:
    """Ask one participant now; with the scope PARTICIPANT an own one, on trial."""
    _check_own(request, Participant.objects.filter(pk=participant_id).first())
    participant = get_participant(request, participant_id)
    if not caller_of(request).may(Scope.CONTROL) and not is_before_rounds(participant.competition):
        raise ApiError(
            403, "SCOPE_MISSING", f"the scope {Scope.CONTROL} is wanted once rounds have begun"
        )
    return _invoke(request, participant.competition, [participant])


@router.get(
    "/trials/{trial_id}",
    auth=CONCERNED,
    response={200: TrialOut, **READ_ERRORS, 403: ErrorOut},
    operation_id="get_trial",
)
def trial(request: HttpRequest, trial_id: uuid.UUID) -> TrialOut:
    """Return a trial: the prompt, the answer, and what the rules say to it."""
    row = (
        Trial.objects.select_related(
            "competition", "participant", "agent__provider", "snapshot", "decision"
        )
        .filter(pk=trial_id)
        .first()
    )
    _check_own(request, row.participant if row else None)
    if row is None:
        raise ApiError(404, "NO_TRIAL", f"there is no trial {trial_id}")
    return trial_out(trial_view(row))


def _check_own(request: HttpRequest, participant: Participant | None) -> None:
    """Refuse whoever neither controls seasons nor owns the participant; of those that are not theirs they learn nothing."""
    caller = caller_of(request)
    if caller.may(Scope.CONTROL):
        return
    owner = caller.owner
    if participant is None or owner is None or participant.owner_id != owner.pk:
        raise ApiError(403, "NOT_YOURS", "only participants of your own may be tried, this is none")


def _target(request: HttpRequest, name: str) -> Competition:
    if name:
        return get_competition(request, name)
    running = Competition.objects.public().filter(status=CompetitionStatus.RUNNING)
    found = list(running.select_related("feed", "book").order_by("-started_at")[:LISTED])
    if not found:
        raise ApiError(404, "NO_COMPETITION", "no public competition is running, name one")
    if len(found) > 1:
        slugs = ", ".join(row.slug for row in found)
        raise ApiError(
            409, "WHICH_COMPETITION", f"several competitions are running, name one of {slugs}"
        )
    return found[0]


def _invoke(
    request: HttpRequest, competition: Competition, participants: Sequence[Participant]
) -> HttpResponse:
    def act() -> InvocationOut:
        try:
            if is_before_rounds(competition):
                return _try(request, competition, participants)
            return _play(request, competition, participants)
        except TooOften as error:
            raise ApiError(429, "TOO_OFTEN", str(error), retry_after=error.retry_after) from error
        except ControlError as error:
            raise ApiError(409, "NOT_POSSIBLE_NOW", str(error)) from error

    return answer_once(request, act, status=202, is_atomic=True)


def _play(
    request: HttpRequest, competition: Competition, participants: Sequence[Participant]
) -> InvocationOut:
    round_ = open_extra_round(
        competition, participants, actor=caller_of(request).actor, now=timezone.now()
    )
    # Should the message be lost, the sweeper finds the round.
    transaction.on_commit(partial(tasks.start_round.delay, str(round_.pk)), robust=True)
    return extra_out(load_season(competition), round_)


def _try(
    request: HttpRequest, competition: Competition, participants: Sequence[Participant]
) -> InvocationOut:
    trials = request_trials(
        competition, participants, actor=caller_of(request).actor, now=timezone.now()
    )
    for row in trials:
        transaction.on_commit(partial(tasks.run_trial.delay, str(row.pk)), robust=True)
    return trials_out(trials)
