"""Ending the sessions of an account."""

from __future__ import annotations

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.sessions.models import Session
from django.utils import timezone


def end_sessions(user: AbstractBaseUser | AnonymousUser, *, keep: str | None = None) -> int:
    """Delete every living session of the account but ``keep``, and return how many they were.

    Reads all living sessions: whose they are stands inside of them.
    """
    living = Session.objects.filter(expire_date__gt=timezone.now()).exclude(session_key=keep)
    wanted = str(user.pk)
    keys = [row.pk for row in living.iterator() if row.get_decoded().get(SESSION_KEY) == wanted]
    return Session.objects.filter(pk__in=keys).delete()[0]
