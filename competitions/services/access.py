"""Keys of the API: made, looked up, revoked."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q

from competitions.models import ApiKey, ApiReply
from competitions.models.access import Scope
from competitions.models.roles import Role
from competitions.selectors.roles import role_of
from competitions.services.audit import record_act
from competitions.services.errors import ControlError
from marketdata.domain.canonical import sha256_text

FIRST_PART = "arena"
SECRET_BYTES = 32
# Who may hold a scope, when the key is made and at each use; of the other scopes everybody may.
OWNERS: Mapping[str, frozenset[Role]] = {
    Scope.CONTROL: frozenset({Role.OPERATOR, Role.ADMINISTRATOR}),
    Scope.ADMIN: frozenset({Role.ADMINISTRATOR}),
}
# Compared with where no key has the asked name, so that both ways take as long.
_NOBODYS_DIGEST = sha256_text("")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; ``token`` is the only copy of what its user must send."""

    row: ApiKey
    token: str


@transaction.atomic
def make_api_key(
    name: str,
    *,
    owner: AbstractBaseUser,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
    actor: str,
    now: datetime,
) -> NewKey:
    """Store a new key's hash and return the key, which cannot be shown again.

    Raises:
        ControlError: If the scopes are none, unknown, or more than the owner may do, or it would never hold.
    """
    _refuse_bad_wishes(owner, scopes, expires_at, now=now)
    prefix, secret = secrets.token_hex(4), secrets.token_urlsafe(SECRET_BYTES)
    row = ApiKey.objects.create(
        prefix=prefix,
        digest=sha256_text(secret),
        name=name,
        scopes=sorted(set(scopes)),
        owner_id=owner.pk,
        expires_at=expires_at,
        created_at=now,
    )
    record_act(
        "API key made",
        str(row),
        actor=actor,
        now=now,
        owner=owner.get_username(),
        scopes=",".join(row.scopes),
    )
    return NewKey(row, f"{FIRST_PART}_{prefix}_{secret}")


def _refuse_bad_wishes(
    owner: AbstractBaseUser, scopes: Sequence[str], expires_at: datetime | None, *, now: datetime
) -> None:
    wanted = f"one or more of {', '.join(Scope.values)}"
    unknown = sorted(set(scopes) - set(Scope.values))
    if not scopes or unknown:
        raise ControlError(f"scopes must be {wanted}, was {', '.join(unknown) or 'none'}")
    if refusal := why_not_owner(owner, scopes):
        raise ControlError(refusal)
    if expires_at is not None and expires_at <= now:
        raise ControlError(f"the key must end in the future, was {expires_at:%Y-%m-%d %H:%M} UTC")


def why_not_owner(owner: AbstractBaseUser, scopes: Collection[str]) -> str:
    """Return which of the scopes is beyond the owner's role, in words; empty when none is."""
    role = role_of(owner)
    for scope in sorted(set(scopes) & OWNERS.keys()):
        if role not in OWNERS[scope]:
            wanted = " or ".join(sorted(OWNERS[scope]))
            return f"{scope} needs an owner who is {wanted}, {owner.get_username()} is {role or 'without a role'}"
    return ""


@transaction.atomic
def revoke_api_key(key: ApiKey, *, actor: str, now: datetime) -> bool:
    """Make the key useless from now on; False when it was revoked before."""
    if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
        return False
    record_act("API key revoked", str(key), actor=actor, now=now)
    return True


def find_api_key(token: str, *, now: datetime) -> ApiKey | None:
    """Return the valid key that ``token`` is, with its owner, and note its use; None for anything else."""
    first, _, rest = token.partition("_")
    prefix, _, secret = rest.partition("_")
    row = ApiKey.objects.select_related("owner").filter(prefix=prefix[:8]).first()
    digest = row.digest if row else _NOBODYS_DIGEST
    is_right = hmac.compare_digest(sha256_text(secret), digest)
    if row is None or not is_right or first != FIRST_PART or not row.is_valid(now):
        return None
    # One write a minute at most, however often it is used.
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - timedelta(minutes=1))
    ApiKey.objects.filter(stale, pk=row.pk).update(last_used_at=now)
    return row


def find_reply(key: ApiKey, name: str) -> ApiReply | None:
    """Return what the key's write of that name answered, None when there was none."""
    return ApiReply.objects.filter(key=key, name=name).first()


def keep_reply(
    key: ApiKey, name: str, request_hash: str, *, status: int, body: str, now: datetime
) -> None:
    """Keep what a write answered; raise IntegrityError when another was kept under that name meanwhile."""
    # A savepoint, so that the refusal does not spoil a transaction around it.
    with transaction.atomic():
        ApiReply.objects.create(
            key=key,
            name=name,
            request_hash=request_hash,
            status=status,
            body=body,
            created_at=now,
        )
