"""Writes: competitions made, participants registered, seasons started, paused, resumed, stopped, closed out."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Body, Router, Status

from competitions.api.access import KeyHeader, caller_of, get_competition
from competitions.api.answers import (
    CloseReportOut,
    CompetitionDetailOut,
    RegisteredOut,
    StatusOut,
)
from competitions.api.competitions import router as competitions_router
from competitions.api.once import answer_once
from competitions.api.shaping import (
    close_report_out,
    competition_detail,
    participant_out,
    status_out,
)
from competitions.api.wire import WRITE_ERRORS, ApiError
from competitions.api.wishes import SAID_AS, ActIn, CompetitionIn, ParticipantIn, PauseIn
from competitions.models import Competition, Participant
from competitions.models.access import Scope
from competitions.selectors.seasons import load_season
from competitions.services import control
from competitions.services.errors import ControlError, InvalidWish
from competitions.services.roster import create_competition, register_participant

router = Router(tags=["control"], auth=KeyHeader(Scope.CONTROL))
ADMIN = KeyHeader(Scope.ADMIN)
ENTRANT = KeyHeader(Scope.ADMIN, Scope.PARTICIPANT)
Act = Callable[[Competition], Competition]


@competitions_router.post(
    "",
    auth=ADMIN,
    response={201: CompetitionDetailOut, **WRITE_ERRORS},
    operation_id="create_competition",
)
def create(request: HttpRequest, body: CompetitionIn) -> HttpResponse:
    """Make a competition; it is a draft until it is started."""

    def act() -> CompetitionDetailOut:
        try:
            row = create_competition(
                body.wish(), actor=caller_of(request).actor, now=timezone.now()
            )
        except InvalidWish as error:
            raise _bad_wish(error) from error
        return competition_detail(load_season(row))

    return answer_once(request, act, status=201, is_atomic=True)


@router.post(
    "/participants/competitions/{competition_id}/participants",
    auth=ENTRANT,
    response={201: RegisteredOut, **WRITE_ERRORS},
    operation_id="register_participant",
)
def register(request: HttpRequest, competition_id: str, body: ParticipantIn) -> HttpResponse:
    """Register a participant of a competition that has not started; with the scope PARTICIPANT it is the owner's own."""
    found, caller = get_competition(request, competition_id), caller_of(request)
    owner = None if caller.may(Scope.ADMIN) else caller.owner

    def act() -> RegisteredOut:
        row = _registered(found, body, owner=owner, actor=caller.actor)
        told = participant_out(row)
        return RegisteredOut(**told.model_dump(), warnings=told.parameters.warnings)

    return answer_once(request, act, status=201, is_atomic=True)


def _registered(
    found: Competition, body: ParticipantIn, *, owner: User | None, actor: str
) -> Participant:
    try:
        return register_participant(
            found,
            body.name.strip(),
            provider=body.llm_provider,
            model=body.llm_model,
            parameters=body.llm_config,
            timeout_seconds=body.timeout_seconds,
            owner=owner,
            actor=actor,
            now=timezone.now(),
        )
    except InvalidWish as error:
        raise _bad_wish(error) from error
    except ControlError as error:
        raise ApiError(409, "NOT_POSSIBLE_NOW", str(error)) from error


def _bad_wish(error: InvalidWish) -> ApiError:
    where = SAID_AS.get(error.field, error.field)
    return ApiError(422, "BAD_INPUT", f"{where}: {error}", where=where)


@router.post(
    "/competitions/{competition_id}/start",
    response={200: StatusOut, **WRITE_ERRORS},
    operation_id="start_competition",
)
def start(
    request: HttpRequest, competition_id: str, body: Body[ActIn | None] = None
) -> HttpResponse:
    """Freeze the contract and let the rounds begin."""
    actor, now = caller_of(request).actor, timezone.now()
    return _acted(
        request,
        competition_id,
        lambda found: control.start_competition(found, actor=actor, now=now),
    )


@router.post(
    "/competitions/{competition_id}/pause",
    response={200: StatusOut, **WRITE_ERRORS},
    operation_id="pause_competition",
)
def pause(
    request: HttpRequest, competition_id: str, body: Body[PauseIn | None] = None
) -> HttpResponse:
    """Pause: no order that grows exposure is accepted any more."""
    actor, now, wish = caller_of(request).actor, timezone.now(), body or PauseIn()
    return _acted(
        request,
        competition_id,
        lambda found: control.pause_competition(
            found, actor=actor, reason=wish.reason, after_round=wish.after_round, now=now
        ),
    )


@router.post(
    "/competitions/{competition_id}/resume",
    response={200: StatusOut, **WRITE_ERRORS},
    operation_id="resume_competition",
)
def resume(
    request: HttpRequest, competition_id: str, body: Body[ActIn | None] = None
) -> HttpResponse:
    """Let the rounds of a paused season go on."""
    actor, now = caller_of(request).actor, timezone.now()
    return _acted(
        request,
        competition_id,
        lambda found: control.resume_competition(found, actor=actor, now=now),
    )


@router.post(
    "/competitions/{competition_id}/stop",
    response={200: StatusOut, **WRITE_ERRORS},
    operation_id="stop_competition",
)
def stop(
    request: HttpRequest, competition_id: str, body: Body[ActIn | None] = None
) -> HttpResponse:
    """End the season for good; positions stay valued at the mark."""
    actor, now, wish = caller_of(request).actor, timezone.now(), body or ActIn()
    return _acted(
        request,
        competition_id,
        lambda found: control.stop_competition(found, actor=actor, reason=wish.reason, now=now),
    )


@router.post(
    "/competitions/{competition_id}/emergency-close",
    response={200: CloseReportOut, 503: CloseReportOut, **WRITE_ERRORS},
    operation_id="emergency_close",
)
def emergency_close(
    request: HttpRequest, competition_id: str, body: Body[ActIn | None] = None
) -> Status[CloseReportOut]:
    """Halt the season and close every position at market; 503 while something is left open: ask again.

    No Idempotency-Key is looked at: every request closes what is open.
    """
    found, wish = get_competition(request, competition_id), body or ActIn()
    actor, now = caller_of(request).actor, timezone.now()
    try:
        report = control.emergency_close(found, actor=actor, reason=wish.reason, now=now)
    except ControlError as error:
        raise ApiError(409, "NOT_POSSIBLE_NOW", str(error)) from error
    return Status(200 if report.is_flat else 503, close_report_out(report))


def _acted(request: HttpRequest, competition_id: str, act: Act) -> HttpResponse:
    found = get_competition(request, competition_id)

    def done() -> StatusOut:
        try:
            act(found)
        except ControlError as error:
            raise ApiError(409, "NOT_POSSIBLE_NOW", str(error)) from error
        season = load_season(get_competition(request, competition_id))
        return status_out(season, now=timezone.now())

    return answer_once(request, done, status=200, is_atomic=False)
