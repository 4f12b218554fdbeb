"""The table of ``docs/authorisation.toml``, the routes that there are, and who asks."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from django.utils import timezone

from competitions.models import ApiKey, Competition
from competitions.models.competitions import CompetitionStatus, Visibility
from competitions.models.roles import Role
from competitions.services.access import make_api_key, revoke_api_key
from competitions.services.roles import give_role
from tests.builders import baselines, make_user
from tests.competitions.played import make_draft, play

TABLE: dict[str, Any] = tomllib.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "authorisation.toml").read_text("utf-8")
)
SEASONS = ("public", "unlisted", "private", "own", "draft")


def routes(*, below: str = "") -> Iterator[str]:
    """Yield the address of every pattern below ``below`` as it is written in the code, without leading slash."""

    def walk(patterns: Any, prefix: str) -> Iterator[str]:
        for entry in patterns:
            route = str(entry.pattern)
            if not isinstance(entry.pattern, RoutePattern):
                # The admin's two regular expressions.
                route = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", route).strip("^$")
            if isinstance(entry, URLPattern):
                yield prefix + route
            elif isinstance(entry, URLResolver):
                yield from walk(entry.url_patterns, prefix + route)

    for address in walk(get_resolver().url_patterns, ""):
        if address.startswith(below):
            yield address.removeprefix(below)


@contextmanager
def undone() -> Iterator[None]:
    """Take back what is done inside; no ``atomic``, since orders refuse to be sent from a transaction."""
    point = transaction.savepoint()
    yield
    transaction.savepoint_rollback(point)


def allows(rule: str, who: str, season: str, *, of: str) -> bool:
    """Tell whether the table lets ``who`` in at ``season`` (any of them where it does not matter); ``of`` is accounts or keys."""
    group = TABLE["seasons"].get(rule, {}).get(season, rule)
    return who in TABLE[of][group]


def make_seasons() -> dict[str, Competition]:
    """Return one season of each kind: four with a closed round, and a draft; in "own" otto's participant takes part."""
    otto = User.objects.get(username="owner")
    roster = baselines("buy_and_hold", "cash")
    made = {name: play(name, rounds=1, roster=roster) for name in SEASONS[:-1]}
    made["draft"] = make_draft("draft", roster)
    for name, visibility in (
        ("unlisted", Visibility.UNLISTED),
        ("private", Visibility.PRIVATE),
        ("own", Visibility.PRIVATE),
    ):
        Competition.objects.filter(slug=name).update(visibility=visibility)
    made["own"].participants.filter(slug=roster[0].slug).update(owner=otto)
    return made


def make_open_season() -> Competition:
    """Return a public season that has not started, for which one may register."""
    row = make_draft("open", baselines("cash"))
    Competition.objects.filter(pk=row.pk).update(status=CompetitionStatus.SCHEDULED)
    return row


def make_accounts() -> dict[str, User | None]:
    """Return the accounts that the table names, and None for the stranger."""
    roles = {"account": None, "owner": None, **{role.value: role for role in Role}}
    made = {name: make_user(name, role) for name, role in roles.items()}
    return {"stranger": None, **made}


def make_keys(accounts: dict[str, User | None]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the tokens that the table names, and those that open nothing."""
    now = timezone.now()

    def key(owner: User | None, scope: str, **wishes: Any) -> tuple[str, ApiKey]:
        assert owner is not None
        made = make_api_key(scope, owner=owner, scopes=[scope], actor="test", now=now, **wishes)
        return made.token, made.row

    right = {"none": ""}
    for name in set().union(*TABLE["keys"].values()) - {"none"}:
        if not name.startswith("former "):
            owner, scope = name.split(" ")
            right[name] = key(accounts[owner], scope)[0]
    for name, role, later in (
        ("former operator CONTROL", "operator", Role.VIEWER),
        ("former administrator ADMIN", "administrator", Role.OPERATOR),
    ):
        user = make_user(name.split(" ")[0] + role, role)
        right[name] = key(user, name.rsplit(" ", 1)[1])[0]
        give_role(user, later, actor="test", now=now)

    asleep = make_user("asleep", "administrator")
    token, revoked = key(accounts["administrator"], "ADMIN")
    revoke_api_key(revoked, actor="test", now=now)
    soon = key(accounts["administrator"], "ADMIN", expires_at=now + timedelta(hours=1))
    ApiKey.objects.filter(pk=soon[1].pk).update(expires_at=now - timedelta(seconds=1))
    wrong = {
        "made up": "arena_00000000_nothing",
        "revoked": token,
        "expired": soon[0],
        "asleep": key(asleep, "ADMIN")[0],
    }
    User.objects.filter(pk=asleep.pk).update(is_active=False)
    return right, wrong
