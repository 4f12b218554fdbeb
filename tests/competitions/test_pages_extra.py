"""Extra rounds on the pages: marked wherever they show, counted, and told with who asked for them."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from agents.models import Completion
from competitions.live.render import page_context
from competitions.models import Competition
from competitions.selectors.board import board_of
from competitions.selectors.chart import ChartView
from competitions.selectors.extras import scheduled_place
from competitions.selectors.season_page import season_page
from competitions.selectors.seasons import load_season
from competitions.services.driving import drive
from competitions.services.extra import open_extra_round
from competitions.services.trials import request_agent_trial, request_trials, run_trial
from tests.builders import baselines
from tests.competitions.played import make_draft, play

pytestmark = pytest.mark.django_db

MARK = 'data-testid="extra"'


@pytest.fixture
def season() -> Competition:
    """Return a season of six rounds: two scheduled ones, one extra for ``random``, one scheduled."""
    found = play()
    wanted = found.participants.filter(slug="random")
    open_extra_round(found, wanted, actor="<b>mara</b>", now=timezone.now())
    list(drive(found, rounds=1))
    found.refresh_from_db()
    return found


def page(client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_round_is_marked_and_says_who_asked_for_it(client, season):
    extra, scheduled = page(client, "/c/small/r/3/"), page(client, "/c/small/r/4/")

    assert MARK in extra
    assert "&lt;b&gt;mara&lt;/b&gt;" in extra
    assert "An extra round, beside the schedule" in extra
    assert MARK not in scheduled
    assert "Asked for by" not in scheduled


def test_the_trail_of_its_decision_is_marked(client, season):
    assert MARK in page(client, "/c/small/r/3/random/")
    assert MARK not in page(client, "/c/small/r/4/random/")


def test_decisions_are_marked_where_they_are_listed(client, season):
    for path in ("/c/small/", "/c/small/a/random/"):
        articles = re.findall(
            r'<article class="item" id="turn-.*?</article>', page(client, path), re.DOTALL
        )
        assert sum(MARK in article for article in articles) == 1
    assert MARK not in page(client, "/c/small/a/cash/")


def test_the_leaderboard_tells_who_had_more_turns(client, season):
    told = page(client, "/c/small/leaderboard/")

    assert re.findall(r'data-testid="extra-turns"[^>]*>([^<]+)<', told) == ["+1 extra turn"]
    rows = {row.entrant.slug: row.extra_turns for row in board_of(load_season(season)).rows}
    assert rows == {"buy-and-hold": 0, "cash": 0, "random": 1}
    answer = client.get("/api/v1/competitions/small/leaderboard").json()
    assert {row["participant"]["slug"]: row["extra_turns"] for row in answer["rows"]} == rows


def test_everybody_keeps_a_place_and_a_last_decision_however_many_extra_rounds_come(season):
    wanted = season.participants.filter(slug="random")
    for _ in range(2):
        open_extra_round(season, wanted, actor="mara", now=timezone.now())
        list(drive(season, rounds=1))
    for participant in season.participants.order_by("ordinal"):
        open_extra_round(season, [participant], actor="mara", now=timezone.now())
        left = drive(season, rounds=None)
        assert next(left).is_extra
        left.close()
    season.refresh_from_db()

    rows = board_of(load_season(season)).rows

    assert all(row.last is not None and row.rank is not None for row in rows)


def test_the_rules_tell_that_extra_rounds_exist_and_who_asked_for_them(client, season):
    told = page(client, "/c/small/rules/")

    assert '<span class="sub">1 so far</span>' in told
    assert "<dt>asked for by &lt;b&gt;mara&lt;/b&gt;</dt><dd>1</dd>" in told


def test_the_rules_of_a_season_without_any_say_so(client):
    play()

    told = page(client, "/c/small/rules/")
    assert '<span class="sub">none so far</span>' in told
    assert "asked for by" not in told


def test_rounds_are_counted_with_those_that_were_added(client, season):
    assert (season.round_count, season.extra_count) == (4, 1)
    told = client.get("/api/v1/competitions/small/status").json()
    assert (told["round_count"], told["total_rounds"]) == (4, 7)
    assert "<small>of 7, every" in page(client, "/c/small/")


def test_what_is_pushed_is_what_the_page_shows(season):
    shown = season_page(season, ChartView(), now=timezone.now())
    context = page_context(shown)

    assert context["page"].board.rows[0].entrant is not None
    assert sum(turn.is_extra for turn in context["page"].feed) == 1


def test_the_api_tells_a_round_s_kind_and_a_decision_s(client, season):
    rounds = client.get("/api/v1/competitions/small/rounds").json()["items"]
    assert [(row["number"], row["kind"]) for row in rounds] == [
        (4, "SCHEDULED"),
        (3, "EXTRA"),
        (2, "SCHEDULED"),
        (1, "SCHEDULED"),
    ]
    decisions = client.get("/api/v1/decisions?competition=small").json()["items"]
    assert [row["round"] for row in decisions if row["round_kind"] == "EXTRA"] == [3]


def test_trials_can_be_looked_at_in_the_admin(client):
    draft = make_draft()
    everybody = list(draft.participants.select_related("agent"))
    trials = request_trials(draft, everybody, actor="mara", now=timezone.now())
    client.force_login(get_user_model().objects.create_superuser("root"))

    told = page(client, "/admin/competitions/trial/")

    assert all(trial.trial_key in told for trial in trials)
    assert page(client, f"/admin/competitions/trial/{trials[0].pk}/change/").count("_save") == 0


def test_a_draft_is_deleted_with_its_trials_and_the_calls_stay(client):
    draft = make_draft(roster=[])
    agent = baselines("cash")[0]
    trial = request_agent_trial(agent, draft, symbols=[], actor="mara", now=timezone.now())
    run_trial(trial.pk)
    client.force_login(get_user_model().objects.create_superuser("root"))

    answer = client.post(f"/admin/competitions/competition/{draft.pk}/delete/", {"post": "yes"})

    assert answer.status_code == 302
    assert not Competition.objects.exists()
    assert Completion.objects.filter(turn_key=trial.trial_key).exists()


def test_a_scheduled_round_s_place_leaves_extra_ones_out():
    places = [scheduled_place(number, [3, 4, 7]) for number in range(1, 9)]

    assert places == [1, 2, 2, 2, 3, 4, 4, 5]
