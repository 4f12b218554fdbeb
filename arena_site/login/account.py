"""The account's own page: password, second factor, sessions."""

from __future__ import annotations

from base64 import b32encode
from typing import Any

from django.contrib import messages
from django.contrib.auth import get_user_model, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import SetPasswordForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_otp import login as show_device

from arena_site.login.middleware import must_have_second_factor
from arena_site.login.sessions import end_sessions
from arena_site.login.views import safe_next
from competitions.reauth import Question, prove_again, proved_lately
from competitions.selectors.second_factor import backup_codes_left, has_second_factor
from competitions.services.audit import record_act
from competitions.services.second_factor import (
    begin_second_factor,
    confirm_second_factor,
    remove_second_factor,
    renew_backup_codes,
)

READ_OR_POST = ["GET", "HEAD", "POST"]


@never_cache
@login_required
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Show what the account has and can do about itself."""
    context = {
        "has_factor": has_second_factor(request.user),
        "is_mandatory": must_have_second_factor(request.user),
        "codes_left": backup_codes_left(request.user),
    }
    return render(request, "account/account.html", context)


@sensitive_post_parameters()
@never_cache
@login_required
@require_http_methods(READ_OR_POST)
def password(request: HttpRequest) -> HttpResponse:
    """Change the password, with the old one; every other session of the account ends."""
    user = get_user_model().objects.get_by_natural_key(request.user.get_username())
    form: SetPasswordForm[Any] = SetPasswordForm(user, request.POST or None)
    # The proof comes last: a code used up under a form with other faults would have to be waited for.
    question = prove_again(request) if form.is_valid() else Question(has_second_factor(user))
    if question is None:
        form.save()
        _end_other_sessions(request, user)
        name = user.get_username()
        record_act("password changed", name, actor=name, now=timezone.now())
        messages.success(request, "The password is changed; every other session has ended.")
        return redirect("account")
    context = {"form": form, "again": question}
    status = 403 if question.error else 200
    return render(request, "account/password.html", context, status=status)


@sensitive_post_parameters()
@never_cache
@login_required
@require_http_methods(READ_OR_POST)
@proved_lately
def second_factor(request: HttpRequest) -> HttpResponse:
    """Show the secret as a picture and as letters, and have it confirmed by a code of it."""
    if has_second_factor(request.user):
        return redirect("account")
    device, error = begin_second_factor(request.user), ""
    if request.method == "POST":
        confirmed = confirm_second_factor(
            request.user, request.POST.get("code", ""), now=timezone.now()
        )
        if confirmed is not None:
            show_device(request, confirmed)
            # Sessions that began with the password alone are not good enough any more.
            _end_other_sessions(request, request.user)
            return _show_codes(request, is_new=True)
        error = "That code is not right. A code holds for 30 seconds; mind the clock of the device."
    context = {
        "error": error,
        "picture": _picture(device.config_url),
        "letters": _in_fours(b32encode(device.bin_key).decode("ascii").rstrip("=")),
        "is_mandatory": must_have_second_factor(request.user),
        "next": safe_next(request),
    }
    return render(request, "account/second_factor.html", context)


@sensitive_post_parameters()
@never_cache
@login_required
@require_http_methods(READ_OR_POST)
@proved_lately
def backup_codes(request: HttpRequest) -> HttpResponse:
    """Make ten new backup codes and show them this once."""
    if not has_second_factor(request.user):
        return redirect("account")
    if request.method != "POST":
        return render(request, "account/confirm.html", {"act": "codes"})
    return _show_codes(request, is_new=False)


@sensitive_post_parameters()
@never_cache
@login_required
@require_http_methods(READ_OR_POST)
@proved_lately
def remove_factor(request: HttpRequest) -> HttpResponse:
    """Take the second factor away, after asking."""
    if request.method != "POST":
        return render(request, "account/confirm.html", {"act": "remove"})
    name = request.user.get_username()
    if remove_second_factor(request.user, actor=name, now=timezone.now()):
        messages.success(request, "Logins ask for the password alone now.")
    return redirect("account")


@never_cache
@login_required
@require_POST
def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    """End every session of the account, this one included."""
    name = request.user.get_username()
    end_sessions(request.user)
    record_act("signed out everywhere", name, actor=name, now=timezone.now())
    logout(request)
    return HttpResponseRedirect(reverse("login"))


def _end_other_sessions(request: HttpRequest, user: Any) -> None:
    # This one gets a new key, and knows the new password.
    update_session_auth_hash(request, user)
    end_sessions(user, keep=request.session.session_key)


def _show_codes(request: HttpRequest, *, is_new: bool) -> HttpResponse:
    codes = renew_backup_codes(request.user, now=timezone.now())
    context = {"codes": codes, "is_new": is_new, "next": safe_next(request) or reverse("account")}
    return render(request, "account/backup_codes.html", context)


def _picture(text: str) -> str:
    # Imported when it is wanted: few requests draw.
    import segno

    drawn = segno.make(text, error="m")
    return drawn.svg_data_uri(scale=4, border=4, dark="#000", light="#fff")


def _in_fours(letters: str) -> str:
    return " ".join(letters[start : start + 4] for start in range(0, len(letters), 4))
