"""Who asks: nobody, or the holder of a key; and what they may see and do."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import APIKeyHeader

from competitions.api.wire import ApiError
from competitions.models import ApiKey, Competition, Participant
from competitions.models.access import Scope
from competitions.selectors.seasons import Season, load_season, visible_to
from competitions.services.access import find_api_key

HEADER = "X-API-Key"
SLUG = re.compile(r"[-\w]{1,80}", re.ASCII)
# In the schema: a read takes a key, as its authentication says, and needs none.
OPTIONAL_KEY: dict[str, Any] = {"security": [{}]}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; ``key`` is None for a stranger."""

    key: ApiKey | None

    @property
    def user(self) -> AbstractBaseUser | None:
        """Return in whose name competitions are looked at; None for a stranger."""
        return self.key.owner if self.key and self.key.grants(Scope.READ) else None

    @property
    def actor(self) -> str:
        """Return who acts, as the audit log names it: the owner and the key."""
        return (
            f"{self.key.owner.get_username()} by key {self.key.prefix}" if self.key else "stranger"
        )


class KeyHeader(APIKeyHeader):
    """Lets in who has a key with ``scope``, held by a member of staff; without a scope strangers too, but no wrong key."""

    param_name = HEADER

    def __init__(self, scope: Scope | None = None) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller:
        if self.scope is None:
            return Caller(_right_key(key) if key else None)
        if not key:
            raise ApiError(
                401, "KEY_MISSING", f"a key in the header {HEADER} is wanted, found none"
            )
        return Caller(_strong_key(key, self.scope))


def _strong_key(token: str, scope: Scope) -> ApiKey:
    row = _right_key(token)
    if not row.grants(scope):
        held = ", ".join(row.scopes) or "none"
        raise ApiError(403, "SCOPE_MISSING", f"the scope {scope} is wanted, the key has {held}")
    if not getattr(row.owner, "is_staff", False):
        raise ApiError(
            403, "NOT_STAFF", "the key's owner must be a member of staff, and is not any more"
        )
    return row


def _right_key(token: str) -> ApiKey:
    row = find_api_key(token, now=timezone.now())
    if row is None:
        raise ApiError(
            401, "KEY_INVALID", f"the key in the header {HEADER} is unknown, expired or revoked"
        )
    return row


def caller_of(request: HttpRequest) -> Caller:
    """Return who asks."""
    caller: Caller = request.auth  # type: ignore[attr-defined]  # set by the classes above
    return caller


def get_competition(request: HttpRequest, name: str) -> Competition:
    """Return the competition with that id or slug; one that the caller may not see is not found."""
    rows = visible_to(caller_of(request).user).select_related("feed", "book")
    wanted = as_uuid(name)
    if wanted is not None:
        found = rows.filter(pk=wanted).first()
    else:
        found = rows.filter(slug=name).first() if SLUG.fullmatch(name) else None
    if found is None:
        raise ApiError(404, "NO_COMPETITION", f"there is no competition {name[:80]!r}")
    return found


def get_season(request: HttpRequest, name: str) -> Season:
    """Return the competition with its roster, by id or slug."""
    return load_season(get_competition(request, name))


def current_season(request: HttpRequest, name: str) -> Season:
    """Return the named season; without a name the public one that started last."""
    if name:
        return get_season(request, name)
    started = Competition.objects.public().filter(started_at__isnull=False)
    found = started.select_related("feed", "book").order_by("-started_at").first()
    if found is None:
        raise ApiError(404, "NO_COMPETITION", "no public competition has started yet")
    return load_season(found)


def get_participant(request: HttpRequest, participant_id: uuid.UUID) -> Participant:
    """Return a participant of a competition that the caller may see."""
    seen = visible_to(caller_of(request).user)
    rows = Participant.objects.filter(pk=participant_id, competition__in=seen)
    found = rows.select_related(
        "competition__feed", "competition__book", "agent__provider", "account"
    ).first()
    if found is None:
        raise ApiError(404, "NO_PARTICIPANT", f"there is no participant {participant_id}")
    return found


def as_uuid(text: str) -> uuid.UUID | None:
    """Return the UUID that ``text`` is, None when it is something else, such as a slug."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
