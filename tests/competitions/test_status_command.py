"""manage.py arena_status: what is needed must live, what is not needed may sleep."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from competitions.models import Competition, Heartbeat, Participant, Round
from competitions.models.competitions import ClockKind, FillRule
from competitions.services import control
from competitions.services.driving import driver_lease
from competitions.services.leases import beat, take_lease
from competitions.services.rounds import open_due_round
from marketdata.management import output
from marketdata.models import FeedHealth
from tests.builders import baselines, make_season, make_synthetic_feed, start_season
from tests.competitions.played import make_draft, play

pytestmark = pytest.mark.django_db


def ask(*arguments: str) -> tuple[str, str]:
    """Return what was told, and the trouble that made the exit code 1."""
    told, trouble = StringIO(), ""
    try:
        call_command("arena_status", *arguments, stdout=told)
    except CommandError as error:
        trouble = str(error)
    return told.getvalue(), trouble


def document(*arguments: str) -> dict[str, Any]:
    return json.loads(ask("--json", *arguments)[0])


def on_the_wall_clock() -> Competition:
    season = make_season(
        "wall",
        make_synthetic_feed(),
        baselines("cash"),
        clock=ClockKind.WALL,
        fill_rule=FillRule.ARRIVAL,
        starts_at=None,
    )
    return start_season(season)


def alive(*names: str) -> None:
    for name in names:
        beat(name, now=timezone.now())


def test_an_empty_arena_is_well_and_says_what_to_do():
    told, trouble = ask()

    assert trouble == ""
    assert "no competitions yet: `manage.py arena` makes a demo season" in told
    assert re.search(r"^clock +off +never +no ", told, re.MULTILINE)


def test_a_running_season_needs_its_parts():
    on_the_wall_clock()
    alive("clock")
    Heartbeat.objects.create(name="sweeper", at=timezone.now() - timedelta(seconds=45))

    told, trouble = ask()

    assert trouble.startswith("sweeper has been silent for 45 s, and a season needs it; feed was")
    assert re.search(r"^clock +ok +0 s ago +yes ", told, re.MULTILINE)
    alive("sweeper", "feed")
    assert ask()[1] == ""


def test_a_replayed_season_needs_no_feed_and_a_driven_one_nothing():
    season = play(rounds=1)
    alive("clock", "sweeper")
    assert ask()[1] == ""
    Heartbeat.objects.all().delete()
    assert "clock was never heard of" in ask()[1]

    take_lease(driver_lease(season), "run_competition@here:1", seconds=60, now=timezone.now())

    assert ask()[1] == ""
    assert document()["competitions"][0]["is_driven"] is True


def test_a_season_that_is_over_needs_nothing():
    season = play(rounds=1)
    control.stop_competition(season, actor="mara", reason="enough", now=timezone.now())

    told, trouble = ask()

    assert trouble == ""
    assert re.search(r"mara +stopped +small +enough$", told, re.MULTILINE)


def test_a_failing_feed_is_trouble():
    season = on_the_wall_clock()
    alive("clock", "sweeper", "feed")
    FeedHealth.objects.create(
        feed=season.feed, last_error_at=timezone.now(), last_error="HTTP 502 \x1b[2J"
    )

    told, trouble = ask()

    assert trouble.startswith("feed synthetic-7 fails: HTTP 502")
    assert "\x1b" not in told
    assert "HTTP 502 \\x1b[2J" in told


def test_a_silent_season_and_a_round_past_its_deadline_are_trouble():
    season = on_the_wall_clock()
    alive("clock", "sweeper", "feed")
    round_ = open_due_round(season.pk, now=season.starts_at)
    assert round_ is not None
    past = timezone.now() - timedelta(hours=1)
    Round.objects.update(deadline_at=past)
    season.events.update(at=past)

    told, trouble = ask()

    assert "wall runs and has told nothing since" in trouble
    assert "wall: round 1 should have closed at" in trouble
    assert "0 of 1 turns are settled" in trouble
    assert "STALE" in told
    assert document()["competitions"][0]["open_round"]["is_late"] is True


def test_one_season_is_shown_with_its_participants_and_positions():
    play("one", rounds=2)
    make_draft("two")
    alive("clock", "sweeper")

    told, trouble = ask("--competition", "one")
    found = document("--competition", "one")

    assert trouble == ""
    assert "two " not in told
    assert [row["slug"] for row in found["competitions"]] == ["one"]
    assert {row["slug"] for row in found["participants"]} == {"buy-and-hold", "cash", "random"}
    held = [row["symbol"] for row in found["positions"] if row["participant"] == "buy-and-hold"]
    assert held == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert all(isinstance(row["equity"], str) for row in found["participants"])
    assert re.search(r"^buy-and-hold +BTCUSDT +LONG ", told, re.MULTILINE)


def test_the_document_keeps_its_keys():
    play(rounds=1)

    found = document()

    assert list(found) == [
        "ok",
        "at",
        "troubles",
        "competitions",
        "parts",
        "feeds",
        "queue",
        "acts",
    ]
    assert found["at"].endswith("Z")
    (season,) = found["competitions"]
    assert (season["slug"], season["status"], season["round_count"]) == ("small", "RUNNING", 1)
    assert list(found["parts"][0]) == [
        "name",
        "state",
        "is_needed",
        "last_at",
        "age_seconds",
        "note",
    ]
    assert found["queue"] == {"state": "ok", "waiting": 0, "oldest_seconds": None}


def test_a_long_slug_is_whole_and_a_name_is_no_markup():
    slug = "a-season-with-a-slug-as-long-as-they-may-be-" + "x" * 36
    play(slug, rounds=1)
    Participant.objects.filter(slug="cash").update(name="[red]Cash[/red]", slug="c" * 60)

    told, _ = ask("--competition", slug)

    assert slug in told
    assert "c" * 60 in told
    assert all(line == line.rstrip() for line in told.splitlines())


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "options", "is_coloured"),
    [({}, {}, True), ({"NO_COLOR": "1"}, {}, False), ({}, {"no_color": True}, False)],
)
def test_colours_are_for_terminals_that_want_them(monkeypatch, variables, options, is_coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    for name, value in variables.items():
        monkeypatch.setitem(os.environ, name, value)
    slug = "z" * 70
    make_draft(slug)
    told = Terminal()

    call_command("arena_status", stdout=told, **options)

    text = told.getvalue()
    assert ("\x1b[" in text) is is_coloured
    # On sixty columns the slug goes on in the next line, and nothing of it is lost.
    assert "…" not in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert plain.count("z") == 70


def test_what_the_terminal_cannot_write_becomes_a_question_mark():
    class Narrow(StringIO):
        encoding = "ascii"

    from django.core.management.base import OutputWrapper

    told = Narrow()

    output.write_line(OutputWrapper(told), "— 5 €")

    assert told.getvalue() == "? 5 ?\n"
