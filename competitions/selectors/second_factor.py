"""Whether an account has a second factor."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice


def has_second_factor(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Tell whether logins of the account are asked for a code; one query."""
    return bool(TOTPDevice.objects.filter(user_id=user.pk, confirmed=True).exists())


def backup_codes_left(user: AbstractBaseUser | AnonymousUser) -> int:
    """Return how many backup codes the account has not used yet; one query."""
    return int(StaticToken.objects.filter(device__user_id=user.pk).count())
