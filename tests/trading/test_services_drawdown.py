"""The peak that drawdown rules go by, as the services keep it."""

from __future__ import annotations

import pytest

from tests.trading.builders import D, at, make_rules
from tests.trading.ledger import account_of, make_book, place
from trading import services
from trading.services.accounts import load_state

pytestmark = pytest.mark.django_db

RULES = make_rules(drawdown_stop_pct=D(20))


def value(book, number: int, mark: str) -> None:
    services.record_equity(
        book.pk, number=number, at=at(number), marks={"XUSDT": D(mark)}, now=at(number)
    )


def test_an_account_that_fell_from_its_highest_equity_point_opens_nothing():
    book = make_book(rules=RULES)
    account = account_of(book)
    place(account, "OPEN_LONG", quantity=D(50))
    value(book, 1, "150")
    value(book, 2, "108")

    # 10000 less the fee of 2.5, + 50 * 50 at the peak: 12497.5. At 108 it is 10397.5, 16.8 % below; at 100 9997.5, 20.004 % below.
    kept = place(account, "OPEN_LONG", marks={"XUSDT": D(108)}, symbol="YUSDT", quantity=D(1))
    refused = place(account, "OPEN_LONG", marks={"XUSDT": D(100)}, symbol="YUSDT", quantity=D(1))
    closed = place(account, "CLOSE")

    assert kept.status == "FILLED"
    assert refused.denial_code == "DRAWDOWN_ABOVE_LIMIT"
    assert refused.denial_context["peak"] == "12497.50"
    assert closed.status == "FILLED"


def test_the_peak_is_loaded_only_where_a_rule_asks_for_it():
    with_rule, without = account_of(make_book(rules=RULES)), account_of(make_book())

    assert load_state(with_rule, {}).peak == D(10000)
    assert load_state(without, {}).peak is None
