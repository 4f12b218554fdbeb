"""All accounts of a book as the engine's values: as many queries for few as for many, and the same as one by one."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.trading.builders import D
from tests.trading.ledger import accept, account_of, make_book, place
from trading.models import Order, Position
from trading.selectors.holdings import book_states
from trading.services.accounts import load_state

pytestmark = pytest.mark.django_db


def make_accounts(count: int):
    """Return a book whose first account is flat, and the others hold, follow and wait."""
    book = make_book(accounts=count)
    for ordinal in range(2, count + 1):
        place(account_of(book, ordinal), "OPEN_LONG", quantity=D(10), leverage=2)
        accept(account_of(book, ordinal), "REDUCE", quantity=D(3))
    Position.objects.update(
        stop_loss=D(90), take_profit=D(120), callback_rate=D(5), trail_extreme=D("101.5")
    )
    Order.objects.unfinished().update(
        kind="TRAILING_STOP", callback_rate=D(2), activation_price=D(105), time_in_force="GTC"
    )
    return book


def test_states_are_those_that_are_loaded_one_by_one():
    book = make_accounts(3)
    make_accounts(2)

    states = book_states(book.pk)

    assert [state.ordinal for state in states.values()] == [1, 2, 3]
    for key, state in states.items():
        account = book.accounts.get(pk=key)
        assert state == load_state(account, {}, is_numbered=False)
    held = states[account_of(book, 2).pk].positions["XUSDT"]
    order = Order.objects.unfinished().filter(account__book=book).earliest("account__ordinal")
    assert (held.quantity, held.exits.stop_loss, held.trail_extreme) == (D(10), D(90), D("101.5"))
    assert order.client_order_id in states[order.account_id].orders


def test_many_accounts_take_no_more_queries():
    for count in (2, 6):
        book = make_accounts(count)
        with CaptureQueriesContext(connection) as queries:
            assert len(book_states(book.pk)) == count
        assert len(queries) == 3
