"""Who asks: nobody, or the holder of a key; and what they may see and do."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import APIKeyHeader

from competitions.api.wire import ApiError
from competitions.models import ApiKey, Competition, Participant
from competitions.models.access import Scope
from competitions.models.competitions import CompetitionQuerySet
from competitions.selectors.seasons import Season, listed_to, load_season, visible_to
from competitions.services.access import find_api_key, why_not_owner

HEADER = "X-API-Key"
SLUG = re.compile(r"[-\w]{1,80}", re.ASCII)
# In the schema: a read takes a key, as its authentication says, and needs none.
OPTIONAL_KEY: dict[str, Any] = {"security": [{}]}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; ``key`` is None for a stranger."""

    key: ApiKey | None

    @property
    def actor(self) -> str:
        """Return who acts, as the audit log names it: the owner and the key."""
        return (
            f"{self.key.owner.get_username()} by key {self.key.prefix}" if self.key else "stranger"
        )

    @property
    def owner(self) -> User | None:
        """Return the account in whose name the key acts; None for a stranger."""
        return self.key.owner if self.key else None

    def may(self, scope: Scope) -> bool:
        """Tell whether the key holds ``scope`` and its owner's role still allows it."""
        return bool(
            self.key and self.key.grants(scope) and not why_not_owner(self.key.owner, [scope])
        )

    @property
    def own_only(self) -> bool:
        """Tell whether the owner's role does not count, since the key may not read all that its owner may."""
        return self.key is not None and not self.key.grants(Scope.READ)

    def seen(self) -> CompetitionQuerySet:
        """Return the competitions that the caller may open by their id."""
        return visible_to(self.owner, own_only=self.own_only)

    def listed(self) -> CompetitionQuerySet:
        """Return the competitions that lists show to the caller."""
        return listed_to(self.owner, own_only=self.own_only)


class KeyHeader(APIKeyHeader):
    """Lets in who has a key with one of ``scopes``, whose owner may hold it; without scopes strangers too, but no wrong key."""

    param_name = HEADER

    def __init__(self, *scopes: Scope) -> None:
        super().__init__()
        self.scopes = scopes

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller:
        if not self.scopes:
            return Caller(_right_key(key) if key else None)
        if not key:
            raise ApiError(
                401, "KEY_MISSING", f"a key in the header {HEADER} is wanted, found none"
            )
        caller = Caller(_right_key(key))
        if not any(caller.may(scope) for scope in self.scopes):
            raise _refusal(caller, self.scopes)
        return caller


def _refusal(caller: Caller, scopes: Sequence[Scope]) -> ApiError:
    assert caller.key is not None
    for scope in scopes:
        if caller.key.grants(scope):
            return ApiError(403, "ROLE_MISSING", why_not_owner(caller.key.owner, [scope]))
    held = ", ".join(caller.key.scopes) or "none"
    return ApiError(
        403, "SCOPE_MISSING", f"the scope {' or '.join(scopes)} is wanted, the key has {held}"
    )


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
    rows = caller_of(request).seen().select_related("feed", "book")
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
    seen = caller_of(request).seen()
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
