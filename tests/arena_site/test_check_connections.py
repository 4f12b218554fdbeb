"""manage.py check_connections: what is needed fails, what is not needed warns, and no secret is told."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from agents import services as agents
from agents.models import Agent, Provider
from competitions.models import Competition
from competitions.models.competitions import ClockKind, FillRule
from marketdata.models import Feed
from marketdata.models.feeds import FeedKind
from tests.builders import make_season
from tests.competitions.played import make_draft
from tests.fakes.binance_rest import BinanceServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def binance(settings: Any) -> Iterator[BinanceServer]:
    with BinanceServer() as server:
        settings.BINANCE_FAPI_BASE_URL = server.url
        yield server


def ask(*arguments: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the findings by name, and what made the exit code 1."""
    told, trouble = StringIO(), ""
    try:
        call_command("check_connections", "--json", *arguments, stdout=told)
    except CommandError as error:
        trouble = str(error)
    document = json.loads(told.getvalue())
    assert list(document) == ["ok", "at", "checks"]
    assert document["ok"] is (trouble == "")
    return {row["name"]: row for row in document["checks"]}, trouble


def states(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: row["state"] for name, row in found.items()}


def on_binance(*symbols: str) -> Competition:
    feed = Feed.objects.create(
        slug="binance", name="Binance", kind=FeedKind.BINANCE, source="binance-usdm"
    )
    agents.ensure_defaults()
    return make_season(
        "season",
        feed,
        [Agent.objects.get(slug="cash")],
        symbols=symbols,
        clock=ClockKind.WALL,
        fill_rule=FillRule.ARRIVAL,
        starts_at=None,
    )


def test_what_answers_is_told_with_version_weight_and_skew(binance):
    on_binance("BTCUSDT", "ETHUSDT")
    binance.clock_lag = 2.0

    found, trouble = ask()

    assert trouble == ""
    assert found["database"]["detail"].startswith(f"{connection.vendor} ")
    assert found["database"]["detail"].endswith(", all migrations applied")
    assert found["database clock"]["state"] == "ok"
    assert found["binance clock"]["state"] == "warning"
    assert found["binance clock"]["detail"] in {
        f"our clock is {lag} s ahead of Binance's" for lag in ("1.99", "2.00", "2.01")
    }
    assert found["binance weight"]["detail"] == "41 of 2400 used this minute"
    assert found["binance symbols"]["detail"] == (
        "6 of 8 known symbols trade; ADAUSDT is unknown, AVAXUSDT is unknown"
    )
    assert found["feed binance"]["detail"] == "binance: quotes all 2 symbols of its seasons"


def test_a_clock_that_is_far_off_fails_where_binance_is_needed(binance):
    on_binance("BTCUSDT")
    binance.clock_lag = 30.0

    found, trouble = ask()

    assert found["binance clock"]["state"] == "failed"
    assert "binance clock" in trouble


def test_binance_that_no_season_needs_only_warns():
    found, trouble = ask()

    assert trouble == ""
    row = found["binance 127.0.0.1:9"]
    assert (row["state"], row["is_needed"]) == ("warning", False)
    assert row["detail"].startswith(
        "Binance did not answer at http://127.0.0.1:9 within 3 s: Connection refused"
    )
    assert "binance clock" not in found


def test_binance_that_a_season_needs_fails_and_so_does_its_feed():
    season = on_binance("BTCUSDT")

    found, trouble = ask()

    assert trouble == "not well: binance 127.0.0.1:9, feed binance"
    assert found["feed binance"]["is_needed"] is True
    Competition.objects.filter(pk=season.pk).update(status="STOPPED")
    assert ask()[1] == ""


def test_a_replay_without_candles_of_a_symbol_fails():
    season = make_draft()
    assert states(ask()[0])["feed replay-walk"] == "ok"
    season.feed.source = "elsewhere"
    season.feed.save()

    found, trouble = ask()

    assert trouble == "not well: feed replay-walk"
    assert found["feed replay-walk"]["detail"] == (
        "has 0 of 3 symbols, not BTCUSDT, ETHUSDT, SOLUSDT"
    )


def test_a_redis_that_is_gone_is_told_without_its_password(settings):
    settings.REDIS_URL = "redis://:sesame@127.0.0.1:9/0"

    found, trouble = ask()

    assert trouble == "not well: redis"
    assert found["redis"]["detail"].startswith("127.0.0.1: ")
    assert "sesame" not in json.dumps(found)


def test_keys_are_told_by_where_they_are_and_never_shown(monkeypatch, tmp_path):
    agents.ensure_defaults()
    file = tmp_path / "key"
    file.write_text("sk-in-a-file")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-in-the-open")
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(file))

    found, trouble = ask()

    assert trouble == ""
    assert found["key anthropic"]["detail"] == "set, from ANTHROPIC_API_KEY"
    assert found["key openai"]["detail"] == "set, from the file of OPENAI_API_KEY_FILE"
    assert found["key groq"] == {
        "name": "key groq",
        "state": "off",
        "is_needed": False,
        "took_ms": None,
        "detail": "GROQ_API_KEY is not set, and no season asks it",
    }
    assert "sk-in" not in json.dumps(found)


def test_a_missing_key_of_a_participant_is_a_warning():
    agents.ensure_defaults()
    make_draft(roster=[Agent.objects.get(slug="gpt-6")])

    found, trouble = ask()

    assert trouble == ""
    assert found["key openai"]["state"] == "warning"
    assert found["key openai"]["detail"] == (
        "OPENAI_API_KEY is not set: its participants are skipped"
    )


def test_providers_are_only_connected_to_when_wanted(monkeypatch):
    agents.ensure_defaults()
    make_draft(roster=[Agent.objects.get(slug="gpt-6")])
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    Provider.objects.exclude(slug__in=["openai", "groq", "baseline"]).update(is_enabled=False)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        Provider.objects.filter(slug="openai").update(base_url=f"http://127.0.0.1:{port}/v1")
        Provider.objects.filter(slug="groq").update(base_url="http://127.0.0.1:9/v1")

        assert not any(name.startswith("reach") for name in ask()[0])
        found, trouble = ask("--providers")

        assert trouble == ""
        assert found["reach openai"]["detail"] == f"127.0.0.1:{port} takes connections"
        assert found["reach groq"]["state"] == "warning"
    found, trouble = ask("--providers")
    assert trouble == "not well: reach openai"
    assert found["reach openai"]["detail"] == f"127.0.0.1:{port}: Connection refused"


def test_a_host_that_does_not_speak_tls_is_told(monkeypatch):
    agents.ensure_defaults()
    Provider.objects.exclude(slug="groq").update(is_enabled=False)
    with BinanceServer() as plain:
        address = plain.url.replace("http://", "https://")
        Provider.objects.filter(slug="groq").update(base_url=address)

        found, _ = ask("--providers")

    assert found["reach groq"]["state"] == "warning"
    assert found["reach groq"]["detail"].startswith(address.removeprefix("https://") + ": ")


def test_the_encryption_key_is_counted_not_shown(settings):
    settings.ARENA_ENCRYPTION_KEYS = ()
    assert ask()[0]["encryption key"]["state"] == "warning"
    settings.ARENA_ENCRYPTION_KEYS = ("first", "second")

    row = ask()[0]["encryption key"]

    assert (row["state"], row["detail"]) == ("ok", "set and 1 older")


def test_people_get_a_table():
    told = StringIO()

    call_command("check_connections", stdout=told)

    lines = told.getvalue().splitlines()
    assert lines[0] == "Connections"
    assert lines[1].split() == ["what", "state", "took", "found"]
    assert any(line.startswith("database ") and " ok " in line for line in lines)
