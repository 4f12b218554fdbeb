"""manage.py reset_arena: seasons go whole, what was set up stays, and never under a living arena."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from agents.models import Agent, Completion, PromptTemplate
from arena_site.embedded.lock import instance_lock
from competitions.models import ApiKey, AuditEvent, Competition, Heartbeat
from competitions.services.access import make_api_key
from competitions.services.leases import beat, take_lease
from competitions.services.resetting import SEASON_MODELS
from marketdata.models import Blob, Candle, Feed
from tests.competitions.played import play
from trading.models import Fill, Posting

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _own_folder(settings: Any, tmp_path: Any) -> None:
    settings.VAR_DIR = tmp_path


def reset(*arguments: str) -> tuple[str, CommandError | None]:
    told = StringIO()
    try:
        call_command("reset_arena", *arguments, stdout=told)
    except CommandError as error:
        return told.getvalue(), error
    return told.getvalue(), None


def test_seasons_go_and_what_was_set_up_stays():
    play()
    owner = get_user_model().objects.create_user("mara", is_staff=True)
    make_api_key("mine", owner=owner, scopes=["READ"], actor="mara", now=timezone.now())
    kept = {
        model: model.objects.count()
        for model in (Agent, PromptTemplate, Feed, Candle, Blob, ApiKey, get_user_model())
    }
    fills, postings = Fill.objects.count(), Posting.objects.count()

    told, error = reset("--yes")

    assert error is None
    assert [model.__name__ for model in SEASON_MODELS if model._base_manager.exists()] == []
    assert {model: model.objects.count() for model in kept} == kept
    lines = [line.split() for line in told.splitlines()]
    assert ["trading_fill", str(fills)] in lines
    assert ["trading_posting", str(postings)] in lines
    assert told.splitlines()[-1].endswith("rows removed; what was set up stays")


def test_a_dry_run_counts_and_removes_nothing():
    play()
    counted = {model._meta.db_table: model._base_manager.count() for model in SEASON_MODELS}

    told, error = reset("--dry-run", "--json")

    assert error is None
    document = json.loads(told)
    assert list(document) == ["removed", "rows", "tables"]
    assert (document["removed"], document["rows"]) == (False, sum(counted.values()))
    assert {row["table"]: row["rows"] for row in document["tables"]} == counted
    assert Competition.objects.exists()


def test_a_new_season_can_be_played_after_a_reset():
    play()
    reset("--yes")

    season = play(rounds=1)

    assert (season.round_count, AuditEvent.objects.get().seq) == (1, 1)


def test_rows_are_append_only_after_a_reset_too():
    play()
    reset("--yes")
    play(rounds=1)

    for model in (Posting, Fill, AuditEvent, Completion):
        if not model.objects.exists():
            continue
        field = next(f for f in model._meta.fields if not f.primary_key and not f.is_relation)
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            model.objects.update(**{field.name: field.value_from_object(model.objects.first())})
    if connection.vendor == "postgresql":
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            Posting.objects.all()._raw_delete(using="default")


@pytest.mark.parametrize("arguments", [(), ("--force",), ("--json",)])
def test_without_yes_nothing_is_removed(arguments):
    play()

    told, error = reset(*arguments)

    assert (told, error and error.returncode) == ("", 2)
    assert "rows of seasons for good; look with --dry-run, stop the arena, then add --yes" in str(
        error
    )
    assert Competition.objects.exists()


def test_a_living_arena_is_left_alone_unless_forced(settings):
    play()
    with instance_lock(settings.VAR_DIR / "arena.lock"):
        told, error = reset("--yes")
        assert (told, error and error.returncode) == ("", 1)
        assert "the arena is already running as process" in str(error)
        assert str(error).endswith("; stop it, or add --force")
        assert Competition.objects.exists()

        assert reset("--yes", "--force")[1] is None

    assert not Competition.objects.exists()


def test_a_part_that_was_heard_of_just_now_is_life():
    play()
    beat("clock", now=timezone.now() - timedelta(seconds=5))
    take_lease("feed", "feed@elsewhere:4711", seconds=60, now=timezone.now())

    _, error = reset("--yes")

    assert str(error).startswith(
        "an arena lives: clock was heard of 5 s ago; feed@elsewhere:4711 holds feed. Stop it and wait"
    )
    assert Competition.objects.exists()
    Heartbeat.objects.update(at=timezone.now() - timedelta(seconds=31))
    take_lease("feed", "feed@elsewhere:4711", seconds=-1, now=timezone.now())
    assert reset("--yes")[1] is None


def test_every_table_that_points_at_a_season_goes_with_it():
    gone = set(SEASON_MODELS)
    ours = ("marketdata", "trading", "agents", "competitions")
    models = [model for app in ours for model in apps.get_app_config(app).get_models()]

    left = {
        f"{model.__name__}.{field.name}"
        for model in models
        if model not in gone
        for field in model._meta.fields
        if field.related_model in gone
    }

    assert left == set()
