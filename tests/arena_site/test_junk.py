"""Malformed input at every operation of the API and every page: told in words, never a failure, and nothing changes."""

from __future__ import annotations

import json
import re

import pytest
from django.apps import apps
from django.test import Client
from django.utils import timezone

from arena_site.api import api
from competitions.models import Competition
from competitions.services.access import make_api_key
from tests.authorisation.table import TABLE, undone
from tests.builders import make_user
from tests.competitions.played import play

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

ROOT = "/api/v1"
PARAMETER = r"<(?:\w+:)?\w+>"
DEEP = "[" * 5000 + "]" * 5000
# Bodies that no operation takes.
NO_BODIES = (
    b"{",
    b"\xff\xfe",
    b"[]",
    b"7",
    b'"name"',
    b'{"name": NaN}',
    b'{"name": 1e999999999}',
    b'{"name": "a\\u0000b"}',
    b'{"no_such_field": 1}',
    json.dumps({"name": ["x"], "reason": {"y": 1}}).encode(),
    f'{{"name": {DEEP}, "reason": {DEEP}}}'.encode(),
    b'{"name": ' + b"9" * 5000 + b', "reason": ' + b"9" * 5000 + b"}",
)
# Values for every parameter in an address or its query.
VALUES = (
    "-1",
    "0",
    "9" * 40,
    "1e9",
    "NaN",
    "%00",
    "%ff%fe",
    "null",
    "..%2f..%2fetc%2fpasswd",
    "%F0%9F%92%A9",
    "x" * 3000,
    "' OR 1=1 --",
    "00000000-0000-0000-0000-000000000000",
)


@pytest.fixture
def token():
    play(rounds=1)
    owner = make_user("ada", "administrator")
    now = timezone.now()
    return make_api_key("junk", owner=owner, scopes=["ADMIN"], actor="ada", now=now).token


def everything() -> dict[str, int]:
    """Return how many rows there are of each kind, but for what a key's use writes."""
    apps_of_ours = ("marketdata", "trading", "agents", "competitions", "auth")
    return {
        model._meta.label: model._base_manager.count()
        for app in apps_of_ours
        for model in apps.get_app_config(app).get_models()
    }


def operations():
    paths = api.get_openapi_schema()["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield method.upper(), path, operation.get("parameters", [])


def right_address(path: str) -> str:
    season = Competition.objects.get()
    fill = {
        "competition_id": season.slug,
        "participant_id": str(season.participants.order_by("ordinal")[0].pk),
        "symbol": "BTCUSDT",
        "trial_id": "00000000-0000-0000-0000-000000000000",
    }
    return re.sub(r"\{(\w+)\}", lambda found: fill[found[1]], path)


def filled(pattern: str, path: str, value: str) -> str:
    """Return the path with the value, whatever it is, in the place of each parameter."""
    return re.sub(pattern, lambda _: value, path)


def test_every_write_refuses_bodies_that_cannot_be_meant(token):
    before, wrong = everything(), []
    for method, path, _ in operations():
        if method == "GET":
            continue
        for body in NO_BODIES:
            with undone():
                answer = Client(raise_request_exception=False).generic(
                    method,
                    right_address(path),
                    body,
                    content_type="application/json",
                    headers={"X-API-Key": token},
                )
                after = everything()
            is_told = answer.status_code in (400, 404, 409, 422) and answer.json()["detail"]
            if not is_told or after != before:
                wrong.append((method, path, body[:40], answer.status_code))

    assert wrong == []


def test_no_value_in_an_address_or_query_is_a_failure(token):
    before, wrong = everything(), []
    asker = Client(raise_request_exception=False, headers={"X-API-Key": token})
    for method, path, parameters in operations():
        names = [item["name"] for item in parameters if item["in"] == "query"]
        for value in VALUES:
            addresses = [f"{right_address(path)}?{name}={value}" for name in names]
            if "{" in path:
                addresses.append(filled(r"\{\w+\}", path, value))
            for address in addresses:
                with undone():
                    answer = asker.generic(method, address)
                    after = everything()
                if answer.status_code >= 500 or (method == "GET" and after != before):
                    wrong.append((method, address[:90], answer.status_code))

    assert wrong == []


def test_no_value_in_a_pages_address_or_query_is_a_failure(token):
    wrong = []
    client = Client(raise_request_exception=False)
    client.force_login(make_user("root", "administrator"))
    for route in TABLE["pages"]:
        method, _, path = route.rpartition(" ")
        for value in VALUES:
            address = filled(PARAMETER, path, value)
            words = f"?tab={value}&range={value}&unit={value}&next={value}&page={value}"
            right = path.replace("<slug:slug>", "small").replace("<int:number>", "1")
            right = filled(PARAMETER, right, "cash")
            for asked in (address, right + words):
                with undone():
                    answer = client.generic(method or "GET", asked)
                if answer.status_code >= 500 and not asked.startswith("/readyz"):
                    wrong.append((route, asked[:90], answer.status_code))

    assert wrong == []
