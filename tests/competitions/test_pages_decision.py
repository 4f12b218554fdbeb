"""The trail of a decision, and the round it belongs to."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Completion, Decision
from competitions.models import Turn
from competitions.models.rounds import TurnOutcome, TurnState
from competitions.selectors.checks import denial_shown
from competitions.selectors.seasons import load_season
from competitions.selectors.trail import find_turn, steps_of, trail_of
from tests.builders import MODELS, baselines, make_model, make_user
from tests.competitions.played import make_draft, play, turn_of
from tests.competitions.test_pages_season import text_of
from tests.fakes.season_server import SeasonServer
from trading.models import Fill

pytestmark = pytest.mark.django_db


def states_of(competition, number, slug):
    season = load_season(competition)
    turn = find_turn(season, number, slug)
    return {step.name: step.state for step in steps_of(trail_of(season, turn))}


def test_a_traded_turn_shows_the_whole_way(client):
    competition = play(rounds=1)

    response = client.get("/c/small/r/1/buy-and-hold/")
    words = text_of(response)

    completion = Completion.objects.get(turn_key=turn_of(competition, 1, "buy-and-hold").turn_key)
    for blob in (completion.system, completion.market, completion.account, completion.text):
        assert blob.sha256 in response.content.decode()
    assert "You take part in the trading competition" in words
    for fill in Fill.objects.filter(account__ordinal=1):
        assert f'data-value="{fill.price:f}"' in response.content.decode()
        assert fill.order.client_order_id in words
    assert set(states_of(competition, 1, "buy-and-hold").values()) == {"ok"}


def test_a_held_turn_says_that_nothing_was_judged(client):
    competition = play(rounds=1)

    words = text_of(client.get("/c/small/r/1/cash/"))

    assert "No instruction came out of this turn" in words
    assert "No order was sent." in words
    states = states_of(competition, 1, "cash")
    assert (states["Parse"], states["Risk"], states["Order"], states["Result"]) == (
        "ok",
        "none",
        "none",
        "ok",
    )


def test_a_skipped_model_shows_the_hint(client):
    from agents.models import Agent, Provider

    roster = baselines("cash")
    provider = Provider.objects.get(slug="anthropic")
    roster.append(Agent.objects.filter(provider=provider).first())
    play(rounds=1, roster=roster)

    words = text_of(client.get(f"/c/small/r/1/{roster[1].slug}/"))

    assert "SKIPPED" in words
    assert "ANTHROPIC_API_KEY" in words
    assert "No model was asked." in words


def test_models_of_every_temper_are_shown_as_they_answered(client):
    with SeasonServer() as server:
        roster = [make_model(model, server.url) for model in MODELS]
        competition = play(rounds=2, roster=roster)

    for turn in Turn.objects.filter(round__competition=competition).select_related("participant"):
        number = 1 if turn.turn_key.split("-")[1] == "1" else 2
        response = client.get(f"/c/small/r/{number}/{turn.participant.slug}/")
        assert response.status_code == 200
        assert turn.outcome in text_of(response)
        for completion in Completion.objects.filter(turn_key=turn.turn_key):
            if completion.text_id:
                assert completion.text_id in response.content.decode()


def test_denied_legs_show_code_and_figures_and_the_failed_rule(client):
    with SeasonServer() as server:
        roster = [make_model(MODELS[0], server.url)]
        competition = play(
            rounds=4, roster=roster, max_leverage=1, max_position_size_pct=Decimal(1)
        )

    turns = Turn.objects.filter(legs__verdict="DENIED").distinct()
    assert turns
    for turn in turns.select_related("round"):
        body = client.get(f"/c/small/r/{turn.round.number}/trader/").content.decode()
        for leg in turn.legs.filter(verdict="DENIED"):
            assert denial_shown(leg.denial) in body
        assert '<tr class="fail">' in body
        assert states_of(competition, turn.round.number, "trader")["Risk"] == "warn"


def test_a_turn_that_is_not_settled_fills_step_by_step(client):
    competition = play(rounds=1)
    turn = turn_of(competition, 1, "cash")
    Turn.objects.filter(pk=turn.pk).update(state=TurnState.ASKED, outcome="", decision=None)
    Completion.objects.all().filter(turn_key=turn.turn_key)

    body = client.get("/c/small/r/1/cash/").content.decode()

    assert 'hx-trigger="every 2s"' in body
    assert states_of(competition, 1, "cash")["Result"] == "wait"


def test_a_settled_turn_asks_no_more(client):
    play(rounds=1)

    assert "hx-trigger" not in client.get("/c/small/r/1/cash/").content.decode()


def test_what_never_was_is_not_found(client):
    play(rounds=1)

    for address in ("r/2/", "r/2/cash/", "r/1/nobody/", "a/nobody/", "r/0/", "r/x/"):
        assert client.get(f"/c/small/{address}").status_code == 404


def test_rounds_link_to_their_neighbours(client):
    play(rounds=3)

    body = client.get("/c/small/r/2/cash/").content.decode()

    assert 'href="/c/small/r/1/cash/" rel="prev"' in body
    assert 'href="/c/small/r/3/cash/" rel="next"' in body
    last = client.get("/c/small/r/3/cash/").content.decode()
    assert 'rel="next"' not in last


def test_a_huge_answer_is_cut_on_the_page_only(client, monkeypatch):
    from competitions.selectors import trail

    monkeypatch.setattr(trail, "RAW_LIMIT", 100)
    play(rounds=1)

    assert "Shown up to 200,000 characters" in text_of(client.get("/c/small/r/1/cash/"))


def test_no_key_is_on_the_page(client, monkeypatch):
    monkeypatch.setenv("FAKE_API_KEY", "sk-very-secret-0123456789")
    with SeasonServer() as server:
        agent = make_model(MODELS[0], server.url)
        agent.provider.key_variable = "FAKE_API_KEY"
        agent.provider.save()
        play(rounds=1, roster=[agent])

    body = client.get("/c/small/r/1/trader/").content.decode()

    assert Completion.objects.get().status == "OK"
    assert "sk-very-secret" not in body


def test_the_trail_asks_as_often_for_many_legs_as_for_few(client):
    play("few", rounds=1, roster=baselines("cash"))
    play("many", rounds=1, roster=baselines())

    counts = []
    for address in ("/c/few/r/1/cash/", "/c/many/r/1/buy-and-hold/"):
        client.get(address)
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        counts.append(len(queries))

    # Fills are fetched only where there are orders.
    assert counts[0] <= counts[1] <= counts[0] + 2
    assert counts[1] <= 16


def test_a_round_shows_snapshot_turns_and_digest(client):
    competition = play(rounds=1)

    response = client.get("/c/small/r/1/")
    body, words = response.content.decode(), text_of(response)

    row = competition.rounds.get()
    assert row.digest in body
    assert row.snapshot.sha256 in body
    assert re.findall(r'data-testid="turn" data-agent="([\w-]+)"', body) == [
        "buy-and-hold",
        "cash",
        "random",
    ]
    assert "Closed" in words


def test_an_unusable_snapshot_is_told_on_every_page(client):
    competition = play(rounds=1)
    competition.rounds.update(has_data=False)
    Turn.objects.update(
        outcome=TurnOutcome.HELD, reason="no usable market data: BTCUSDT MISSING_QUOTE"
    )

    assert "no usable data" in text_of(client.get("/c/small/r/1/"))
    assert "no usable market data" in text_of(client.get("/c/small/"))
    assert "no usable data" in text_of(client.get("/c/small/r/1/cash/"))


def test_a_participant_page_shows_figures_positions_and_decisions(client):
    competition = play(rounds=2)
    standing = competition.participants.get(slug="buy-and-hold").account.standing

    response = client.get("/c/small/a/buy-and-hold/")

    assert f'data-value="{standing.equity:f}" data-testid="equity"' in response.content.decode()
    assert "LONG" in text_of(response)
    assert "Round 2" in text_of(response)


def test_a_participant_of_a_draft_has_no_figures_yet(client):
    make_draft("draft")
    client.force_login(make_user("mara", "operator"))

    assert client.get("/c/draft/a/cash/").status_code == 200
    assert Decision.objects.count() == 0
