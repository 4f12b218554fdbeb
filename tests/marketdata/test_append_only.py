"""Rows that may never change, in every app."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction

from marketdata.append_only import allow_deletes, append_only_models, trigger_name
from marketdata.models import Blob, Candle
from tests.marketdata.markets import T0, candle, store

ARENA_APPS = ("marketdata", "trading", "agents", "competitions")
MODELS = [model for label in ARENA_APPS for model in append_only_models(apps.get_app_config(label))]
WORDS = {
    "marketdata": {"Blob", "Candle", "FundingRate", "MarketSnapshot"},
    "trading": {"Fill", "Posting", "TapeSegment"},
    "agents": {"Completion"},
    "competitions": {"AuditEvent"},
}


def _triggers() -> set[tuple[str, str]]:
    """Return (table, trigger) of all triggers in the database."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal"
            )
        else:
            cursor.execute("SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'")
        return set(cursor.fetchall())


@pytest.mark.parametrize("label", ARENA_APPS)
def test_the_ledger_of_every_app_is_append_only(label):
    marked = {model.__name__ for model in MODELS if model._meta.app_label == label}

    assert marked >= WORDS[label]


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_a_trigger_guards_the_table(model):
    assert (model._meta.db_table, trigger_name(model)) in _triggers()


@pytest.mark.django_db
def test_an_update_is_refused_by_the_database():
    store([candle(T0, "100")])

    with pytest.raises(DatabaseError, match=r"append-only, UPDATE refused"), transaction.atomic():
        Candle.objects.update(close="200")

    assert str(Candle.objects.get().close) == "100"


@pytest.mark.django_db
def test_an_update_past_the_orm_is_refused_too():
    sha = Blob.objects.put("text")

    with (
        pytest.raises(DatabaseError, match=r"append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE {Blob._meta.db_table} SET size = 0")

    assert Blob.objects.get(pk=sha).size == 4


@pytest.mark.django_db
def test_a_delete_passes_only_where_it_is_allowed():
    store([candle(T0, "100")])
    if connection.vendor == "postgresql":
        with pytest.raises(DatabaseError, match=r"DELETE refused"), transaction.atomic():
            Candle.objects.all().delete()

    with transaction.atomic():
        allow_deletes()
        Candle.objects.all().delete()

    assert not Candle.objects.exists()


@pytest.mark.django_db
def test_the_same_bytes_are_stored_once():
    first, again = Blob.objects.put("the text"), Blob.objects.put(b"the text")

    assert first == again
    assert Blob.objects.count() == 1
    assert Blob.objects.text(first) == "the text"
