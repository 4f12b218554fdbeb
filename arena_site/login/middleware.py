"""What a session must fulfil at each request: not too old, not too idle, with the second factor shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django_htmx.http import HttpResponseClientRedirect

from competitions.selectors.roles import Asker, is_operator
from competitions.selectors.second_factor import has_second_factor

STARTED_AT, SEEN_AT = "started_at", "seen_at"
# A session is written at most so often for having been seen.
SEEN_EVERY_SECONDS = 60

# Where an account comes to show its second factor, or to leave.
OPEN_PAGES = frozenset(
    {"login", "login-code", "admin-login", "logout", "theme", "favicon", "healthz", "readyz"}
)
# Where an account that lacks a mandatory one comes to set it up.
SET_UP_PAGES = OPEN_PAGES | {"account", "account-password", "second-factor", "sign-out-everywhere"}

Handler = Callable[[HttpRequest], HttpResponse]


def has_session(request: HttpRequest) -> bool:
    """Tell whether a session may matter: the API looks at keys alone."""
    sent = settings.SESSION_COOKIE_NAME in request.COOKIES
    return sent and not request.path.startswith("/api/v1/")


def is_staff(user: Asker) -> bool:
    """Tell whether the account opens console or admin, by its role or by Django's own mark."""
    return is_operator(user) or bool(getattr(user, "is_staff", False))


def must_have_second_factor(user: Asker) -> bool:
    """Tell whether a second factor is mandatory for the account."""
    return bool(settings.REQUIRE_TOTP) and is_staff(user)


class SessionAge:
    """Ends sessions twelve hours after the login, and those of staff after thirty minutes of nothing."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if has_session(request) and request.user.is_authenticated:
            self._look_at(request, timezone.now().timestamp())
        return self.get_response(request)

    def _look_at(self, request: HttpRequest, now: float) -> None:
        session = request.session
        started_at = session.setdefault(STARTED_AT, now)
        idle = now - session.setdefault(SEEN_AT, now)
        is_idle = is_staff(request.user) and idle >= settings.STAFF_IDLE_SECONDS
        if is_idle or now - started_at >= settings.SESSION_COOKIE_AGE:
            logout(request)
        # A console that asks by itself every few seconds is nobody at work.
        elif idle >= SEEN_EVERY_SECONDS and "HX-Request" not in request.headers:
            session[SEEN_AT] = now


class SecondFactorGate:
    """Leads accounts that owe a second factor to where it is shown or set up, from everywhere else."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Handler, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Return where to go instead, None when the page may be had."""
        if not has_session(request) or not request.user.is_authenticated:
            return None
        page = request.resolver_match.view_name if request.resolver_match else ""
        if page in OPEN_PAGES or request.user.is_verified():  # type: ignore[attr-defined]
            return None
        if has_second_factor(request.user):
            return _lead(request, reverse("login-code"))
        if must_have_second_factor(request.user) and page not in SET_UP_PAGES:
            return _lead(request, reverse("second-factor"))
        return None


def _lead(request: HttpRequest, address: str) -> HttpResponse:
    if "HX-Request" in request.headers:
        return HttpResponseClientRedirect(address)
    # What was posted is not done later: only a page that was read is gone back to.
    if request.method == "GET":
        address = f"{address}?{urlencode({'next': request.get_full_path()})}"
    return HttpResponseRedirect(address)
