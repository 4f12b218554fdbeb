"""What an account may do."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User

from competitions.models.roles import Role

Asker = AbstractBaseUser | AnonymousUser | None
STAFF = frozenset({Role.OPERATOR, Role.ADMINISTRATOR})
_KEPT_AS = "_arena_role"


def role_of(user: Asker) -> Role | None:
    """Return the role of an active account, None for strangers and for accounts without one; a superuser is an administrator.

    Of several groups the one that may do most counts. Queries once per loaded account.
    """
    if user is None or not user.is_active or not isinstance(user, User):
        return None
    if not hasattr(user, _KEPT_AS):
        setattr(user, _KEPT_AS, held_role(user))
    kept: Role | None = getattr(user, _KEPT_AS)
    return kept


def held_role(user: User) -> Role | None:
    """Return the role that the account was given, though it may be deactivated. Queries unless groups were prefetched."""
    if user.is_superuser:
        return Role.ADMINISTRATOR
    held = {group.name for group in user.groups.all()}
    return next((role for role in reversed(Role) if role in held), None)


def is_operator(user: Asker) -> bool:
    """Tell whether the account may act on seasons and see all of them."""
    return role_of(user) in STAFF


def is_administrator(user: Asker) -> bool:
    """Tell whether the account may set everything up."""
    return role_of(user) == Role.ADMINISTRATOR
