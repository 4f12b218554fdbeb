"""Every page of the admin with every account."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from agents.models import PromptTemplate
from tests.authorisation.rows import make_missing_rows
from tests.authorisation.table import (
    TABLE,
    make_accounts,
    make_keys,
    make_seasons,
    routes,
    undone,
)

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

MODELS: dict[str, str] = TABLE["admin"]["models"]
PAGES: dict[str, str] = TABLE["admin"]["pages"]
SEE = ("changelist GET", "change GET", "history GET")
WRITE = ("add GET", "add POST", "change POST", "delete GET", "delete POST")
# What each rule lets administrators and operators do; everybody else nothing.
RULES = {
    "set-up": ({*SEE, *WRITE}, set(SEE)),
    "record": (set(SEE), set(SEE)),
    "accounts": ({*SEE, *WRITE}, set()),
    "keys": ({*SEE, "add GET", "add POST"}, set()),
    "logins": (set(SEE), set()),
}

QUERIES = {
    "autocomplete/": "?app_label=competitions&model_name=participant&field_name=agent&term=",
}


def by_label() -> dict[str, Any]:
    return {model._meta.label_lower: found for model, found in admin.site._registry.items()}


def test_the_table_names_every_model_and_page_of_the_admin_and_no_other():
    assert by_label().keys() == MODELS.keys()

    ours = re.compile(
        "(" + "|".join(name.replace(".", "/") for name in MODELS) + ")/"
        "(add/|<path:object_id>/(change/|delete/|history/)?)?"
    )
    # The last is Django's own answer at addresses where nothing is.
    others = {route for route in routes(below="admin/") if not ours.fullmatch(route)} - {"<url>"}
    assert others == PAGES.keys()


def address_of(row: Model, page: str) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}"
    return reverse(name) if page in ("changelist", "add") else reverse(name, args=[row.pk])


def test_each_account_does_what_the_table_says_to_each_model():
    accounts = make_accounts()
    make_keys(accounts)
    seasons = make_seasons()
    make_missing_rows(seasons["public"])
    # What a started season has used is frozen, which the models' own tests say.
    unfrozen = {
        "competitions.competition": seasons["draft"],
        "agents.prompttemplate": PromptTemplate.objects.create(slug="mine", system="Decide."),
    }
    wrong = []
    for label, rule in MODELS.items():
        model = by_label()[label].model
        rows = model._default_manager.order_by("pk")
        row = unfrozen.get(label) or rows.last()
        assert row is not None, f"make a row of {label} for this test"
        for who, user in accounts.items():
            client = Client()
            if user is not None:
                client.force_login(user)
            for step in (*SEE, *WRITE):
                page, method = step.split(" ")
                with undone():
                    code = client.generic(method, address_of(row, page)).status_code
                if code != expectation(rule, who, step):
                    wrong.append((label, step, who, code))

    assert wrong == []


def expectation(rule: str, who: str, step: str) -> int:
    if who not in ("operator", "administrator"):
        # Led to the login.
        return 302
    allowed = RULES[rule][0 if who == "administrator" else 1]
    if step not in allowed:
        return 403
    # A deletion that was not confirmed asks again, and an empty form is shown again with its faults.
    return 200


def test_each_account_is_let_in_at_the_other_pages_where_the_table_says():
    accounts = make_accounts()
    make_seasons()
    fill = {
        "app_label": "agents",
        "content_type_id": "1",
        "object_id": "1",
        "id": "1",
        "act": "start",
    }
    wrong = []
    for route, rule in PAGES.items():
        path = "/admin/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: fill[found[1]], route)
        for who, user in accounts.items():
            client = Client()
            if user is not None:
                client.force_login(user)
            answer = client.get(path + QUERIES.get(route, ""))
            refused = answer.status_code in (403, 405) or "/login/" in answer.get("Location", "")
            # The login leads to the login, and one leaves by a form alone.
            is_open = rule == "everybody" and answer.status_code in (200, 302, 405)
            if not is_open and refused == (who in TABLE["accounts"][rule]):
                wrong.append((route, who, answer.status_code, answer.get("Location")))

    assert wrong == []
