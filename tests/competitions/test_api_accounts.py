"""What programs are told of an exact account: strings for decimals, null for what there is not."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from competitions.models import Leg, Participant
from tests.competitions.booked import (
    D,
    account_in,
    after,
    close,
    fill,
    hold,
    order,
    play_exact,
)
from tests.competitions.played import turn_of
from tests.competitions.test_api_reads import ROOT, read, walk
from trading.domain.rules import MarginMode
from trading.models.orders import OrderCause, OrderKind, OrderStatus

pytestmark = pytest.mark.django_db


def path_of(end: str) -> str:
    return f"/participants/{Participant.objects.get().pk}/{end}"


def limit_order(account, **fields):
    return order(
        account,
        "BUY",
        "0.04",
        **{"kind": OrderKind.LIMIT, "limit_price": D(59000), "reserved": D(236), **fields},
    )


def test_a_position_is_told_with_all_its_figures(client):
    account = account_in(play_exact())
    hold(
        account,
        "0.02",
        "60000",
        stop_loss=D(58000),
        callback_rate=D("1.50"),
        trail_extreme=D(61000),
        realised=D(3),
        fees=D(2),
        funding=D("-0.25"),
    )

    [held] = read(client, path_of("positions"))

    assert [held] == read(client, "/positions?competition=small")
    told = {name: held[name] for name in ("margin_mode", "isolated_wallet", "bankruptcy_price")}
    assert told == {
        "margin_mode": "isolated",
        "isolated_wallet": "120",
        "bankruptcy_price": "54000",
    }
    assert held["liquidation_price"] == "54216.867469879518"
    assert (held["callback_rate"], held["trail_extreme"], held["trail_trigger"]) == (
        "1.5",
        "61000",
        "60085",
    )
    assert (held["margin_level"], held["activation_price"], held["take_profit"]) == (None,) * 3
    assert (held["realised"], held["fees"], held["funding"]) == ("3", "2", "-0.25")
    assert held["exits_execute"] is False
    mark, gap = D(held["mark_price"]), D(held["liquidation_distance"])
    assert abs(mark * (1 - gap) - D(held["liquidation_price"])) < D("1e-6")
    # 3 - 2 - .25 and what it is worth now.
    assert D(held["net"]) == D("0.75") + D(held["unrealised"])


def test_a_season_that_liquidates_nothing_tells_null(client):
    account = account_in(play_exact())
    account.book.rules = account.book.rules.replace('"acts_between_rounds":true,', "")
    account.book.save()
    hold(account, "0.02", "60000")

    [held] = read(client, path_of("positions"))

    for name in ("margin_mode", "liquidation_price", "liquidation_distance", "margin_ratio"):
        assert held[name] is None, name
    assert read(client, path_of("account"))["margin_mode"] is None


def test_an_account_tells_what_has_happened_since_the_last_close(client):
    account = account_in(play_exact(margin_mode=MarginMode.CROSS))
    hold(account, "0.02", "60000")
    limit_order(account)

    told = read(client, path_of("account"))

    assert (told["margin_mode"], told["peak"], told["drawdown"]) == ("cross", "10000", "0")
    assert (told["used_margin"], told["now"]["open_orders"], told["now"]["reserved"]) == (
        "0",
        1,
        "236",
    )
    now = {name: D(value) for name, value in told["now"].items() if value is not None}
    assert now["free_margin"] == now["equity"] - now["used_margin"]
    assert now["equity"] == now["wallet"] + now["unrealised"]
    # Twelve decimals are told of a ratio.
    assert abs(now["margin_ratio"] - now["maintenance_margin"] / now["equity"]) < D("1e-11")
    assert told["now"]["margin_level"] is None


def test_an_order_is_told_with_its_fills(client):
    account = account_in(play_exact())
    placed = limit_order(
        account,
        time_in_force="POST_ONLY",
        status=OrderStatus.FILLED,
        filled_quantity=D("0.04"),
        turn_key=f"{account.book.code}-1-1",
        leg=2,
    )
    fill(placed, "59000", at=after(4), quantity=D("0.01"), is_maker=True, latency_ms=41)
    fill(placed, "58000", at=after(5), quantity=D("0.03"), trade_id="second")

    [told] = read(client, path_of("orders"))["items"]

    assert (told["kind"], told["time_in_force"], told["limit_price"]) == (
        "LIMIT",
        "POST_ONLY",
        "59000",
    )
    # (.01 * 59000 + .03 * 58000) / .04
    assert (told["filled_quantity"], told["filled_price"]) == ("0.04", "58250")
    assert (told["round"], told["leg"], told["denial_code"], told["trigger_price"]) == (
        1,
        2,
        None,
        None,
    )
    assert [(made["price"], made["is_maker"], made["latency_ms"]) for made in told["fills"]] == [
        ("59000", True, 41),
        ("58000", False, None),
    ]
    assert told["fills"][0]["at"] == "2026-03-02T12:04:00Z"


def test_orders_are_found_by_what_became_of_them_page_by_page(client):
    account = account_in(play_exact())
    # Made in the same instant: the name decides.
    limit_order(account, created_at=after(1))
    limit_order(account, created_at=after(1), status=OrderStatus.CANCELLED)
    limit_order(account, created_at=after(1), status=OrderStatus.PARTIAL)
    limit_order(
        account, status=OrderStatus.DENIED, denial_code="NO_QUOTE", denial_context={"symbol": "X"}
    )
    path = path_of("orders")

    def statuses(query: str) -> list[str]:
        return [row["status"] for row in read(client, f"{path}?{query}")["items"]]

    assert statuses("") == ["DENIED", "PARTIAL", "CANCELLED", "OPEN"]
    assert statuses("is_open=true") == ["PARTIAL", "OPEN"]
    assert statuses("is_open=false") == ["DENIED", "CANCELLED"]
    assert statuses("status=CANCELLED") == ["CANCELLED"]
    assert walk(client, path) == read(client, path)["items"]
    [refused] = read(client, f"{path}?status=DENIED")["items"]
    assert (refused["denial_code"], refused["denial_context"]) == ("NO_QUOTE", {"symbol": "X"})
    assert (refused["round"], refused["leg"]) == (None, None)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("status=ASLEEP", "BAD_STATUS"),
        ("cursor=never-said", "BAD_CURSOR"),
        ("cursor=%00", "BAD_CURSOR"),
        ("is_open=perhaps", "BAD_INPUT"),
        ("limit=0", "BAD_INPUT"),
    ],
)
def test_bad_questions_for_orders_are_refused(client, query, code):
    play_exact()

    answer = client.get(f"{ROOT}{path_of('orders')}?{query}")

    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_anothers_order_is_no_cursor(client):
    own, other = play_exact(), play_exact("other")
    placed = limit_order(account_in(other))
    one = own.participants.get()

    answer = client.get(f"{ROOT}/participants/{one.pk}/orders?cursor={placed.client_order_id}")

    assert answer.json()["code"] == "BAD_CURSOR"


def test_an_instruction_left_waiting_is_followed_to_its_end(client):
    competition = play_exact()
    refused = {"denial_code": "NO_QUOTE", "denial_context": {"symbol": "BTCUSDT"}}
    placed = limit_order(account_in(competition), status=OrderStatus.REJECTED, **refused)
    turn = turn_of(competition, 1, "cash")
    Leg.objects.create(turn=turn, index=1, instruction={}, verdict="RESTING", order=placed)

    [leg] = read(client, path_of("decisions"))["items"][0]["instructions"]

    assert (leg["verdict"], leg["order_status"], leg["denial"]) == (
        "RESTING",
        "REJECTED",
        "NO_QUOTE symbol=BTCUSDT",
    )
    assert leg["client_order_id"] == placed.client_order_id


def test_a_trade_tells_what_closed_it(client):
    account = account_in(play_exact())
    held = hold(account, "0.02", "60000")
    leaving = order(account, "SELL", "0.02", cause=OrderCause.EXIT, status=OrderStatus.FILLED)
    fill(leaving, "58000", at=after(3), trade_id="exit-1-trailing-1")
    close(held, "58000", at=after(3))

    [trade] = read(client, path_of("trades"))["items"]
    [told] = read(client, f"{path_of('orders')}?status=FILLED")["items"]

    assert (trade["closed_by"], trade["exit"], trade["net"]) == ("EXIT", "trailing", "-40")
    assert (told["cause"], told["fills"][0]["exit"]) == ("EXIT", "trailing")


def test_reads_of_accounts_ask_as_often_for_many_rows_as_for_few(client):
    account = account_in(play_exact())

    def add(symbol: str, entry: str) -> None:
        hold(account, "0.02", entry, symbol)
        fill(limit_order(account), "59000", at=after(account.fills.count() + 2))

    def counts() -> dict[str, int]:
        found = {}
        for end in ("account", "portfolio", "positions", "orders", "trades"):
            read(client, path_of(end))
            with CaptureQueriesContext(connection) as queries:
                read(client, path_of(end))
            found[end] = len(queries) - 1  # the test's own look for the participant
        return found

    add("BTCUSDT", "60000")
    few = counts()
    add("ETHUSDT", "2500")
    add("SOLUSDT", "150")

    assert counts() == few
    assert max(few.values()) <= 10
