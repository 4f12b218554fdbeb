"""The two steps of a login: the password, then the code of an account that has a second factor."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from axes.handlers.proxy import AxesProxyHandler
from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.forms import AuthenticationForm, UsernameField
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_login_failed
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods
from django_otp import login as show_device

from arena_site.login.attempts import locked_out
from arena_site.login.middleware import SEEN_AT, STARTED_AT
from competitions.reauth import ONE_AT_A_TIME, note_proof
from competitions.selectors.roles import is_operator
from competitions.selectors.second_factor import has_second_factor
from competitions.services.second_factor import check_code

BACKEND = "django.contrib.auth.backends.ModelBackend"
HALF = "half_login"
HALF_LIFE = timedelta(minutes=10)


def safe_next(request: HttpRequest) -> str:
    """Return where the visitor wanted to go, empty unless that is a page of this arena."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else ""


def landing(user: User) -> str:
    """Return where a login ends that was on its way to nowhere: not every account may see the console."""
    return resolve_url("ops" if is_operator(user) else "home")


class LoginForm(AuthenticationForm):
    """Name and password, looked at one after the other."""

    # Django's own field tells browsers the length and checks it not; the attempts hold no longer one.
    username = UsernameField(max_length=150)
    error_messages = {
        "invalid_login": "Name and password do not fit together. Mind the case of both.",
        "inactive": "Name and password do not fit together. Mind the case of both.",
    }

    def clean(self) -> dict[str, Any]:
        with ONE_AT_A_TIME:
            return super().clean()


class Login(LoginView):
    """The first step, and for an account without a second factor the only one."""

    authentication_form = LoginForm

    def get_default_redirect_url(self) -> str:
        return landing(self.request.user)  # type: ignore[arg-type]  # called after the login

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        if has_second_factor(user):
            _hold(self.request, user)
            wanted = safe_next(self.request)
            query = f"?{urlencode({'next': wanted})}" if wanted else ""
            return HttpResponseRedirect(reverse("login-code") + query)
        _complete(self.request, user)
        return HttpResponseRedirect(self.get_success_url())


@never_cache
def admin_login(request: HttpRequest) -> HttpResponseBase:
    """Lead from the admin's login to the one login there is; what is posted here is looked at there too."""
    if request.method == "POST":
        return Login.as_view()(request)
    wanted = safe_next(request) or reverse("admin:index")
    return HttpResponseRedirect(f"{reverse('login')}?{urlencode({'next': wanted})}")


@sensitive_post_parameters("code")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def code_step(request: HttpRequest) -> HttpResponse:
    """Ask who gave the right password for a code, and complete the login."""
    user, wanted = _held(request), safe_next(request)
    if user is None:
        query = f"?{urlencode({'next': wanted})}" if wanted else ""
        return HttpResponseRedirect(reverse("login") + query)
    error = ""
    if request.method == "POST":
        credentials = {"username": user.get_username()}
        if not AxesProxyHandler.is_allowed(request, credentials):
            return locked_out(request, None, credentials)
        check = check_code(user, request.POST.get("code", ""))
        if check.device is not None:
            _complete(request, user, device=check.device)
            return HttpResponseRedirect(wanted or landing(user))
        if check.was_looked_at:
            user_login_failed.send(__name__, credentials=credentials, request=request)
        error = check.refusal
    return render(
        request,
        "registration/code.html",
        {"error": error, "next": wanted, "name": user.get_username()},
    )


def _hold(request: HttpRequest, user: User) -> None:
    """Remember in a new session whose password was right; nobody is signed in by that."""
    logout(request)
    request.session[HALF] = {
        "user": user.pk,
        # A password that is changed meanwhile makes it void.
        "hash": user.get_session_auth_hash(),
        "at": timezone.now().timestamp(),
    }


def _held(request: HttpRequest) -> User | None:
    """Return whose code is awaited: of a half login, or of a session that has not shown one yet."""
    if request.user.is_authenticated:
        owes = not request.user.is_verified() and has_second_factor(request.user)  # type: ignore[attr-defined]
        return get_user_model().objects.get(pk=request.user.pk) if owes else None
    held = request.session.get(HALF)
    if held is None or timezone.now().timestamp() - held["at"] >= HALF_LIFE.total_seconds():
        return None
    user = get_user_model().objects.filter(pk=held["user"], is_active=True).first()
    if user is None or user.get_session_auth_hash() != held["hash"]:
        return None
    return user


def _complete(request: HttpRequest, user: User, *, device: Any = None) -> None:
    """Sign in, in a session that did not exist before: one that was foisted on the visitor is worth nothing."""
    request.session.flush()
    login(request, user, backend=BACKEND)
    if device is not None:
        show_device(request, device)
    now = timezone.now().timestamp()
    request.session[STARTED_AT] = request.session[SEEN_AT] = now
    note_proof(request)
