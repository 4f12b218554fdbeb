"""Every operation of the JSON API with every key at every season."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client

from arena_site.api import api
from competitions.models import Competition, Trial
from tests.authorisation.rows import make_trial
from tests.authorisation.table import (
    SEASONS,
    TABLE,
    allows,
    make_accounts,
    make_keys,
    make_open_season,
    make_seasons,
    routes,
    undone,
)

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

ROOT = "/api/v1"
OPERATIONS: dict[str, str] = TABLE["api"]
BODIES = {
    "POST /competitions": {"name": "Made by a key"},
    "POST /participants/competitions/{competition_id}/participants": {
        "name": "Made by a key",
        "llm_provider": "baseline",
        "llm_model": "cash",
    },
}


def test_the_table_names_every_operation_and_no_other():
    schema = api.get_openapi_schema()["paths"]
    there = {
        f"{method.upper()} {path.removeprefix(ROOT)}" for path in schema for method in schema[path]
    }
    # Two that the schema does not speak of: itself, and the root, where nothing is.
    assert there | {"GET /openapi.json", "GET /"} == OPERATIONS.keys()
    addresses = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route) for route in routes(below="api/v1")}
    assert addresses - {"/{address}"} == {name.split(" ")[1] for name in OPERATIONS}


def address_of(path: str, season: Competition | None) -> str:
    participant = season.participants.order_by("ordinal").first() if season else None
    fill = {
        "competition_id": season.slug if season else "",
        "participant_id": str(participant.pk) if participant else "",
        "symbol": "BTCUSDT",
        "trial_id": str(
            Trial.objects.filter(competition=season).values_list("pk", flat=True).first()
        ),
    }
    return re.sub(r"\{(\w+)\}", lambda found: fill[found[1]], path)


def ask(operation: str, season: Competition | None, token: str):
    method, path = operation.split(" ")
    body = json.dumps(BODIES.get(operation, {})) if method == "POST" else ""
    headers = {"X-API-Key": token} if token else {}
    with undone():
        answer = Client(enforce_csrf_checks=True).generic(
            method,
            ROOT + address_of(path, season),
            body,
            content_type="application/json",
            headers=headers,
        )
    return answer


def test_each_key_is_let_in_where_the_table_says():
    accounts = make_accounts()
    right, wrong_keys = make_keys(accounts)
    seasons = {**make_seasons(), "open": make_open_season()}
    for season in seasons.values():
        make_trial(season)
    wrong = []
    for operation, rule in OPERATIONS.items():
        is_season = "_id}" in operation
        places = (*SEASONS, "open") if operation in BODIES else SEASONS
        for season in places if is_season else ("",):
            for who, token in right.items():
                code = ask(operation, seasons.get(season), token).status_code
                expected = expectation(rule, who, season)
                if code not in expected:
                    wrong.append((operation, season, who, code, expected))
        if rule != "nobody" and operation != "GET /openapi.json":
            for who, token in wrong_keys.items():
                code = ask(operation, seasons["public"], token).status_code
                if code != 401:
                    wrong.append((operation, "public", who, code))

    assert wrong == []


ALLOWED = {200, 201, 202, 409, 503}


def expectation(rule: str, who: str, season: str) -> set[int]:
    """Return the answers that the table allows; where somebody is let in, the season's state may still say no."""
    if rule == "nobody":
        return {404}
    kind = "public" if season == "open" else season
    if rule in TABLE["seasons"]:
        return ALLOWED if allows(rule, who, kind, of="keys") else {404}
    if not allows(rule, who, kind, of="keys"):
        return {401} if who == "none" else {403}
    if season and not allows("season", who, kind, of="keys"):
        return {404}
    return ALLOWED
