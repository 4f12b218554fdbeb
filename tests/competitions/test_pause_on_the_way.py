"""A pause that comes between an order's acceptance and its arrival: what becomes of the order can be played again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from agents.domain.baselines import BASELINES
from agents.domain.context import DecisionContext
from competitions.models import Competition
from competitions.services import control
from competitions.services.driving import drive
from competitions.services.verifying import verify_season
from tests.builders import baselines, make_season, start_season
from tests.competitions.test_between_rounds import ACTING, store
from trading.models import Order
from trading.models.orders import OrderStatus
from trading.services import orders

pytestmark = pytest.mark.django_db


def limit(price: str, **fields: Any) -> dict[str, Any]:
    wish = {"action": "open_long", "symbol": "BTCUSDT", "order_type": "limit"}
    return {**wish, "quantity": "0.005", "limit_price": price, **fields}


def started(monkeypatch: pytest.MonkeyPatch, *script: list[dict[str, Any]]) -> Competition:
    """Return a season in which the cash baseline says in each round what ``script`` holds; the market falls to 90,000 and recovers."""

    def say(context: DecisionContext) -> str:
        place = context.round_number - 1
        wishes = script[place] if place < len(script) else []
        return json.dumps({"summary": "As written.", "instructions": wishes})

    monkeypatch.setitem(BASELINES, "cash", say)
    feed = store({7: "100000 100000 90000 100000"})
    return start_season(
        make_season("season", feed, baselines("cash"), symbols=["BTCUSDT"], **ACTING)
    )


def pause(season: Competition) -> None:
    control.pause_competition(
        season, actor="mara", reason="", after_round=False, now=timezone.now()
    )


def resume(season: Competition) -> None:
    control.resume_competition(season, actor="mara", now=timezone.now())


def stop(season: Competition) -> None:
    control.stop_competition(season, actor="mara", reason="enough", now=timezone.now())


def before_the_report(monkeypatch: pytest.MonkeyPatch, leg: int, do: Callable[[], None]) -> None:
    """Let something happen between the acceptance of that leg's order and its report."""
    real = orders.apply_report

    def late(order_id, *given, **named):
        if Order.objects.get(pk=order_id).leg == leg:
            do()
        return real(order_id, *given, **named)

    monkeypatch.setattr(orders, "apply_report", late)


WAITS, TAKES = "95000", "101000"


@pytest.mark.parametrize("price", [WAITS, TAKES])
@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("is_short", [False, True], ids=["pause", "pause and resume"])
def test_an_order_on_its_way_at_a_pause_ends_with_it(monkeypatch, price, others, is_short):
    # With others one order rests already when the pause comes.
    season = started(monkeypatch, [*[limit("80000")] * others, limit(price)])
    acts = [pause, resume] if is_short else [pause]
    before_the_report(monkeypatch, others + 1, lambda: [act(season) for act in acts])
    list(drive(season, rounds=1))
    monkeypatch.undo()

    order = Order.objects.get(leg=others + 1)
    assert (order.status, order.reserved, order.fills.count()) == (OrderStatus.CANCELLED, 0, 0)
    season.refresh_from_db()
    assert verify_season(season).problems == []

    if not is_short:
        resume(season)
    # The market falls through what would have waited.
    list(drive(season, rounds=2))
    assert not order.fills.exists()
    season.refresh_from_db()
    assert verify_season(season).problems == []


@pytest.mark.parametrize("price", [WAITS, TAKES])
def test_an_order_on_its_way_at_a_stop_ends_with_it(monkeypatch, price):
    season = started(monkeypatch, [limit(price)])
    before_the_report(monkeypatch, 1, lambda: stop(season))
    list(drive(season, rounds=1))

    assert Order.objects.get().status == OrderStatus.CANCELLED
    season.refresh_from_db()
    assert verify_season(season).problems == []


MARKET = {"action": "open_long", "symbol": "BTCUSDT", "quantity": "0.005"}
IOC = limit("101000", time_in_force="ioc")
IOC_TOO_LOW = limit("95000", time_in_force="ioc")


@pytest.mark.parametrize(
    ("wish", "status"), [(MARKET, "FILLED"), (IOC, "FILLED"), (IOC_TOO_LOW, "EXPIRED")]
)
def test_an_order_that_never_waits_arrives_in_spite_of_a_pause(monkeypatch, wish, status):
    season = started(monkeypatch, [limit("80000"), wish])
    before_the_report(monkeypatch, 2, lambda: pause(season))
    list(drive(season, rounds=1))

    assert Order.objects.get(leg=1).status == OrderStatus.CANCELLED
    assert Order.objects.get(leg=2).status == status
    season.refresh_from_db()
    assert verify_season(season).problems == []


CLOSE = {"action": "close", "symbol": "BTCUSDT"}


def test_what_only_reduces_arrives_in_spite_of_a_pause(monkeypatch):
    target = {
        "action": "close",
        "symbol": "BTCUSDT",
        "order_type": "take_profit_market",
        "trigger_price": "120000",
    }
    season = started(monkeypatch, [limit(WAITS), MARKET, target, CLOSE])
    before_the_report(monkeypatch, 3, lambda: pause(season))
    list(drive(season, rounds=1))

    # The last one was accepted after the pause: its place on the tape is behind that of the others.
    statuses = Order.objects.order_by("leg").values_list("status", flat=True)
    assert list(statuses) == ["CANCELLED", "FILLED", "CANCELLED", "FILLED"]
    season.refresh_from_db()
    assert verify_season(season).problems == []
