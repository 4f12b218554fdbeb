"""Every page with every account at every season."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from competitions.models import Competition, Round
from tests.authorisation.table import (
    SEASONS,
    TABLE,
    allows,
    make_accounts,
    make_seasons,
    routes,
    undone,
)
from tests.logins import prove

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

PAGES: dict[str, str] = TABLE["pages"]
# What stands for a parameter that is no season.
FILLED = {"name": "dark", "act": "pause", "number": "1", "participant": "cash"}
ELSEWHERE = ("admin/", "api/v1/")


def test_the_table_names_every_page_and_no_other():
    there = {f"/{address}" for address in routes() if not address.startswith(ELSEWHERE)}
    reads = {route for route in PAGES if not route.startswith("POST ")}
    writes = {route.removeprefix("POST ") for route in PAGES} - reads

    assert there == reads | writes


def season_of(route: str) -> bool:
    return "<slug:slug>" in route


def address_of(route: str, season: str) -> str:
    fill = {**FILLED, "slug": season}
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: fill[found[1]], route)


def test_each_account_is_let_in_where_the_table_says():
    accounts = make_accounts()
    make_seasons()
    wrong = []
    for route, rule in PAGES.items():
        method, _, path = route.rpartition(" ")
        for season in SEASONS if season_of(path) else ("",):
            for who, user in accounts.items():
                client = Client()
                if user is not None:
                    client.force_login(user)
                    prove(client)
                with undone():
                    answer = client.generic(method or "GET", address_of(path, season))
                expected = allows(rule, who, season, of="accounts")
                found = told(answer)
                if found != (expected or refusal(rule, who)):
                    wrong.append((route, season, who, answer.status_code, found))

    assert wrong == []


def told(answer) -> bool | str:
    """Return True when the page let somebody in, else how it refused."""
    if answer.status_code == 302 and answer["Location"].startswith("/login/?next="):
        return "login"
    return {403: "forbidden", 404: "not found"}.get(answer.status_code, True)


def refusal(rule: str, who: str) -> str:
    if rule in TABLE["seasons"]:
        return "not found"
    return "login" if who == "stranger" else "forbidden"


def test_a_page_that_is_read_takes_nothing_else():
    accounts = make_accounts()
    make_seasons()
    before = (list(Competition.objects.values()), Round.objects.count())
    writes = {route.removeprefix("POST ") for route in PAGES if route.startswith("POST ")}

    client = Client()
    client.force_login(accounts["administrator"])
    for path in PAGES.keys() - writes - {f"POST {path}" for path in writes}:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = client.generic(method, address_of(path, "public"))
            assert answer.status_code == 405, (method, path)

    assert (list(Competition.objects.values()), Round.objects.count()) == before
