"""What the pages show of an exact account: cover, open orders, causes, refusals, fates."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from competitions.live.render import render_pieces
from competitions.models import Leg, Participant
from competitions.models.events import EventKind
from competitions.models.rounds import LegVerdict
from competitions.selectors.chart import ChartView
from competitions.services.events import record_events
from tests.competitions.booked import (
    D,
    account_in,
    after,
    close,
    fill,
    fund,
    hold,
    order,
    play_exact,
)
from tests.competitions.played import turn_of
from tests.competitions.test_pages_season import text_of
from trading.models import Standing
from trading.models.orders import OrderCause, OrderKind, OrderStatus

pytestmark = pytest.mark.django_db

REFUSED = {
    "denial_code": "INSUFFICIENT_MARGIN",
    "denial_context": {"free": "12.3", "needed": "45"},
}


def stop_out(account) -> None:
    """Write a long that its stop closed, and the orders and fills of both."""
    held = hold(account, "0.02", "60000", funding=D("-0.25"), fees=D(1))
    fill(order(account, "BUY", "0.02", status=OrderStatus.FILLED), "60000", at=after(1))
    leaving = order(account, "SELL", "0.02", cause=OrderCause.EXIT, status=OrderStatus.FILLED)
    fill(leaving, "58000", at=after(3), trade_id="exit-1-stop_loss-1", realised=D(-40))
    close(held, "58000", at=after(3))


def test_a_position_is_shown_with_its_liquidation_its_exits_and_its_net_result(client):
    account = account_in(play_exact())
    hold(
        account,
        "0.02",
        "60000",
        stop_loss=D(58000),
        callback_rate=D(1),
        trail_extreme=D(61000),
        realised=D(3),
        fees=D(2),
    )

    response = client.get("/c/small/a/cash/")
    body, words = response.content.decode(), text_of(response)

    assert 'data-testid="liquidation" data-value="54216.867469879518' in body
    assert "LONG BTC 10\u00d7 isolated" in words
    assert "54,216.9" in words
    assert "Plan: stop 58,000.0 · trails by 1 %, now at 60,390.0" in words
    assert "isolated wallet 120.00" in words
    assert "bankrupt at 54,000.0" in words


def test_a_season_that_liquidates_nothing_shows_a_dash(client):
    account = account_in(play_exact())
    account.book.rules = account.book.rules.replace('"acts_between_rounds":true,', "")
    account.book.save()
    hold(account, "0.02", "60000")

    response = client.get("/c/small/a/cash/")

    assert 'data-testid="liquidation" data-value="">—' in response.content.decode()
    assert "nothing is liquidated" in text_of(response)


def test_orders_that_wait_are_shown_with_their_prices_and_age(client):
    account = account_in(play_exact())
    order(
        account,
        "BUY",
        "0.04",
        kind=OrderKind.LIMIT,
        limit_price=D(59000),
        time_in_force="POST_ONLY",
        reserved=D(236),
        filled_quantity=D("0.01"),
        status=OrderStatus.PARTIAL,
        market_at=after(-7),
    )

    words = text_of(client.get("/c/small/a/cash/"))

    assert "1 waiting, 236.00 set aside" in words
    assert re.search(
        r"BUY BTC limit 10\u00d7 0\.040 0\.010 filled 59,000\.0 post only 236\.00 7 m", words
    )


def test_an_account_without_any_says_so(client):
    play_exact()

    words = text_of(client.get("/c/small/a/cash/"))

    for said in ("No open positions.", "No orders wait.", "No fills yet.", "No order was refused."):
        assert said in words


def test_fills_trades_funding_and_refusals_are_told_in_words(client):
    account = account_in(play_exact())
    stop_out(account)
    fund(account, "-0.25", at=after(2))
    order(account, "BUY", "1", status=OrderStatus.DENIED, **REFUSED)
    waited = {"kind": OrderKind.STOP_MARKET, "trigger_price": D(61000)}
    order(account, "BUY", "1", status=OrderStatus.REJECTED, **waited, **REFUSED)

    words = text_of(client.get("/c/small/a/cash/"))

    assert re.search(
        r"SELL BTC 0\.020 2 Mar 12:03 stop loss 58,000\.0 taker 0\.50 \u221240\.00", words
    )
    assert re.search(r"LONG BTC 0\.020 2 Mar 12:03 60,000\.0 58,000\.0 2 m 1\.00 stop loss", words)
    assert re.search(r"BTC paid \u22120\.2500", words)
    assert "BUY BTC market INSUFFICIENT_MARGIN free 12.30, needed 45.00" in words
    assert "BUY BTC stop, at its trigger INSUFFICIENT_MARGIN free 12.30, needed 45.00" in words


def test_a_liquidated_participant_is_marked_on_every_page(client):
    competition = play_exact()
    reason = "margin ratio 104 %"
    Participant.objects.update(state="LIQUIDATED", state_reason=reason)
    account = account_in(competition)
    taken = order(account, "SELL", "0.02", cause=OrderCause.LIQUIDATION, status=OrderStatus.FILLED)
    fill(taken, "54200", at=after(3), trade_id="liq-1-1", realised=D(-116))

    for page in ("", "leaderboard/", "a/cash/"):
        words = text_of(client.get(f"/c/small/{page}"))
        assert "LIQUIDATED" in words
        assert reason in words
    feed = text_of(client.get("/c/small/"))
    assert "Liquidation: sold 0.020 BTC at 54,200.0, realised \u2212116.00" in feed


def test_what_happens_between_rounds_is_pushed_with_the_feed(client):
    competition = play_exact()
    before = render_pieces("small", [ChartView()], now=timezone.now())
    stop_out(account_in(competition))
    told = {"participant": "cash", "symbol": "BTCUSDT", "cause": "EXIT", "price": "58000"}
    record_events(competition, (EventKind.ORDER_FILLED, told), now=timezone.now())

    made = render_pieces("small", [ChartView()], now=timezone.now(), before=before)[ChartView()]

    assert 'data-testid="happening"' in made.pieces["feed"]
    assert "Stop loss: sold 0.020 BTC at 58,000.0" in made.pieces["feed"]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (OrderStatus.OPEN, "Now: waits at 59,000.0."),
        (OrderStatus.FILLED, "Now: filled at 59,000.0."),
        (OrderStatus.CANCELLED, "Now: cancelled."),
        (OrderStatus.EXPIRED, "Now: expired."),
        (OrderStatus.REJECTED, "Now: rejected."),
    ],
)
def test_the_trail_follows_an_order_that_was_left_waiting(client, status, told):
    competition = play_exact()
    account = account_in(competition)
    placed = order(
        account,
        "BUY",
        "0.01",
        kind=OrderKind.LIMIT,
        limit_price=D(59000),
        status=status,
        **(REFUSED if status == OrderStatus.REJECTED else {}),
    )
    if status == OrderStatus.FILLED:
        fill(placed, "59000", at=after(9), is_maker=True)
    wish = {"action": "open_long", "symbol": "BTCUSDT", "quantity": "0.01", "leverage": 10}
    turn = turn_of(competition, 1, "cash")
    Leg.objects.create(
        turn=turn, index=1, instruction=wish, verdict=LegVerdict.RESTING, order=placed
    )
    wish = {"action": "cancel_orders", "symbol": "ETHUSDT"}
    Leg.objects.create(turn=turn, index=2, instruction=wish, verdict=LegVerdict.CANCELLED)

    words = text_of(client.get("/c/small/r/1/cash/"))

    assert re.sub(r"\s+(?=[.,])", "", words).count(told) == 1
    assert "RESTING" in words
    assert "Waiting orders were cancelled." in words
    refused = "INSUFFICIENT_MARGIN free=12.3 needed=45" in words
    assert refused == (status == OrderStatus.REJECTED)
    assert "1 of 1 allowed" in words


def test_pages_ask_as_often_for_many_rows_as_for_few(client):
    competition = play_exact()
    account = account_in(competition)
    stop_out(account)
    hold(account, "0.02", "60000")
    order(account, "BUY", "1", kind=OrderKind.LIMIT, limit_price=D(59000))

    def counts() -> list[int]:
        found = []
        for page in ("", "a/cash/"):
            client.get(f"/c/small/{page}")
            with CaptureQueriesContext(connection) as queries:
                client.get(f"/c/small/{page}")
            found.append(len(queries))
        return found

    few = counts()
    hold(account, "-1", "2500", "ETHUSDT")
    hold(account, "3", "150", "SOLUSDT")
    for number in range(5):
        placed = order(account, "BUY", "1", kind=OrderKind.LIMIT, limit_price=D(59000))
        fill(placed, "59000", at=after(5 + number), quantity=D("0.1"))
        order(account, "BUY", "1", status=OrderStatus.DENIED, **REFUSED)
    Standing.objects.update(fills=9)

    assert counts() == few
    assert few[0] <= 22
    assert few[1] <= 26
