"""What roles allow in the admin and on the console; rights are code, so that no row can widen them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Model

from competitions.models.roles import CONTROL, Role
from competitions.selectors.roles import role_of

APPS = frozenset({"marketdata", "trading", "agents", "competitions"})
# Accounts and what opens doors in their name: for administrators alone.
DOORS = frozenset({"competitions.view_apikey", "competitions.view_apireply"})


class RoleBackend(BaseBackend):
    """Answers what an account's role allows; who somebody is, other backends tell."""

    def has_perm(
        self, user_obj: AbstractBaseUser | AnonymousUser, perm: str, obj: Model | None = None
    ) -> bool:
        """Tell whether the role allows it: everything for administrators; to see and to control seasons for operators."""
        role = role_of(user_obj)
        if role == Role.ADMINISTRATOR:
            return True
        return role == Role.OPERATOR and (perm == CONTROL or _is_view(perm))

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Tell whether the admin shows anything of that app."""
        role = role_of(user_obj)
        return role == Role.ADMINISTRATOR or (role == Role.OPERATOR and app_label in APPS)


def _is_view(perm: str) -> bool:
    app, _, word = perm.partition(".")
    return app in APPS and word.startswith("view_") and perm not in DOORS
