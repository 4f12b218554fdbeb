"""Asking again for the password before what is dangerous.

Pages and the admin use it alike, so it stands beside both and below neither.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TypeVar, cast

from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from competitions.selectors.second_factor import has_second_factor
from competitions.services.audit import record_act
from competitions.services.second_factor import check_code

REAUTH_SECONDS = 5 * 60
PROVED_AT = "proved_at"
PASSWORD, CODE = "again_password", "again_code"
# Says that the page was only asked for: nothing was posted that would have to be done.
READING = "again_reading"
NOT_REPEATED = frozenset({PASSWORD, CODE, READING, "csrfmiddlewaretoken"})
# Passwords are looked at one after the other in a process: guesses sent at once are counted before
# the next is looked at, and the memory that Argon2 takes is taken once.
ONE_AT_A_TIME = threading.Lock()

View = TypeVar("View", bound=Callable[..., HttpResponse])


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask for, and what was wrong with the last answer (empty when there was none)."""

    wants_code: bool
    error: str = ""


def note_proof(request: HttpRequest) -> None:
    """Remember that the account was proved just now."""
    request.session[PROVED_AT] = timezone.now().timestamp()


def needs_reauth(request: HttpRequest) -> bool:
    """Tell whether password (and code) were given more than five minutes ago, or never."""
    proved_at = request.session.get(PROVED_AT)
    if proved_at is None:
        return True
    # A time in the future comes from a clock that was set back, and proves nothing.
    return not 0 <= timezone.now().timestamp() - proved_at < REAUTH_SECONDS


def open_question(request: HttpRequest) -> Question | None:
    """Return what is to be asked before going on; None when the proof is fresh, or came with this post."""
    return prove_again(request) if needs_reauth(request) else None


def prove_again(request: HttpRequest) -> Question | None:
    """Check the password (and code) that came with this post, however fresh the last proof is.

    Wrong ones are counted with those of the login, and written to the audit log.
    """
    wants_code = has_second_factor(request.user)
    if request.method != "POST" or PASSWORD not in request.POST:
        return Question(wants_code)
    error = _fault(request, wants_code=wants_code)
    if error:
        actor, now = request.user.get_username(), timezone.now()
        record_act("password asked again, answer wrong", request.path[:200], actor=actor, now=now)
        return Question(wants_code, error)
    note_proof(request)
    return None


def _fault(request: HttpRequest, *, wants_code: bool) -> str:
    name = request.user.get_username()
    with ONE_AT_A_TIME:
        found = authenticate(request, username=name, password=request.POST[PASSWORD])
    if found is None or found.pk != request.user.pk:
        return "That is not the password of this account."
    if not wants_code:
        return ""
    check = check_code(request.user, request.POST.get(CODE, ""))
    if check.refusal and check.was_looked_at:
        user_login_failed.send(__name__, credentials={"username": name}, request=request)
    return check.refusal


def ask_again(request: HttpRequest, question: Question) -> HttpResponse:
    """Answer with a page that asks, and then sends what was posted to the same address again."""
    fields = [
        (name, value)
        for name, values in request.POST.lists()
        for value in values
        if name not in NOT_REPEATED
    ]
    is_reading = request.method != "POST" or READING in request.POST
    answer = render(
        request,
        "competitions/again.html",
        {"again": question, "fields": fields, "is_reading": is_reading},
        status=200 if is_reading and not question.error else 403,
    )
    add_never_cache_headers(answer)
    return answer


def proved_lately(view: View) -> View:
    """Ask for the password before the page is shown or the act is done, if it was given too long ago."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        question = open_question(request)
        if question is not None:
            return ask_again(request, question)
        if READING in request.POST:
            return HttpResponseRedirect(request.get_full_path())
        return view(request, *args, **kwargs)

    return cast("View", guarded)
