"""The season that a new arena shows, and where its prices come from."""

from __future__ import annotations

import socket
import time
from decimal import Decimal

import pytest
from django.utils import timezone

from competitions.models import Competition
from competitions.models.competitions import CompetitionStatus
from competitions.services.demo import ensure_demo_season
from competitions.services.rounds import open_due_round, prepare_round
from competitions.services.turns import play_turns
from competitions.services.verifying import verify_season
from marketdata.models.feeds import FeedKind
from tests.fakes.binance_rest import BinanceServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def closed_port():
    """Yield an address on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def mute_server():
    """Yield an address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_binance_is_taken_when_it_answers_and_its_rounds_verify(settings):
    with BinanceServer() as server:
        server.price = {
            "BTCUSDT": Decimal("97500.0"),
            "ETHUSDT": Decimal("3420.00"),
            "SOLUSDT": Decimal("182.10"),
            "BNBUSDT": Decimal("905.20"),
            "XRPUSDT": Decimal("2.2110"),
            "DOGEUSDT": Decimal("0.18410"),
        }
        settings.BINANCE_FAPI_BASE_URL = server.url
        report = ensure_demo_season(now=timezone.now())
        assert report.competition.feed.kind == FeedKind.BINANCE
        assert report.created
        assert "Binance" in report.feed_note

        round_ = _play_first_round(report.competition)

    assert round_.has_data
    assert round_.turns.filter(outcome="TRADED").exists()
    assert verify_season(report.competition).problems == []


def test_the_synthetic_market_stands_in_and_the_note_says_why(settings, closed_port):
    settings.BINANCE_FAPI_BASE_URL = closed_port

    report = ensure_demo_season(now=timezone.now())

    assert report.competition.feed.kind == FeedKind.SYNTHETIC
    assert report.competition.status == CompetitionStatus.RUNNING
    assert "SIMULATED" in report.feed_note
    assert closed_port in report.feed_note


def test_a_venue_that_says_nothing_is_not_waited_for(settings, mute_server):
    settings.BINANCE_FAPI_BASE_URL = mute_server
    began = time.monotonic()

    report = ensure_demo_season(now=timezone.now(), binance_seconds=0.5)

    assert report.competition.feed.kind == FeedKind.SYNTHETIC
    assert "within 0.5 s" in report.feed_note
    # The synthetic market's day of history takes a second or two of it.
    assert time.monotonic() - began < 9


def test_a_second_start_finds_the_season_of_the_first(settings, closed_port):
    settings.BINANCE_FAPI_BASE_URL = closed_port
    first = ensure_demo_season(now=timezone.now())

    second = ensure_demo_season(now=timezone.now())

    assert not second.created
    assert second.competition.pk == first.competition.pk
    assert Competition.objects.count() == 1


def test_the_demo_moves_without_any_key_and_tells_how_to_let_models_in(
    settings, closed_port, monkeypatch
):
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings.BINANCE_FAPI_BASE_URL = closed_port
    competition = ensure_demo_season(now=timezone.now()).competition

    round_ = _play_first_round(competition)

    outcomes = {turn.participant.slug: turn for turn in round_.turns.select_related("participant")}
    assert outcomes["buy-and-hold"].outcome == "TRADED"
    assert outcomes["cash"].outcome == "HELD"
    skipped = [turn for turn in outcomes.values() if turn.outcome == "SKIPPED"]
    assert len(skipped) == 3
    assert all("_API_KEY in .env" in turn.reason for turn in skipped)
    assert round_.digest
    assert verify_season(competition).problems == []


def _play_first_round(competition):
    time.sleep(max(0.0, (competition.starts_at - timezone.now()).total_seconds()))
    round_ = open_due_round(competition.pk, now=timezone.now())
    assert round_ is not None
    play_turns(round_.pk, prepare_round(round_.pk, now=timezone.now()))
    round_.refresh_from_db()
    return round_
