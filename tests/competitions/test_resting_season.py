"""A season whose book lets orders rest: what its decisions come to, what operators end, and that all of it is recomputed."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from django.utils import timezone

from agents.domain.baselines import BASELINES
from agents.domain.context import DecisionContext
from agents.models import Decision
from competitions.models import AuditEvent, Competition, Leg, Turn
from competitions.services import control
from competitions.services.driving import drive
from competitions.services.rounds import open_due_round, prepare_round
from competitions.services.verifying import verify_season
from marketdata.models import Blob
from tests.builders import baselines, make_season, start_season, store_market
from trading.models import EquityPoint, Order, Position
from trading.models.orders import OrderStatus

pytestmark = pytest.mark.django_db

BTC, ETH, SOL = "BTCUSDT", "ETHUSDT", "SOLUSDT"
Wishes = list[dict[str, Any]]


def wish(action: str, symbol: str, **fields: Any) -> dict[str, Any]:
    return {"action": action, "symbol": symbol, **fields}


WAITS = wish("open_long", ETH, notional="500", order_type="limit", limit_price="2000")
# Prices are near 60,000, 2,500 and 150.
SCRIPT: list[Wishes] = [
    [
        wish("open_long", BTC, notional="1000", order_type="limit", limit_price="70000"),
        WAITS | {"leverage": 2, "trailing_stop_pct": "1.5", "trailing_activation": "2600.004"},
        wish(
            "open_long",
            SOL,
            quantity="2",
            order_type="limit",
            limit_price="100",
            time_in_force="ioc",
        ),
        wish(
            "open_short",
            SOL,
            quantity="2",
            order_type="limit",
            limit_price="100",
            time_in_force="post_only",
        ),
    ],
    [
        wish("close", BTC, order_type="stop_market", trigger_price="50000"),
        wish("reduce", BTC, quantity="0.004", order_type="take_profit_market", trigger_price=90000),
        wish("open_long", SOL, quantity="3", order_type="stop_market", trigger_price="200"),
        wish("set_exits", BTC, trailing_stop_pct="5", stop_loss="40000"),
        wish("open_long", ETH, notional="1", order_type="limit", limit_price="2000"),
    ],
    [
        wish("cancel_orders", ETH),
        wish("cancel_orders", "PEPEUSDT"),
        wish("open_short", ETH, notional="500", order_type="trailing_stop", callback_rate="2"),
        wish("open_short", ETH, notional="500", order_type="trailing_stop", callback_rate="90"),
    ],
    [wish("close", BTC), WAITS],
    [{"action": "cancel_orders"}],
]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[Wishes]:
    """Let the cash baseline say what the list holds for each round; nothing beyond its end."""
    script = list(SCRIPT)

    def say(context: DecisionContext) -> str:
        place = context.round_number - 1
        wishes = script[place] if place < len(script) else []
        return json.dumps({"summary": "As written.", "instructions": wishes})

    monkeypatch.setitem(BASELINES, "cash", say)
    return script


def played(rounds: int, *, resting_orders: bool = True, **fields: Any) -> Competition:
    feed = store_market(120 + 40)
    draft = make_season("season", feed, baselines("cash"), resting_orders=resting_orders, **fields)
    season = start_season(draft)
    list(drive(season, rounds=rounds))
    season.refresh_from_db()
    return season


def verdicts(number: int) -> list[tuple[str, str]]:
    legs = Leg.objects.filter(turn__round__number=number).order_by("index")
    return [(leg.verdict, leg.denial.split(" ")[0]) for leg in legs]


@pytest.mark.parametrize("fill_rule", ["next_bar", "snapshot"])
def test_what_decisions_come_to_and_that_it_is_recomputed(scripted, fill_rule: str):
    season = played(5, fill_rule=fill_rule)

    assert verdicts(1) == [
        ("FILLED", ""),
        ("RESTING", ""),
        ("CANCELLED", ""),
        ("DENIED", "POST_ONLY_WOULD_TAKE"),
    ]
    assert verdicts(2) == [
        ("RESTING", ""),
        ("RESTING", ""),
        ("RESTING", ""),
        ("SET", ""),
        ("DENIED", "QUANTITY_BELOW_STEP"),
    ]
    assert verdicts(3) == [
        ("CANCELLED", ""),
        ("DENIED", "UNKNOWN_SYMBOL"),
        ("RESTING", ""),
        ("DENIED", "INVALID_ORDER"),
    ]
    assert verdicts(4) == [("FILLED", ""), ("RESTING", "")]
    assert verdicts(5) == [("CANCELLED", "")]
    outcomes = Turn.objects.order_by("round__number").values_list("outcome", flat=True)
    assert list(outcomes) == ["TRADED", "TRADED", "TRADED", "TRADED", "HELD"]
    assert not Order.objects.unfinished().exists()
    waited = Order.objects.get(symbol=ETH, exit_callback_rate__isnull=False)
    assert (str(waited.exit_callback_rate), str(waited.exit_activation_price)) == ("1.5", "2600")
    held = Position.objects.get()
    assert (str(held.callback_rate), str(held.stop_loss), held.quantity) == ("5", "40000", 0)
    # .25 at 2000 sets aside 500 and a fee of 5 bps; nothing else is left after the close.
    used = EquityPoint.objects.filter(number__in=[4, 5]).order_by("number")
    assert [str(point.used_margin.normalize()) for point in used] == ["500.25", "0"]
    assert Decision.objects.first().status == "VALID"
    assert verify_season(season).problems == []


def test_a_pause_ends_what_would_open_and_a_stop_all(scripted):
    scripted[3:] = [[WAITS], [WAITS]]
    season = played(2)
    control.pause_competition(
        season, actor="mara", reason="lunch", after_round=False, now=timezone.now()
    )
    open_now = Order.objects.unfinished().order_by("leg")
    assert [(row.kind, row.reduce_only) for row in open_now] == [
        ("STOP_MARKET", True),
        ("TAKE_PROFIT_MARKET", True),
    ]
    paused = AuditEvent.objects.get(action="paused")
    gone = Order.objects.filter(status=OrderStatus.CANCELLED).order_by("client_order_id")
    assert paused.detail["cancelled_orders"].split(", ") == [row.client_order_id for row in gone]
    season.refresh_from_db()
    assert verify_season(season).problems == []

    control.resume_competition(season, actor="mara", now=timezone.now())
    list(drive(season, rounds=2))
    assert Order.objects.unfinished().filter(reduce_only=False).exists()
    control.stop_competition(season, actor="mara", reason="enough", now=timezone.now())
    assert not Order.objects.unfinished().exists()
    season.refresh_from_db()
    assert verify_season(season).problems == []


@pytest.mark.parametrize("is_open", [True, False])
def test_a_pause_counts_before_or_after_the_marks_of_its_round(scripted, is_open: bool):
    scripted[1:] = [[]]
    season = played(1)
    if is_open:
        round_ = open_due_round(season.pk, now=timezone.now())
        assert round_ is not None
        prepare_round(round_.pk, now=timezone.now())
    control.pause_competition(
        season, actor="mara", reason="", after_round=False, now=timezone.now()
    )
    last = EquityPoint.objects.order_by("-number").first()
    # ETH at 2x: 250 and .25 are set aside until the pause.
    assert last is not None
    assert last.number == (2 if is_open else 1)
    before = EquityPoint.objects.get(number=1).used_margin
    assert (before - last.used_margin > 240) is is_open
    season.refresh_from_db()
    assert verify_season(season).problems == []


def test_an_emergency_close_ends_all_that_waits(scripted):
    season = played(2)
    report = control.emergency_close(season, actor="mara", reason="", now=timezone.now())
    assert report.is_flat
    assert not Order.objects.unfinished().exists()
    season.refresh_from_db()
    assert verify_season(season).problems == []


def told(number: int) -> str:
    """Return the account part of what the scripted participant was told in a round."""
    completion = Turn.objects.get(round__number=number).decision.completion
    return Blob.objects.text(completion.account_id)


def test_the_next_prompt_tells_orders_refusals_and_the_smallest_order(scripted):
    played(3)
    second, third = told(2), told(3)
    assert "- ETHUSDT BUY limit quantity 0.250 | limit_price 2000.00 | waiting for 5 min" in second
    assert "POST_ONLY_WOULD_TAKE limit=100 price=" in second
    assert "- BTCUSDT SELL stop_market quantity 0.01" in third
    assert "| closes all that is held then |" in third
    assert "| trailing_stop_pct 5 behind the best price " in third
    assert "QUANTITY_BELOW_STEP asked=0.0005 step=0.001" in third
    assert "Smallest order now: BTCUSDT 0.0" in third


def test_the_pages_tell_what_an_order_waits_for(scripted, client):
    season = played(2)
    first = client.get(f"/c/{season.slug}/r/1/cash/").content.decode()
    assert "for 500.00 limit 2,000" in first
    assert "RESTING" in first
    second = client.get(f"/c/{season.slug}/r/2/cash/").content.decode()
    assert "stop market at 50,000" in second
    round_page = client.get(f"/c/{season.slug}/r/2/").content.decode()
    assert "waits" in round_page


def test_an_order_that_was_refused_at_its_trigger_is_told_once(scripted):
    scripted[2:] = []
    season = played(2)
    Order.objects.filter(symbol=SOL, kind="STOP_MARKET").update(
        status=OrderStatus.REJECTED,
        denial_code="INSUFFICIENT_MARGIN",
        denial_context={"free": "1.00", "needed": "2.00"},
        updated_at=timezone.now(),
    )
    list(drive(season, rounds=2))
    words = "- BUY SOLUSDT stop_market, at its trigger: INSUFFICIENT_MARGIN free=1.00 needed=2.00"
    assert words in told(3)
    assert words not in told(4)


def test_a_finished_season_keeps_no_order(scripted):
    season = played(2, max_rounds=2)
    assert season.status == "FINISHED"
    assert not Order.objects.unfinished().exists()
    assert verify_season(season).problems == []


def test_an_order_that_waits_and_is_not_recomputed_is_found(scripted):
    season = played(2)
    order = Order.objects.unfinished().get(symbol=SOL)
    Order.objects.filter(pk=order.pk).update(status=OrderStatus.CANCELLED)
    found = verify_season(season).problems
    assert found == [
        f"order {order.client_order_id}: status stored CANCELLED, recomputed {order.status}"
    ]


def test_without_resting_orders_the_new_words_are_unknown(monkeypatch: pytest.MonkeyPatch):
    said = json.dumps({"summary": "", "instructions": [WAITS]})
    monkeypatch.setitem(BASELINES, "cash", lambda context: said)
    season = played(1, resting_orders=False)
    turn = Turn.objects.get()
    assert turn.outcome == "INVALID"
    assert "found the unknown key 'order_type'" in turn.reason
    assert verify_season(season).problems == []


ACTIONS = ("open_long", "open_short", "close", "reduce", "set_exits", "cancel_orders", "hold")
SIZES = ("margin_fraction 0.1", "notional 900", "quantity 0.02", "quantity 1e12", "notional 0")
WAYS: list[dict[str, Any]] = [
    {},
    {"order_type": "limit", "limit_price": ...},
    {"order_type": "limit", "limit_price": ..., "time_in_force": "ioc"},
    {"order_type": "limit", "limit_price": ..., "time_in_force": "post_only"},
    {"order_type": "stop_market", "trigger_price": ...},
    {"order_type": "take_profit_market", "trigger_price": ...},
    {"order_type": "trailing_stop", "callback_rate": "1.25"},
    {"order_type": "trailing_stop", "callback_rate": "99"},
]


def _drawn(draws: random.Random) -> Wishes:
    """Return instructions of which most are sound, some odd and few broken; ``...`` of a way becomes a price near the market's."""
    wishes: Wishes = []
    for _ in range(draws.randint(2, 6)):
        symbol, price = draws.choice([(BTC, 60000), (ETH, 2500), (SOL, 150)])
        (action,) = draws.choices(ACTIONS, weights=[6, 4, 2, 4, 2, 1, 1])
        fields: dict[str, Any] = {}
        if action.startswith("open"):
            name, size = draws.choices(SIZES, weights=[9, 9, 3, 1, 1])[0].split()
            (leverage,) = draws.choices([None, 1, 2, 0, 1000], weights=[9, 9, 1, 1, 1])
            fields |= {name: size, "leverage": leverage}
        elif action == "reduce":
            fields["quantity"] = draws.choice(["0.01", "1", "0.0000001"])
        away = draws.choices([0.5, 0.97, 1, 1.03, 1.5, 1000], weights=[2, 4, 4, 4, 2, 1])[0]
        level = str(round(price * away, 4))
        if action.startswith(("open", "close", "reduce")):
            way = draws.choices(WAYS, weights=[5, 4, 2, 2, 4, 4, 2, 1])[0]
            fields |= {name: level if value is ... else value for name, value in way.items()}
        if action.startswith(("open", "set")):
            fields |= draws.choice([{}, {"trailing_stop_pct": "2"}, {"stop_loss": level}])
        wishes.append(wish(action, symbol, **fields))
    return wishes


@pytest.mark.parametrize("seed", [12, 15, 16, 20])
def test_any_season_is_recomputed_to_the_same_rows(scripted, seed: int):
    draws = random.Random(seed)
    scripted[:] = [_drawn(draws) for _ in range(6)]
    season = played(6)
    assert not Turn.objects.filter(outcome__in=["ERROR", "TIMEOUT"]).exists()
    assert not Leg.objects.filter(verdict="UNKNOWN").exists()
    assert verify_season(season).problems == []
