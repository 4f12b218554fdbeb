"""Decisions per hour as the service counts them: from its own orders, by turn and market time."""

from __future__ import annotations

import pytest

from tests.trading.builders import D, at, make_rules, quote
from tests.trading.ledger import account_of, make_book, place
from trading.models import Account, Order
from trading.services.pace import decisions_last_hour

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> Account:
    return account_of(make_book(rules=make_rules(max_decisions_per_hour=2)))


def trade(account: Account, minutes: int, action: str = "OPEN_LONG", turn: str = "", **fields):
    """Place an order at a minute, in a turn of that minute unless another is named."""
    key = turn or f"turn-{minutes}"
    symbol = fields.get("symbol", "XUSDT")
    return place(
        account,
        action,
        quote("100", symbol, minutes=minutes),
        slip={"turn_key": key, "market_at": at(minutes)},
        **fields,
    )


def verdict(order: Order) -> str:
    return f"{order.status} {order.denial_code}".strip()


def test_the_third_turn_of_an_hour_opens_nothing_and_the_next_hour_does(account):
    orders = [trade(account, minutes, quantity=D(1)) for minutes in (0, 10, 59, 60, 61, 70)]

    # At 60 the first order is exactly an hour old; at 61 those of 10 and 60 count, at 70 only that of 60.
    assert [verdict(order) for order in orders] == [
        "FILLED",
        "FILLED",
        "DENIED TOO_MANY_DECISIONS",
        "FILLED",
        "DENIED TOO_MANY_DECISIONS",
        "FILLED",
    ]
    assert orders[2].denial_context == {"limit": "2", "made": "2", "per": "1h"}


def test_orders_of_one_turn_count_once(account):
    for symbol in ("XUSDT", "YUSDT", "ZUSDT"):
        assert trade(account, 0, symbol=symbol, quantity=D(1)).status == "FILLED"

    assert trade(account, 5, quantity=D(1)).status == "FILLED"
    assert trade(account, 6, quantity=D(1)).denial_code == "TOO_MANY_DECISIONS"


def test_refused_and_reducing_orders_do_not_count(account):
    trade(account, 0, quantity=D(3))
    trade(account, 1, quantity=D(9999))  # refused for its margin
    trade(account, 2, "REDUCE", quantity=D(1))
    trade(account, 3, "OPEN_SHORT", quantity=D(1))  # only reduces the long

    assert trade(account, 4, quantity=D(1)).status == "FILLED"
    assert trade(account, 5, quantity=D(1)).denial_code == "TOO_MANY_DECISIONS"


def test_closing_is_never_refused_for_the_pace(account):
    trade(account, 0, quantity=D(3))
    trade(account, 1, quantity=D(1))

    assert trade(account, 2, "REDUCE", quantity=D(1)).status == "FILLED"
    assert trade(account, 3, "CLOSE").status == "FILLED"


def test_other_accounts_are_not_counted():
    book = make_book(accounts=2, rules=make_rules(max_decisions_per_hour=1))

    assert trade(account_of(book, 1), 0, quantity=D(1)).status == "FILLED"
    assert trade(account_of(book, 2), 1, quantity=D(1)).status == "FILLED"


def test_counting_is_one_query_and_none_without_the_rule(account, django_assert_num_queries):
    trade(account, 0, quantity=D(1))
    rules = account.book.frozen_rules()

    with django_assert_num_queries(1):
        made = decisions_last_hour(account, rules, market_at=at(1), turn_key="other")
    with django_assert_num_queries(0):
        none = decisions_last_hour(account, make_rules(), market_at=at(1), turn_key="other")
    assert (made, none) == (1, 0)
