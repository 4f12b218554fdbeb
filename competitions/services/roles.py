"""Giving roles to accounts."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Q

from competitions.models.roles import Role
from competitions.selectors.roles import STAFF, held_role, role_of
from competitions.services.audit import record_act
from competitions.services.errors import ControlError

_MIGHTY = Q(is_superuser=True) | Q(groups__name=Role.ADMINISTRATOR)


@transaction.atomic
def give_role(user: User, role: Role | None, *, actor: str, now: datetime) -> User:
    """Give the account that role and no other, and with it the way into the admin or out of it; None takes every role.

    Raises:
        ControlError: If nobody would be left who may set things up.
    """
    _lock_administrators_and(user)
    locked = User.objects.get(pk=user.pk)
    former = role_of(locked)
    if former == Role.ADMINISTRATOR and role != Role.ADMINISTRATOR:
        _keep_an_administrator(locked)
    groups = {name: Group.objects.get_or_create(name=name)[0] for name in Role.values}
    locked.groups.remove(*groups.values())
    if role is not None:
        locked.groups.add(groups[role])
    locked.is_staff = role in STAFF
    # A superuser is an administrator by that alone, so it ends with the role.
    locked.is_superuser = locked.is_superuser and role == Role.ADMINISTRATOR
    locked.save(update_fields=["is_staff", "is_superuser"])
    if role != former:
        record_act(
            "role given",
            locked.get_username(),
            actor=actor,
            now=now,
            role=role or "none",
            before=former or "none",
        )
    return User.objects.get(pk=user.pk)


@transaction.atomic
def set_active(user: User, *, is_active: bool, actor: str, now: datetime) -> User:
    """Let the account sign in, or shut it out together with its keys.

    Raises:
        ControlError: If nobody would be left who may set things up.
    """
    _lock_administrators_and(user)
    locked = User.objects.get(pk=user.pk)
    if locked.is_active == is_active:
        return locked
    if not is_active and held_role(locked) == Role.ADMINISTRATOR:
        _keep_an_administrator(locked)
    locked.is_active = is_active
    locked.save(update_fields=["is_active"])
    act = "account opened" if is_active else "account closed"
    record_act(act, locked.get_username(), actor=actor, now=now)
    return locked


@transaction.atomic
def remove_account(user: User, *, actor: str, now: datetime) -> None:
    """Delete the account with its keys; what it did stays in the audit log under its name.

    Raises:
        ControlError: If nobody would be left who may set things up.
    """
    _lock_administrators_and(user)
    if held_role(user) == Role.ADMINISTRATOR:
        _keep_an_administrator(user)
    record_act("account removed", user.get_username(), actor=actor, now=now)
    user.delete()


def _lock_administrators_and(user: User) -> None:
    """Let two administrators who demote each other act one after the other, so that one of them is refused."""
    rows = User.objects.filter(_MIGHTY | Q(pk=user.pk)).order_by("pk")
    list(rows.select_for_update(of=("self",)).values_list("pk", flat=True))


def _keep_an_administrator(leaving: User) -> None:
    # Asked again now that they are locked.
    if not User.objects.filter(_MIGHTY, is_active=True).exclude(pk=leaving.pk).exists():
        raise ControlError(
            f"{leaving.get_username()} is the last administrator; make another one first"
        )
