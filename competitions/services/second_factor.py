"""The second factor of an account: set up, asked, taken away."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from competitions.services.audit import record_act

BACKUP_CODES = 10
WRONG = "That code is not right, or was used before."
_APP_CODE = re.compile(r"[0-9]{6}")
_BACKUP_CODE = re.compile(r"[a-z2-7]{8}")

User = AbstractBaseUser | AnonymousUser


@dataclass(frozen=True, slots=True)
class CodeCheck:
    """What came of a code: the ``device`` that took it, or what to tell its giver."""

    device: Any = None
    refusal: str = ""
    was_looked_at: bool = True


def check_code(user: User, text: str) -> CodeCheck:
    """Use up a code of the app, or a backup code; wrong ones make the next wait ever longer.

    Blanks, hyphens and upper case do no harm.
    """
    code = re.sub(r"[\s-]", "", text).lower()
    if _APP_CODE.fullmatch(code):
        return _use(TOTPDevice, user, code)
    if _BACKUP_CODE.fullmatch(code):
        return _use(StaticDevice, user, code)
    return CodeCheck(refusal=WRONG)


def _use(model: Any, user: User, code: str) -> CodeCheck:
    with transaction.atomic():
        devices = model.objects.select_for_update().filter(user_id=user.pk, confirmed=True)
        device = devices.order_by("pk").first()
        if device is None:
            return CodeCheck(refusal=WRONG)
        is_allowed, why = device.verify_is_allowed()
        if not is_allowed:
            seconds = math.ceil((why["locked_until"] - timezone.now()).total_seconds())
            told = f"After a wrong code the next one has to wait: try again in {max(seconds, 1)} s."
            return CodeCheck(refusal=told, was_looked_at=False)
        if device.verify_token(code):
            return CodeCheck(device=device)
    return CodeCheck(refusal=WRONG)


@transaction.atomic
def begin_second_factor(user: User) -> TOTPDevice:
    """Return the secret that waits to be confirmed; made if there is none."""
    waiting = TOTPDevice.objects.filter(user_id=user.pk, confirmed=False)
    found = waiting.order_by("pk").first()
    return found or TOTPDevice.objects.create(user_id=user.pk, name="app", confirmed=False)


@transaction.atomic
def confirm_second_factor(user: User, text: str, *, now: datetime) -> TOTPDevice | None:
    """Make the waiting secret the account's second factor; None when the code is not one of it."""
    waiting = TOTPDevice.objects.select_for_update().filter(user_id=user.pk, confirmed=False)
    device = waiting.order_by("pk").first()
    if device is None or not device.verify_token(re.sub(r"\s", "", text)):
        return None
    device.confirmed = True
    device.save(update_fields=["confirmed"])
    TOTPDevice.objects.filter(user_id=user.pk).exclude(pk=device.pk).delete()
    name = user.get_username()
    record_act("second factor set up", name, actor=name, now=now)
    return device


@transaction.atomic
def renew_backup_codes(user: User, *, now: datetime) -> list[str]:
    """Return ten new codes, each good once; older ones are void, and these cannot be shown again."""
    StaticDevice.objects.filter(user_id=user.pk).delete()
    device = StaticDevice.objects.create(user_id=user.pk, name="backup codes")
    codes = [StaticToken.random_token() for _ in range(BACKUP_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=code) for code in codes)
    name = user.get_username()
    record_act("backup codes made", name, actor=name, now=now)
    return codes


@transaction.atomic
def remove_second_factor(user: User, *, actor: str, now: datetime) -> bool:
    """Take the second factor and its backup codes away; False when there was none."""
    had_one = TOTPDevice.objects.filter(user_id=user.pk, confirmed=True).exists()
    TOTPDevice.objects.filter(user_id=user.pk).delete()
    StaticDevice.objects.filter(user_id=user.pk).delete()
    if had_one:
        record_act("second factor removed", user.get_username(), actor=actor, now=now)
    return bool(had_one)
