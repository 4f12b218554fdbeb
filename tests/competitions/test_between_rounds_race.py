"""A season on the wall clock whose market moves at any moment, also while answers are being settled: its record can be played again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import cycle

import pytest
from django.db import connection, connections
from django.utils import timezone

from agents.domain.baselines import BASELINES
from agents.domain.context import DecisionContext
from competitions.models import Competition, Turn
from competitions.models.competitions import ClockKind, FillRule
from competitions.models.rounds import TurnOutcome, TurnState
from competitions.services import advancing, control
from competitions.services.driving import drive
from competitions.services.market import contract_of
from competitions.services.rebuilding import rebuild_season
from competitions.services.verifying import verify_season
from marketdata.domain.facts import Quote
from marketdata.feeds import open_feed
from tests.builders import (
    Model,
    baselines,
    make_model,
    make_season,
    make_synthetic_feed,
    start_season,
)
from tests.fakes.season_server import SeasonServer
from trading.domain.rules import MarginMode
from trading.models import Fill, Order
from trading.models.orders import OrderCause, OrderStatus
from trading.selectors import check_invariants

pytestmark = [
    pytest.mark.services,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer anyway"),
]

SYMBOLS = ("BTCUSDT", "ETHUSDT")
ROUNDS = 6
# Of the market's own prices: near, through stops and limits, and beyond what 20x can bear.
FACTORS = ("1", "0.985", "1.015", "0.999", "1.001", "0.9", "1.1")


def shaken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is shown between rounds be the feed's quotes times one factor after the other."""
    real = advancing.sound_quotes
    factors = cycle(map(Decimal, FACTORS))

    def quotes(market, specs, **named):
        factor, steps = next(factors), {spec.symbol: spec for spec in specs}
        return {
            symbol: Quote(
                symbol,
                told.at,
                steps[symbol].price_against_seller(told.bid * factor),
                steps[symbol].price_against_buyer(told.ask * factor),
                told.mark * factor,
            )
            for symbol, told in real(market, specs, **named).items()
        }

    monkeypatch.setattr(advancing, "sound_quotes", quotes)


def script(marks: dict[str, Decimal]) -> Callable[[DecisionContext], str]:
    """Return a decider that in turn opens with exits at high leverage, rests, closes and cancels."""

    def say(context: DecisionContext) -> str:
        btc, eth = (marks[symbol] for symbol in SYMBOLS)

        def level(mark: Decimal, factor: str) -> str:
            return f"{mark * Decimal(factor):.2f}"

        opening = {
            "action": "open_long",
            "symbol": "BTCUSDT",
            "margin_fraction": "0.05",
            "leverage": 20,
        }
        resting = {
            "action": "open_short",
            "symbol": "ETHUSDT",
            "margin_fraction": "0.05",
            "order_type": "limit",
            "limit_price": level(eth, "1.01"),
        }
        choices = [
            [{**opening, "stop_loss": level(btc, "0.99")}, resting],
            [{**opening, "take_profit": level(btc, "1.01")}, {**resting, "leverage": 20}],
            [{"action": "close", "symbol": "ETHUSDT"}, opening, {"action": "cancel_orders"}],
        ]
        wishes = choices[context.round_number % 3]
        return json.dumps({"summary": "As written.", "instructions": wishes})

    return say


def on_its_own(work: Callable[..., int], *given: object) -> int:
    """Do the work of a thread and close its connection."""
    try:
        return work(*given)
    finally:
        connections.close_all()


def show(is_over: threading.Event) -> int:
    """Show the market without a rest; return how often."""
    shown = 0
    while not is_over.wait(0.01):
        shown += advancing.advance_live(now=timezone.now())
    return shown


def pause_in_the_midst(season: Competition) -> int:
    """Pause while the third round's answers are being settled; return how many turns that cancelled."""
    turns = Turn.objects.filter(round__competition=season, round__number=3)
    while not turns.filter(state=TurnState.SETTLED).exists():
        time.sleep(0.02)
    control.pause_competition(
        season, actor="mara", reason="", after_round=False, now=timezone.now()
    )
    return turns.filter(outcome=TurnOutcome.CANCELLED).count()


@pytest.mark.timeout(240)
def test_a_season_in_which_the_market_never_rests_is_recomputed(monkeypatch):
    feed = make_synthetic_feed()
    shaken(monkeypatch)
    with SeasonServer() as server:
        models = [
            Model(f"model-{n}", f"jitter-50-900-{n}", ("anthropic", "openai")[n % 2])
            for n in range(5)
        ]
        season = make_season(
            "shaken",
            feed,
            [*baselines(), *(make_model(model, server.url) for model in models)],
            symbols=SYMBOLS,
            clock=ClockKind.WALL,
            fill_rule=FillRule.ARRIVAL,
            starts_at=None,
            interval_seconds=4,
            deadline_seconds=4,
            max_rounds=ROUNDS,
            acts_between_rounds=True,
            resting_orders=True,
            max_leverage=20,
            margin_mode=MarginMode.ISOLATED,
        )
        season = start_season(season)
        specs = contract_of(season).rules.instruments
        told = open_feed(feed).quotes(specs, timezone.now())
        decide = script({symbol: quote.mark for symbol, quote in told.items()})
        for name in ("cash", "random", "trend"):
            monkeypatch.setitem(BASELINES, name, decide)

        is_over = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            showing = pool.submit(on_its_own, show, is_over)
            pausing = pool.submit(on_its_own, pause_in_the_midst, season)
            try:
                list(drive(season, rounds=None))
                assert pausing.result() > 0
                control.resume_competition(season, actor="mara", now=timezone.now())
                list(drive(season, rounds=None))
            finally:
                is_over.set()
        assert showing.result() >= 5 * ROUNDS
    season.refresh_from_db()

    assert season.status == "FINISHED"
    causes = set(Fill.objects.filter(by_market=True).values_list("order__cause", flat=True))
    assert {OrderCause.EXIT, OrderCause.LIQUIDATION, OrderCause.INSTRUCTION} <= causes
    assert not Order.objects.filter(status=OrderStatus.SUBMITTING).exists()
    assert check_invariants(season.book) == []
    assert verify_season(season).problems == []
    rebuilt = rebuild_season(season, actor="test", now=timezone.now(), is_check=True)
    assert rebuilt.changes == ()
