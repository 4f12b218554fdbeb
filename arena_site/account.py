"""The operator's account of a fresh arena, and the way back into an account."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from axes.models import AccessAttempt
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db import transaction
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from arena_site.login.sessions import end_sessions
from competitions.services.audit import record_act
from competitions.services.second_factor import remove_second_factor

OPERATOR = "operator"
PASSWORD_BYTES = 12


@transaction.atomic
def ensure_operator() -> tuple[str, str | None]:
    """Return the name of a superuser, and the password if the account was made just now."""
    users = get_user_model().objects
    known = users.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if known is not None:
        return known.get_username(), None
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    # A plain account of that name may exist: it is not made mightier behind its owner's back.
    name = OPERATOR
    while users.filter(username=name).exists():
        name = f"{OPERATOR}-{secrets.token_hex(2)}"
    users.create_superuser(username=name, email="", password=password)
    return name, password


@dataclass(frozen=True, slots=True)
class PasswordReset:
    """What a reset did; ``password`` is the only copy of the new one."""

    username: str
    password: str
    sessions_ended: int
    lockouts_lifted: int
    second_factor_removed: bool


@transaction.atomic
def reset_password(
    user: AbstractUser, *, keep_totp: bool, actor: str, now: datetime
) -> PasswordReset:
    """Give the account a new password, end its sessions, and clear what would keep its owner out."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    name = user.get_username()
    user.set_password(password)
    user.save(update_fields=["password"])
    lifted: int = AccessAttempt.objects.filter(username=name).delete()[0]
    if keep_totp:
        for model in (TOTPDevice, StaticDevice):
            waiting = model.objects.filter(user_id=user.pk)
            waiting.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    removed = not keep_totp and remove_second_factor(user, actor=actor, now=now)
    record_act("password reset", name, actor=actor, now=now)
    return PasswordReset(name, password, end_sessions(user), lifted, removed)
