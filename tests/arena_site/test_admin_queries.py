"""Lists of the admin ask as often for many rows as for few, and never count a long table to its end."""

from __future__ import annotations

import uuid

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from agents.models import Agent, Completion, Decision, PromptTemplate, Provider
from competitions.models import Competition, Event, Gap, Heartbeat, Lease, Turn
from marketdata import admin_lists
from marketdata.admin_lists import LongList
from marketdata.models import Blob, Feed, FeedHealth, FundingRate, Instrument, MarginTier
from tests.builders import STARTS_AT, WARM_UP, baselines
from tests.competitions.played import play
from trading.models import EquityPoint, Fill, Order, Posting, TapeSegment

pytestmark = pytest.mark.django_db

FEW, MANY = 5, 50
MOST_QUERIES = 14
APPS = {"agents", "auth", "competitions", "marketdata", "trading"}
REGISTERED = [model for model in admin.site._registry if model._meta.app_label in APPS]
# Of what a season writes seldom there are fewer than fifty rows below: compared from one row on.
PLENTIFUL = {
    *(Agent, Blob, Competition, Completion, Decision, EquityPoint, Event, Feed, FundingRate, Gap),
    *(Instrument, Lease, MarginTier, Posting, PromptTemplate, Provider, Turn, User),
}


def make_rows() -> None:
    """Play twenty rounds of five baselines, and make fifty of what is set up by hand."""
    competition = play(rounds=20, roster=baselines(), max_rounds=20)
    template = PromptTemplate.objects.get()
    places = range(MANY)
    Provider.objects.bulk_create(
        Provider(slug=f"p{n}", name="P", kind="OPENAI_COMPATIBLE", key_variable="NO_API_KEY")
        for n in places
    )
    PromptTemplate.objects.bulk_create(
        PromptTemplate(slug="t", version=n + 1, system="s", market="m", account="a") for n in places
    )
    Agent.objects.bulk_create(
        Agent(slug=f"a{n}", name="A", provider=provider, model="m", template=template)
        for n, provider in enumerate(Provider.objects.filter(slug__startswith="p"))
    )
    base = {"step_size": "1", "min_quantity": "1", "min_notional": "1"}
    Instrument.objects.bulk_create(
        Instrument(symbol=f"X{n}USDT", tick_size="0.1", **base) for n in places
    )
    MarginTier.objects.bulk_create(
        MarginTier(instrument=row, version="1", maintenance_rate="0.01", max_leverage=5)
        for row in Instrument.objects.filter(symbol__startswith="X")
    )
    Feed.objects.bulk_create(
        Feed(slug=f"f{n}", name="F", kind="SYNTHETIC", source=f"f{n}") for n in places
    )
    FeedHealth.objects.bulk_create(
        FeedHealth(feed=feed, last_ok_at=STARTS_AT) for feed in Feed.objects.filter(health=None)
    )
    FundingRate.objects.bulk_create(
        FundingRate(source="s", symbol=f"X{n}USDT", at=STARTS_AT, rate="0.0001") for n in places
    )
    Competition.objects.bulk_create(
        Competition(slug=f"c{n}", name="C", feed=feed)
        for n, feed in enumerate(Feed.objects.filter(slug__startswith="f"))
    )
    Gap.objects.bulk_create(
        Gap(
            competition=row,
            from_at=STARTS_AT,
            to_at=STARTS_AT + WARM_UP,
            missed_slots=1,
            reason="r",
        )
        for row in Competition.objects.exclude(pk=competition.pk)
    )
    Lease.objects.bulk_create(
        Lease(name=f"l{n}", holder="h", fence=1, until=STARTS_AT) for n in places
    )
    Heartbeat.objects.bulk_create(Heartbeat(name=f"h{n}", at=STARTS_AT) for n in places)
    User.objects.bulk_create(User(username=f"u{n}") for n in places)


def address_of(model) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def asked(client, model, *, rows, query="", monkeypatch):
    """Return the queries of one page of the list with ``rows`` rows."""
    page = admin.site.get_model_admin(model)
    monkeypatch.setattr(page, "list_per_page", rows)
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(f"{address_of(model)}?{query}")
    assert answer.status_code == 200, model
    return [found["sql"] for found in queries]


def test_lists_ask_as_often_for_fifty_rows_as_for_five(admin_client, monkeypatch):
    make_rows()

    counts, plentiful = {}, set()
    for model in REGISTERED:
        few = 1
        if model._default_manager.count() >= MANY:
            few = FEW
            plentiful.add(model)
        asked(admin_client, model, rows=few, monkeypatch=monkeypatch)
        counts[model.__name__] = [
            len(asked(admin_client, model, rows=rows, monkeypatch=monkeypatch))
            for rows in (few, MANY)
        ]

    assert {name: found for name, found in counts.items() if found[0] != found[1]} == {}
    assert {name: found for name, found in counts.items() if found[0] > MOST_QUERIES} == {}
    assert plentiful >= PLENTIFUL


LONG = [model for model, page in admin.site._registry.items() if isinstance(page, LongList)]


def test_tables_without_end_have_long_lists():
    wanted = {Blob, Completion, Decision, EquityPoint, Fill, Order, Posting, TapeSegment}

    assert wanted <= set(LONG)


@pytest.mark.parametrize("query", ["", "p=2", "q=nothing", "all=1"])
def test_a_long_list_counts_within_a_bound_and_never_all(admin_client, monkeypatch, query):
    for model in LONG:
        sent = asked(admin_client, model, rows=FEW, query=query, monkeypatch=monkeypatch)

        table = f'"{model._meta.db_table}"'
        counts = [sql for sql in sent if "COUNT(" in sql.upper() and table in sql]
        distinct = [sql for sql in sent if "SELECT DISTINCT" in sql.upper() and table in sql]
        assert len(counts) == 1, (model, counts)
        assert f"LIMIT {admin_lists.MOST_COUNTED + 1}" in counts[0], (model, counts)
        assert distinct == [], model


def test_a_list_that_ends_before_its_table_says_so(admin_client, monkeypatch):
    monkeypatch.setattr(admin_lists, "MOST_COUNTED", 7)
    Blob.objects.bulk_create(
        Blob(sha256=uuid.uuid4().hex * 2, size=1, packed=b"x") for _ in range(9)
    )

    monkeypatch.setattr(admin.site.get_model_admin(Blob), "list_per_page", 5)

    page = admin_client.get(f"{address_of(Blob)}?p=2")

    assert len(page.context["cl"].result_list) == 2
    assert b"(the first 7; search or filter for others)" in page.content


def test_the_list_of_decisions_asks_five_questions(admin_client, monkeypatch):
    play(rounds=2)
    asked(admin_client, Decision, rows=MANY, monkeypatch=monkeypatch)

    sent = asked(admin_client, Decision, rows=MANY, monkeypatch=monkeypatch)

    # Session, user, second factor, the bounded count, the rows; a second count would be of the whole table.
    assert len(sent) == 5
    assert "ORDER BY" in sent[-1]


@pytest.mark.parametrize("model", [Decision, Completion])
def test_the_newest_answers_come_first_by_an_index(model):
    page = admin.site.get_model_admin(model)
    rows = model.objects.order_by(*page.ordering)[:100]

    plan = rows.explain()

    assert {"-decided_at", "-sent_at"} & set(page.ordering)
    assert "USE TEMP B-TREE" not in plan
    assert connection.vendor == "postgresql" or "_newest" in plan
