"""What is pushed makes of an old page the page that would be loaded now."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone

from competitions.live import render
from competitions.live.render import PIECES, render_pieces
from competitions.models import Event
from competitions.selectors.chart import ChartView
from competitions.services import control, events
from competitions.services.driving import drive
from competitions.services.events import record_events
from competitions.views import season as views
from tests.builders import baselines
from tests.competitions.played import play
from tests.pages import Elements, blanked

pytestmark = pytest.mark.django_db

ALL = ChartView()


def pushed(old: str, pieces) -> str:
    """Return the page after the browser has put the pieces in place."""
    for name, partial in pieces.items():
        start, end = Elements(old).found[name]
        body = re.fullmatch(r"<hx-partial [^>]*>(.*)</hx-partial>", partial, re.DOTALL)[1]
        old = old[:start] + body + old[end:]
    return old


def page_of(client, address="/c/small/") -> str:
    return client.get(address).content.decode()


@pytest.mark.parametrize("query", ["", "?range=24h&unit=usdt"])
def test_page_before_and_pushed_pieces_make_the_fresh_page(client, query):
    competition = play(rounds=2)
    before = page_of(client, f"/c/small/{query}")
    list(drive(competition, rounds=1))
    assert Event.objects.filter(kind="round_complete").count() == 3

    now = timezone.now()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views.timezone, "now", lambda: now)
        after = page_of(client, f"/c/small/{query}")
        view = ChartView.of(dict(part.split("=") for part in query[1:].split("&") if part))
        pieces = render_pieces("small", [view], now=now)[view].pieces

    assert blanked(before) != blanked(after)
    assert blanked(pushed(before, pieces)) == blanked(after)


@pytest.mark.parametrize("act", ["pause", "stop"])
def test_an_operators_act_is_pushed_whole(client, act):
    competition = play(rounds=1)
    before = page_of(client)
    if act == "pause":
        control.pause_competition(
            competition, actor="mara", reason="", after_round=False, now=timezone.now()
        )
    else:
        control.stop_competition(competition, actor="mara", reason="x", now=timezone.now())

    now = timezone.now()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views.timezone, "now", lambda: now)
        after = page_of(client)
        pieces = render_pieces("small", [ALL], now=now)[ALL].pieces

    assert blanked(pushed(before, pieces)) == blanked(after)


def test_every_piece_has_its_place_on_the_page(client):
    play(rounds=1)

    places = Elements(page_of(client)).found

    assert set(PIECES) <= set(places)


def test_pieces_carry_the_events_they_hold(client):
    competition = play(rounds=1)

    made = render_pieces("small", [ALL], now=timezone.now())[ALL]

    assert made.seq == competition.event_seq
    assert f'data-seq="{competition.event_seq}"' in made.pieces["pulse"]
    assert list(made.pieces)[-1] == "pulse"


def test_all_but_the_chart_is_rendered_once_for_all_views(monkeypatch):
    play(rounds=1)
    counted = []
    real = render.render_to_string
    monkeypatch.setattr(
        render, "render_to_string", lambda name, *rest: counted.append(name) or real(name, *rest)
    )

    made = render_pieces(
        "small", [ALL, ChartView("24h"), ChartView("all", "usdt")], now=timezone.now()
    )

    assert len(made) == 3
    assert counted.count("competitions/_chart.html") == 3
    assert counted.count("competitions/_board.html") == 1


def test_only_pieces_that_an_event_can_have_changed_are_rendered_again(monkeypatch):
    competition = play(rounds=1)
    before = render_pieces("small", [ALL], now=timezone.now())
    record_events(competition, ("turn_settled", {}), now=timezone.now())
    counted = []
    real = render.render_to_string
    monkeypatch.setattr(
        render, "render_to_string", lambda name, *rest: counted.append(name) or real(name, *rest)
    )

    made = render_pieces("small", [ALL], now=timezone.now(), before=before)

    assert sorted(counted) == [
        "competitions/_board.html",
        "competitions/_facts.html",
        "competitions/_feed.html",
        "competitions/_notice.html",
        "competitions/_prices.html",
        "competitions/_pulse.html",
    ]
    assert made[ALL].seq == before[ALL].seq + 1
    assert made[ALL].pieces["trades"] is before[ALL].pieces["trades"]
    assert list(made[ALL].pieces) == list(PIECES)


@pytest.mark.parametrize(("played", "rounds"), [(0, 1), (1, 2)])
def test_pieces_grown_event_by_event_are_those_rendered_at_once(played, rounds):
    competition = play(rounds=played, roster=baselines())
    now = timezone.now()
    before = render_pieces("small", [ALL], now=now)
    seen, stale = [], set()

    def follow(slug, seq):
        nonlocal before
        before = render_pieces("small", [ALL], now=now, before=before)
        whole = render_pieces("small", [ALL], now=now)[ALL].pieces
        stale.update(name for name in PIECES if before[ALL].pieces[name] != whole[name])
        seen.append(seq)

    with pytest.MonkeyPatch.context() as patch:
        # Called with each commit, or right away here, where the test's transaction never commits.
        patch.setattr(events.transaction, "on_commit", lambda work, **_: work())
        patch.setattr(events.bridge, "announce", follow)
        list(drive(competition, rounds=rounds))

    assert len(seen) >= 6 * rounds
    assert stale == set()


def test_no_competition_no_pieces():
    assert render_pieces("nobody", [ALL], now=timezone.now()) == {}
