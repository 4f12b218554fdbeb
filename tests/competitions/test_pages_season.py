"""The pages of a competition in each of its states."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from competitions.models import Competition, Participant, Turn
from competitions.models.competitions import CompetitionStatus, Visibility
from competitions.services import control
from competitions.services.driving import drive
from tests.builders import baselines, make_user
from tests.competitions.played import make_draft, play, turn_of
from trading.models import EquityPoint, Standing

pytestmark = pytest.mark.django_db

PAGES = ("", "leaderboard/", "rules/", "figures/", "a/random/")


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_user("mara", "operator"))
    return client


def text_of(response) -> str:
    """Return the page's words, tags taken out and blanks folded."""
    body = re.sub(r"<(script|style|svg)[\s\S]*?</\1>", " ", response.content.decode())
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace("\u00a0", " ")


def test_an_empty_arena_says_how_to_begin(client):
    response = client.get("/")

    assert response.status_code == 200
    assert "No competitions yet" in text_of(response)
    assert "make run" in text_of(response)


def test_the_first_page_sorts_competitions_by_what_they_do(client):
    running = play("running", rounds=1)
    over = play("over", rounds=1, max_rounds=1)
    list(drive(over, rounds=None))
    Competition.objects.filter(pk=make_draft("later").pk).update(status=CompetitionStatus.SCHEDULED)
    make_draft("secret-draft")

    body = client.get("/").content.decode()

    assert body.index("/c/running/") < body.index("Upcoming") < body.index("/c/later/")
    assert body.index("/c/later/") < body.index("Finished") < body.index("/c/over/")
    assert "secret-draft" not in body
    assert running.status == CompetitionStatus.RUNNING


def test_a_draft_and_a_private_season_do_not_exist_for_strangers(client):
    make_draft("draft")
    private = play("private", rounds=1, visibility=Visibility.PRIVATE)

    for slug in ("draft", private.slug, "never-made"):
        for page in PAGES:
            assert client.get(f"/c/{slug}/{page}").status_code == 404
    assert client.get("/c/private/r/1/").status_code == 404
    assert client.get("/c/private/r/1/random/").status_code == 404


def test_staff_sees_drafts_and_private_seasons(staff):
    make_draft("draft")
    play("private", rounds=1, visibility=Visibility.PRIVATE)

    assert staff.get("/c/draft/").status_code == 200
    assert staff.get("/c/private/r/1/random/").status_code == 200


def test_an_unlisted_season_opens_by_its_address_only(client):
    play("unlisted", rounds=1, visibility=Visibility.UNLISTED)

    assert client.get("/c/unlisted/").status_code == 200
    assert "/c/unlisted/" not in client.get("/").content.decode()


def test_before_the_first_round_the_chart_holds_the_start_line(staff):
    make_draft("draft")

    page = text_of(staff.get("/c/draft/"))

    assert "Start capital 10,000.00 USDT each" in page
    assert "before the first closed round" in page
    assert "Decisions appear here with the first round." in page
    assert "not frozen yet" in page


def test_a_running_season_shows_its_figures(client):
    competition = play(rounds=2)

    response = client.get("/c/small/")
    body, words = response.content.decode(), text_of(response)

    assert "SIMULATED" in words
    assert "after round 2" in words
    for standing in Standing.objects.select_related("account__participant"):
        row = body.split(f'id="row-{standing.account.participant.slug}"')[1].split("</tr>")[0]
        assert f'data-testid="equity" data-value="{standing.equity:f}"' in row
    assert competition.contract_hash in body
    assert f'data-seq="{competition.event_seq}"' in body
    assert 'hx-ws:connect="/ws/competitions/small/?seq=' in body


def test_the_first_closed_round_of_a_replay_is_drawn(client):
    # It is marked at its own slot, which is the start of the season.
    play(rounds=1)

    body = client.get("/c/small/").content.decode()

    assert body.count('class="ln ') >= 3


def test_each_participant_has_a_line_and_an_end_label(client):
    play(rounds=2)

    body = client.get("/c/small/").content.decode()

    lines = re.findall(r'class="ln (\w+)[^"]*" data-agent="([\w-]+)"', body)
    assert {slug for _, slug in lines} == {"buy-and-hold", "cash", "random"}
    assert body.count('<g class="b') == 3


def test_range_and_unit_are_links_that_keep_each_other(client):
    play(rounds=2)

    body = client.get("/c/small/?range=24h&unit=usdt").content.decode()

    assert 'href="/c/small/?range=24h" ' in body or 'href="/c/small/?range=24h"' in body
    assert 'href="/c/small/?unit=usdt"' in body
    assert "?range=24h&amp;unit=usdt&amp;seq=" in body
    assert re.search(r'<h2 id="h-eq">Equity</h2>', body)


def test_unknown_ranges_fall_back(client):
    play(rounds=1)

    assert client.get("/c/small/?range=<x>&unit=yen&tab=nope").status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_every_page_answers(client, page):
    play(rounds=1)

    response = client.get(f"/c/small/{page}")

    assert response.status_code == 200
    assert "SIMULATED" in text_of(response)


def test_a_paused_season_says_so(client):
    competition = play(rounds=1)
    control.pause_competition(
        competition, actor="mara", reason="look", after_round=False, now=timezone.now()
    )

    words = text_of(client.get("/c/small/"))

    assert "Paused. No round is opened" in words
    assert "Next round in" not in words


def test_a_finished_season_shows_its_seal_and_opens_no_socket(client):
    competition = play(rounds=1, max_rounds=1)
    list(drive(competition, rounds=None))
    competition.refresh_from_db()

    response = client.get("/c/small/")

    assert "Small season is final" in text_of(response)
    assert competition.season_digest in response.content.decode()
    assert "hx-ws:connect" not in response.content.decode()
    assert 'data-state="ended"' in response.content.decode()


def test_a_stopped_season_tells_why(client):
    control.stop_competition(play(rounds=1), actor="mara", reason="enough seen", now=timezone.now())

    assert "was stopped" in text_of(client.get("/c/small/"))
    assert "enough seen" in text_of(client.get("/c/small/"))


def test_a_strangers_text_is_only_text(client):
    competition = play(rounds=1)
    evil = '<script>alert(1)</script>"\u202e<img src=x onerror=y>'
    Participant.objects.filter(slug="random").update(name=evil[:80], state_reason=evil)
    Competition.objects.filter(pk=competition.pk).update(name=evil, description=evil)
    turn = turn_of(competition, 1, "random")
    Turn.objects.filter(pk=turn.pk).update(reason=evil)

    for address in (
        "/",
        "/c/small/",
        "/c/small/a/random/",
        "/c/small/r/1/",
        "/c/small/r/1/random/",
    ):
        body = client.get(address).content.decode()
        assert "<script>alert" not in body
        assert "<img" not in body
        assert "\u202e" not in body
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body


def test_the_live_page_asks_the_database_as_often_for_many_as_for_few(client):
    play("few", rounds=2, roster=baselines("cash", "random"))
    play("many", rounds=2, roster=baselines())

    counts = {}
    for slug in ("few", "many"):
        client.get(f"/c/{slug}/")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(f"/c/{slug}/")
        counts[slug] = len(queries)

    assert counts["few"] == counts["many"] <= 22


def test_the_first_page_asks_as_often_for_many_as_for_few(client):
    play("one", rounds=1)
    client.get("/")
    with CaptureQueriesContext(connection) as few:
        client.get("/")
    play("two", rounds=1)
    play("three", rounds=1)
    client.get("/")
    with CaptureQueriesContext(connection) as many:
        client.get("/")

    # One more for the small lines of those that have no chart.
    assert len(many) <= len(few) + 1 <= 14


def test_figures_behind_the_chart_are_those_of_the_rows(client):
    competition = play(rounds=2)

    body = client.get("/c/small/figures/?unit=usdt").content.decode()

    for point in EquityPoint.objects.filter(account__book=competition.book):
        assert f'data-value="{point.equity:f}"' in body


def test_rules_are_told_from_the_frozen_contract(client):
    competition = play(rounds=1, max_leverage=7)
    # What is edited behind the contract's back is not shown.
    Competition.objects.filter(pk=competition.pk).update(max_leverage=99)

    words = text_of(client.get("/c/small/rules/"))

    assert "at most 7\u00d7" in words
    assert "99\u00d7" not in words
    assert competition.contract_hash in words


def test_rules_tell_what_happens_between_rounds(client):
    play(
        rounds=1,
        acts_between_rounds=True,
        margin_mode="isolated",
        clearance_fee_bps=Decimal("12.5"),
        leverage_limits={"BTCUSDT": 5},
        max_decisions_per_hour=4,
        drawdown_warn_pct=Decimal(10),
        drawdown_close_pct=Decimal(30),
    )

    words = text_of(client.get("/c/small/rules/"))

    for told in (
        "isolated: each position is backed by its own margin alone",
        "do not exceed its maintenance margin is taken whole, at the mark",
        "0.125 % of what is liquidated",
        "at most 4 an hour; closing and reducing are not limited",
        "a warning at 10 %; everything is closed at 30 %",
        "leverage at most 5\u00d7",
        # The first two tiers of Bitcoin, and which table that is.
        "binance-usdm-2026-09-29",
        "300,000.00 0.4 % 0.00 150\u00d7 800,000.00 0.5 % 300.00 100\u00d7",
    ):
        assert told in words, told


def test_rules_of_a_cfd_season_tell_stop_out_and_nights(client):
    play(
        rounds=1,
        acts_between_rounds=True,
        margin_model="cfd",
        stop_out_basis="open",
        overnight_bps_long=Decimal("0.8"),
        overnight_bps_short=Decimal("-0.25"),
    )

    words = text_of(client.get("/c/small/rules/"))

    assert "10 % to open, 5 % to keep, of what the open part of a position cost" in words
    assert "when equity is below the margin to keep" in words
    assert (
        "a long pays 0.008 % and a short receives 0.0025 % of its value each night at 21:00 UTC"
        in words
    )
    assert "Margin tiers" not in words


def test_a_draft_tells_its_terms_before_they_are_frozen(staff):
    make_draft(acts_between_rounds=True, drawdown_stop_pct=Decimal(20))

    words = text_of(staff.get("/c/small/rules/"))

    assert "when equity does not exceed the maintenance margin of all positions" in words
    assert "nothing is opened from 20 %" in words


def test_where_nothing_acts_between_rounds_the_rules_say_so(client):
    play(rounds=1)

    words = text_of(client.get("/c/small/rules/"))

    assert "none: nothing acts between rounds" in words
    assert "Margin tiers" not in words


def test_equal_equity_shares_a_place(client):
    play(rounds=1, roster=baselines("cash", "random", "buy_and_hold"))
    Standing.objects.update(equity=Decimal(10_000))

    body = client.get("/c/small/").content.decode()

    assert re.findall(r'<td class="rank nw">(.)</td>', body) == ["1", "1", "1"]


def test_every_page_forbids_inline_code(client):
    play(rounds=1)
    for address in ("/", "/c/small/", "/c/small/r/1/random/", "/login/", "/nowhere/"):
        response = client.get(address)
        policy = response.headers["content-security-policy"]
        body = response.content.decode()
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", body)


def test_the_theme_is_kept_in_a_cookie(client):
    response = client.get("/theme/dark/?next=/login/")

    assert response.headers["location"] == "/login/"
    assert 'data-theme="dark"' in client.get("/").content.decode()
    assert client.get("/theme/auto/").headers["location"] == "/"
    assert "data-theme" not in client.get("/").content.decode()


def test_the_theme_link_leads_nowhere_else(client):
    assert client.get("/theme/dark/?next=//evil.example/").headers["location"] == "/"
    assert client.get("/theme/pink/").status_code == 404
