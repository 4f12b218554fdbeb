"""An order's life in the engine, and what it refuses to pretend."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketdata.domain.facts import Candle
from tests.trading.builders import (
    T0,
    D,
    buy,
    funded,
    make_rules,
    play,
    quote,
    report_of,
    sell,
    spec,
)
from trading.domain.engine import step
from trading.domain.events import (
    Act,
    ActTaken,
    BarClosed,
    CapitalPaid,
    EndStatus,
    ExitsSet,
    MarksSeen,
    OrderAsked,
    OrderEnded,
    QuoteSeen,
)
from trading.domain.intents import Exits, OrderKind
from trading.domain.margin import account_figures
from trading.domain.outcome import Outcome
from trading.domain.state import AccountState

RULES = make_rules()


def asked(intent, *, state=None, order_id="o1", market=None):
    event = OrderAsked(T0, order_id, intent, market or quote("100", intent.symbol))
    return step(state or funded(RULES), event, RULES)


def test_capital_is_a_balanced_posting():
    outcome = step(AccountState(ordinal=3), CapitalPaid(T0, D("2500")), RULES)
    assert outcome.state.wallet == D(2500)
    assert [(line.cause_id, line.line, line.amount, line.house) for line in outcome.postings] == [
        ("deposit:3", 0, D(2500), None),
        ("deposit:3", 1, D(-2500), "CAPITAL"),
    ]


@pytest.mark.parametrize("amount", ["0", "-1", "1000000000.01", "0.000000001"])
def test_capital_that_is_none(amount: str):
    with pytest.raises(ValueError, match="start capital must be above 0"):
        step(AccountState(ordinal=1), CapitalPaid(T0, D(amount)), RULES)


def test_capital_is_paid_once():
    with pytest.raises(ValueError, match="account 1 has its capital already"):
        step(funded(RULES), CapitalPaid(T0, D(1)), RULES)


def test_a_partial_fill_keeps_its_part_of_the_reserve():
    state = asked(buy("10")).state  # reserve 1000 + .5
    intent = replace(buy("10"), quantity=D(4))
    report = replace(report_of(intent, quote("100"), RULES, "o1"), is_final=False)
    outcome = step(state, report, RULES)
    assert outcome.orders[0].status == "PARTIAL"
    assert outcome.orders[0].filled == D(4)
    assert outcome.orders[0].reserved == D("600.3")  # 6/10 of 1000.5
    # margin 400 of the position, reserve 600.3, fee .2 paid
    assert account_figures(outcome.state).free_margin == D("8999.5")


def test_each_partial_fill_keeps_the_reserve_of_what_is_left():
    state = asked(buy("10")).state  # reserve 1000 + .5
    for number, part, reserved in ((1, "4", "600.3"), (2, "3", "300.15"), (3, "2", "100.05")):
        report = report_of(replace(buy("10"), quantity=D(part)), quote("100"), RULES, "o1")
        report = replace(report, is_final=False, trade_id=f"o1:{number}")
        state = step(state, report, RULES).state
        assert state.orders["o1"].reserved == D(reserved)


def test_a_final_report_of_a_part_expires_the_rest():
    state = asked(buy("10")).state
    report = report_of(replace(buy("10"), quantity=D(4)), quote("100"), RULES, "o1")
    outcome = step(state, report, RULES)
    assert (outcome.orders[0].status, outcome.orders[0].reserved) == ("EXPIRED", D(0))
    assert outcome.state.orders == {}
    assert outcome.state.quantity("XUSDT") == D(4)


def test_a_final_report_of_nothing_expires_the_order():
    state = asked(buy("10")).state
    report = replace(report_of(buy("10"), quote("100"), RULES, "o1"), quantity=D(0), fee=D(0))
    outcome = step(state, report, RULES)
    assert outcome.orders[0].status == "EXPIRED"
    assert outcome.fills == ()
    assert outcome.postings == ()


def test_a_report_of_more_than_was_ordered_is_an_error():
    state = asked(buy("10")).state
    report = report_of(buy("10.001"), quote("100"), RULES, "o1")
    with pytest.raises(ValueError, match=r"o1 has 10 left, the report tells of 10\.001"):
        step(state, report, RULES)


def test_a_report_of_an_order_that_is_not_open_is_an_error():
    with pytest.raises(ValueError, match="order o9 is not open on account 1"):
        step(funded(RULES), report_of(buy("1"), quote("100"), RULES, "o9"), RULES)


@pytest.mark.parametrize("status", list(EndStatus))
def test_an_ended_order_frees_its_reserve(status: EndStatus):
    state = asked(buy("10")).state
    outcome = step(state, OrderEnded(T0, "o1", status), RULES)
    assert outcome.orders[0].status == status.value
    assert account_figures(outcome.state).free_margin == D(10000)


def test_an_order_id_is_used_once():
    state = asked(buy("10")).state
    with pytest.raises(ValueError, match="order o1 is open already"):
        asked(buy("1"), state=state)


def test_a_rebate_is_paid_out_of_the_fees():
    state = asked(buy("10")).state
    report = replace(report_of(buy("10"), quote("100"), RULES, "o1"), fee=D("-0.2"), is_maker=True)
    outcome = step(state, report, RULES)
    assert outcome.state.wallet == D("10000.2")
    assert [line.amount for line in outcome.postings] == [D("0.2"), D("-0.2")]


def test_an_open_takes_its_exits_along_and_an_add_changes_only_what_it_names():
    plan = Exits(stop_loss=D(90), take_profit=D(120), invalidation="a close below 90")
    state, _ = play(funded(RULES), RULES, (buy("1", exits=plan), quote("100")))
    assert state.positions["XUSDT"].exits == plan
    moved = Exits(stop_loss=D(95))
    state, _ = play(state, RULES, (buy("1", exits=moved), quote("100")))
    assert state.positions["XUSDT"].exits == replace(plan, stop_loss=D(95))


def test_a_flip_drops_the_old_exits():
    plan = Exits(stop_loss=D(90), take_profit=D(120), invalidation="a close below 90")
    state, _ = play(
        funded(RULES), RULES, (buy("1", exits=plan), quote("100")), (sell("2"), quote("100"))
    )
    assert state.positions["XUSDT"].exits == Exits()


def test_exits_become_exactly_what_is_set():
    plan = Exits(stop_loss=D(90), take_profit=D(120), invalidation="a close below 90")
    state, _ = play(funded(RULES), RULES, (buy("1", exits=plan), quote("100")))
    state = state.with_marks({"XUSDT": D(110)})
    outcome = step(state, ExitsSet(T0, "XUSDT", Exits(stop_loss=D("105.004"))), RULES)
    assert outcome.state.positions["XUSDT"].exits == Exits(stop_loss=D(105))
    assert outcome.positions == (outcome.state.positions["XUSDT"],)


def test_exits_are_checked_at_the_mark():
    state, _ = play(funded(RULES), RULES, (buy("1"), quote("100")))
    outcome = step(state, ExitsSet(T0, "XUSDT", Exits(stop_loss=D(101))), RULES)
    words = "EXITS_ON_WRONG_SIDE exit=stop_loss level=101 price=100"
    assert str(outcome.denials[0]) == words
    assert outcome.state == state
    nothing = step(state, ExitsSet(T0, "YUSDT", Exits(stop_loss=D(1))), RULES)
    assert str(nothing.denials[0]) == "NO_POSITION symbol=YUSDT"


def test_an_emergency_close_asks_for_every_position_in_pieces_of_the_largest_order():
    rules = make_rules(instruments=(spec("XUSDT", max_quantity=D(4)), spec("YUSDT")))
    state, _ = play(
        funded(rules),
        rules,
        (sell("1", "YUSDT", leverage=3), quote("100", "YUSDT")),
        (buy("4"), quote("100")),
        (buy("3"), quote("100")),
    )
    outcome = step(state, ActTaken(T0, Act.EMERGENCY_CLOSE), rules)
    assert outcome.state == state
    assert [
        (order.symbol, order.side.value, order.quantity, order.reduce_only)
        for order in outcome.intents
    ] == [
        ("XUSDT", "SELL", D(4), True),
        ("XUSDT", "SELL", D(3), True),
        ("YUSDT", "BUY", D(1), True),
    ]
    assert step(state, ActTaken(T0, Act.PAUSE), rules).intents == ()


def test_quotes_and_marks_move_the_marks_only():
    state, _ = play(funded(RULES), RULES, (buy("1"), quote("100")))
    seen = step(state, QuoteSeen(quote("104", spread="2")), RULES).state
    assert seen.marks["XUSDT"] == D(104)
    both = step(seen, MarksSeen(T0, {"YUSDT": D(7)}), RULES).state
    assert dict(both.marks) == {"XUSDT": D(104), "YUSDT": D(7)}
    assert both.wallet == state.wallet


def test_a_missing_mark_is_named():
    state, _ = play(funded(RULES), RULES, (buy("1"), quote("100")))
    with pytest.raises(KeyError, match="a mark of XUSDT is wanted, found marks of YUSDT"):
        account_figures(replace(state, marks={"YUSDT": D(1)}))


def test_a_book_without_resting_orders_takes_a_bar_for_its_mark():
    exits = Exits(stop_loss=D(95))
    state, _ = play(funded(RULES), RULES, (buy("1", exits=exits), quote("100")))
    bar = Candle(T0, D(100), D(101), D(90), D(97), D(0))
    outcome = step(state, BarClosed("XUSDT", bar), RULES)
    assert outcome == Outcome(state=state.with_marks({"XUSDT": D(97)}))


def test_a_book_without_resting_orders_refuses_them():
    limit = buy("1", kind=OrderKind.LIMIT, limit_price=D(90))
    outcome = asked(limit)
    assert str(outcome.denials[0]) == "RESTING_ORDERS_NOT_ALLOWED kind=LIMIT"
    assert outcome.state.orders == {}


def test_equal_steps_give_equal_outcomes():
    assert asked(buy("10")) == asked(buy("10"))
