"""The operator's console and its acts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import TypeVar, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseClientRedirect

from competitions.models import Competition
from competitions.reauth import Question, ask_again, open_question
from competitions.selectors.operations import console_of, run_of
from competitions.selectors.roles import is_operator
from competitions.services import control
from competitions.services.errors import ControlError
from competitions.services.proposing import Proposal, propose, start_as_agreed
from trading.models.books import Venue

CONFIRMED = {"stop", "emergency-close"}
# A pause is asked for nothing, with real money least of all: it only ever makes things safer.
PROVED_WHERE_LIVE = {"start", "resume", "stop"}
DONE = {
    "pause": "is paused",
    "pause-after-round": "pauses when the running round has closed",
    "resume": "goes on",
    "stop": "was stopped",
}
View = TypeVar("View", bound=Callable[..., HttpResponse])


def operators_only(view: View) -> View:
    """Send strangers to the login page and refuse everybody who is no operator."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not request.user.is_authenticated:
            # A page that asks by itself would swap the login into its middle.
            if "HX-Request" in request.headers:
                return HttpResponseClientRedirect(f"{settings.LOGIN_URL}?next={reverse('ops')}")
            return redirect_to_login(request.get_full_path())
        if not is_operator(request.user):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return cast("View", guarded)


@never_cache
@operators_only
@require_safe
def console(request: HttpRequest) -> HttpResponse:
    """Show what runs, what can be started, health and the audit log."""
    return render(request, "competitions/ops.html", {"console": console_of(now=timezone.now())})


@never_cache
@operators_only
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, slug: str, act: str) -> HttpResponse:
    """Do one act on a season; what cannot be undone is asked about first."""
    if act not in DONE and act not in CONFIRMED and act != "start":
        raise Http404
    found = get_object_or_404(Competition.objects.select_related("feed", "book"), slug=slug)
    question = _question(request, found, act)
    if act == "start":
        if request.method == "POST" and question is not None:
            return ask_again(request, question)
        return _start(request, found)
    if request.method != "POST" or question is not None:
        return _ask(request, found, act, again=question)
    if act == "emergency-close":
        return _emergency_close(request, found)
    try:
        _perform(request, found, act)
    except ControlError as error:
        messages.error(request, f"{found.name}: {error}")
    else:
        messages.success(request, f"{found.name} {DONE[act]}.")
    return HttpResponseRedirect(f"{reverse('ops')}#{found.slug}")


def _question(request: HttpRequest, found: Competition, act: str) -> Question | None:
    is_live = found.venue == Venue.BINANCE_LIVE
    if act == "emergency-close" or (is_live and act in PROVED_WHERE_LIVE):
        return open_question(request)
    return None


def _ask(
    request: HttpRequest, found: Competition, act: str, *, again: Question | None
) -> HttpResponse:
    is_posted = request.method == "POST"
    if act not in CONFIRMED:
        return ask_again(request, again) if is_posted and again else redirect("ops")
    refusal = control.why_not_closed(found) if act == "emergency-close" else ""
    if refusal:
        messages.error(request, f"{found.name}: {refusal}")
        return redirect("ops")
    # The confirmation holds the password too, so that an emergency takes one page and one press.
    context = {
        "run": run_of(found, now=timezone.now()),
        "act": act,
        "again": again,
        "reason": request.POST.get("reason", ""),
    }
    status = 403 if is_posted else 200
    return render(request, "competitions/ops_confirm.html", context, status=status)


def _start(request: HttpRequest, found: Competition) -> HttpResponse:
    """Show the contract, and start under the one that was shown."""
    actor, now = request.user.get_username(), timezone.now()
    agreed = request.POST.get("agreed", "")
    try:
        proposal = _proposed(request, found, agreed, actor=actor, now=now)
    except ControlError as error:
        messages.error(request, f"{found.name}: {error}")
        proposal = None
    else:
        if proposal is not None:
            context = {"proposal": proposal, "has_changed": bool(agreed)}
            return render(request, "competitions/ops_start.html", context)
        messages.success(request, f"{found.name} was started.")
    return HttpResponseRedirect(f"{reverse('ops')}#{found.slug}")


def _proposed(
    request: HttpRequest, found: Competition, agreed: str, *, actor: str, now: datetime
) -> Proposal | None:
    refusal = control.why_not(found, "started")
    if refusal:
        raise ControlError(refusal)
    if request.method != "POST":
        return propose(found, now=now)
    shown = request.POST.get("shown", "")
    return start_as_agreed(found, agreed=agreed, shown=shown, actor=actor, now=now)


def _perform(request: HttpRequest, found: Competition, act: str) -> None:
    actor, now = request.user.get_username(), timezone.now()
    reason = request.POST.get("reason", "").strip()[:300]
    if act == "resume":
        control.resume_competition(found, actor=actor, now=now)
    elif act == "stop":
        control.stop_competition(found, actor=actor, reason=reason, now=now)
    else:
        after_round = act == "pause-after-round"
        control.pause_competition(
            found, actor=actor, reason=reason, after_round=after_round, now=now
        )


def _emergency_close(request: HttpRequest, found: Competition) -> HttpResponse:
    reason = request.POST.get("reason", "").strip()[:300]
    actor, now = request.user.get_username(), timezone.now()
    try:
        report = control.emergency_close(found, actor=actor, reason=reason, now=now)
    except ControlError as error:
        messages.error(request, f"{found.name}: {error}")
        return HttpResponseRedirect(f"{reverse('ops')}#{found.slug}")
    mode = run_of(found, now=now).mode
    context = {"competition": found, "report": report, "mode": mode}
    return render(request, "competitions/ops_closed.html", context)
