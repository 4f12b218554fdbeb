"""The check finds what is wrong, and names it."""

from __future__ import annotations

import pytest
from django.db import connection

from marketdata.append_only import trigger_name
from tests.trading.builders import D, at, quote
from tests.trading.ledger import account_of, make_book, place, tell
from trading import services
from trading.models import Account, Book, EquityPoint, Fill, Order, Position, Posting, Standing
from trading.models.orders import OrderCause
from trading.selectors import check_invariants

pytestmark = pytest.mark.django_db


@pytest.fixture
def book() -> Book:
    """A book with a flip, a partial close and two equity points behind it."""
    book = make_book()
    account = account_of(book)
    place(account, "OPEN_LONG", quantity=D(3))
    place(account, "REDUCE", quote("110"), quantity=D(1))
    place(account, "OPEN_SHORT", quote("120"), quantity=D(5))
    tell(book, quote("120"))
    for number, price in ((1, "115"), (2, "125")):
        services.record_equity(
            book.pk, number=number, at=at(number), marks={"XUSDT": D(price)}, now=at(number)
        )
    assert check_invariants(book) == []
    return book


@pytest.fixture
def open_ledger():
    """Take the triggers off, as somebody with the database in hands could."""

    def without_trigger(model):
        name, table = trigger_name(model), model._meta.db_table
        with connection.cursor() as cursor:
            on = f' ON "{table}"' if connection.vendor == "postgresql" else ""
            cursor.execute(f'DROP TRIGGER "{name}"{on}')

    return without_trigger


def test_a_wallet_that_is_not_its_postings(book):
    Account.objects.update(wallet=D(5))
    wallet = "account 1: wallet 5.00000000, its postings sum to 10049.49500000"
    assert check_invariants(book)[0] == wallet


def test_a_changed_posting_and_the_missing_trigger(book, open_ledger):
    open_ledger(Posting)
    Posting.objects.filter(cause_id="fill:1:3", house="FEES").update(amount=D(1))
    found = check_invariants(book)
    assert "postings fill:1:3: they sum to 0.70000000, not to 0" in found
    assert found[-1] == "table trading_posting: its rows can be changed, the trigger is missing"


def test_a_holding_that_is_not_its_fills(book):
    Position.objects.filter(seq=2).update(quantity=D(-4), entry_cost=D(480))
    assert check_invariants(book) == [
        "position 1/2: quantity -4, its fills make -3",
        "position 1/2: entry_cost 480.00000000, its fills make 360.00000000",
    ]


def test_a_holding_too_few(book):
    Position.objects.filter(seq=1).delete()
    assert "position 1/1: found among its fills only" in check_invariants(book)


def test_a_fill_with_another_profit(book, open_ledger):
    open_ledger(Fill)
    Fill.objects.filter(seq=2).update(realised=D(11))
    assert "fill 1/2: realised 11.00000000, its fills make 10.00000000" in check_invariants(book)


def test_an_equity_point_that_does_not_add_up(book, open_ledger):
    open_ledger(EquityPoint)
    EquityPoint.objects.filter(number=1).update(equity=D(1))
    assert check_invariants(book)[0].startswith("equity point 1/1: equity 1.00000000")


def test_a_standing_that_says_otherwise(book):
    Standing.objects.update(wins=7, fees=D(0), max_drawdown=D("0.5"))
    found = check_invariants(book)
    assert [line.split(":")[0] for line in found] == ["standing 1"] * 3
    assert "standing 1: wins 7, the records make 1" in found


def test_an_order_of_no_turn_and_of_no_act(book):
    first, second, _ = Order.objects.order_by("client_order_id")
    Order.objects.filter(pk=first.pk).update(turn_key="")
    Order.objects.filter(pk=second.pk).update(cause=OrderCause.OPERATOR)
    assert check_invariants(book) == [
        f"order {first.client_order_id}: caused by an instruction of no turn",
        f"order {second.client_order_id}: names no operator act",
    ]


def test_a_position_beyond_the_rules(book):
    Position.objects.filter(seq=2).update(leverage=40)
    assert "position 1/2: leverage 40, at most 20" in check_invariants(book)


def test_a_tape_with_a_hole(book):
    Book.objects.update(tape_position=9)
    assert check_invariants(book) == ["tape: it holds 1 events, the book counts another number"]
