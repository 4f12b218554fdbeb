"""What waits, walked through bars. Bars are open, high, low, close; accounts bought or sold at 100."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketdata.domain.facts import Timeframe
from tests.trading.builders import D, at, buy, funded, make_rules, quote, sell, spec
from tests.trading.resting import bar, candle, holding, rest, told
from trading.domain.acting import Bars, act_on
from trading.domain.intents import Exits, OrderKind
from trading.domain.outcome import ExitName, FillCause, OrderStatus, Outcome
from trading.domain.resting.bars import walk_bar
from trading.domain.resting.quotes import walk_quote

RULES = make_rules(fee_bps_maker=D(2))
SLIPPING = make_rules(slippage_bps=D(10))
LIMIT, STOP = OrderKind.LIMIT, OrderKind.STOP_MARKET
TARGET, TRAIL = OrderKind.TAKE_PROFIT_MARKET, OrderKind.TRAILING_STOP


@pytest.mark.parametrize(
    ("quantity", "exits", "prices", "fill"),
    [
        # A stop: touched, crossed, and jumped over at the open.
        ("10", {"stop_loss": "95"}, "100 101 95.01 96", None),
        ("10", {"stop_loss": "95"}, "100 101 95 96", ("exit-1-stop_loss-1", "95")),
        ("10", {"stop_loss": "95"}, "94 96 90 96", ("exit-1-stop_loss-1", "94")),
        ("-10", {"stop_loss": "105"}, "100 105 99 100", ("exit-1-stop_loss-1", "105")),
        ("-10", {"stop_loss": "105"}, "107 107 99 100", ("exit-1-stop_loss-1", "107")),
        # A target: touched, and passed at the open.
        ("10", {"take_profit": "110"}, "100 109.99 99 100", None),
        ("10", {"take_profit": "110"}, "100 110 99 100", ("exit-1-take_profit-1", "110")),
        ("10", {"take_profit": "110"}, "112 113 99 100", ("exit-1-take_profit-1", "112")),
        ("-10", {"take_profit": "90"}, "100 101 89 100", ("exit-1-take_profit-1", "90")),
        # Both in one bar: the stop. Unless the open is beyond the target already.
        (
            "10",
            {"stop_loss": "95", "take_profit": "105"},
            "100 106 94 100",
            ("exit-1-stop_loss-1", "95"),
        ),
        (
            "10",
            {"stop_loss": "95", "take_profit": "105"},
            "106 106 94 100",
            ("exit-1-take_profit-1", "106"),
        ),
        # 10 % behind the open of 100; the high of 110 may have come after the low of 91.
        ("10", {"callback_rate": "10"}, "100 110 91 105", None),
        ("10", {"callback_rate": "10"}, "100 110 90 105", ("exit-1-trailing-1", "90")),
        ("-10", {"callback_rate": "10"}, "100 110 91 105", ("exit-1-trailing-1", "110")),
        # The close lies beyond 10 % under the high: it was passed on the way there.
        ("10", {"callback_rate": "10"}, "100 110 98 98.5", ("exit-1-trailing-1", "99")),
        # Not active before 108.
        (
            "10",
            {"callback_rate": "1", "activation_price": "108"},
            "100 107 90 95",
            None,
        ),
        # Of a stop and a trailing stop the one that prices come to first.
        (
            "10",
            {"stop_loss": "95", "callback_rate": "2"},
            "100 100 94 95",
            ("exit-1-trailing-1", "98"),
        ),
    ],
)
def test_exits_in_a_bar(quantity, exits, prices, fill):
    outcome = walk_bar(holding(RULES, quantity, **exits), bar(prices), RULES)

    assert told(outcome) == ([] if fill is None else [fill])
    assert ("XUSDT" in outcome.state.positions) == (fill is None)
    assert outcome.state.marks["XUSDT"] == D(prices.split()[-1])


def test_an_exit_says_what_it_was_and_books_a_balanced_group():
    outcome = walk_bar(holding(SLIPPING, stop_loss="95"), bar("100 101 94 96"), SLIPPING)

    (fill,) = outcome.fills
    # 95 less 10 bps is 94.905, down to 94.90; bought at 100.10: 10 * (94.9 - 100.1) = -52; fee .0005 * 949
    assert (fill.price, fill.realised, fill.fee) == (D("94.90"), D(-52), D("0.4745"))
    assert (fill.cause, fill.exit_name, fill.position_seq) == (
        FillCause.EXIT,
        ExitName.STOP_LOSS,
        1,
    )
    assert (fill.client_order_id, fill.reference_price, fill.at) == ("", D(95), at(2))
    assert {line.cause_id for line in outcome.postings} == {"fill:1:2"}
    assert sum(line.amount for line in outcome.postings) == 0


def test_a_stop_that_was_jumped_over_slips_from_the_open():
    outcome = walk_bar(holding(SLIPPING, stop_loss="95"), bar("94 101 94 96"), SLIPPING)
    # 94 less 10 bps is 93.906, down to 93.90
    assert told(outcome) == [("exit-1-stop_loss-1", "93.9")]


def test_a_trailing_exit_stands_behind_the_bars_best_price_from_the_next_bar_on():
    waited = walk_bar(holding(RULES, callback_rate="10"), bar("100 110 91 105"), RULES)
    outcome = walk_bar(waited.state, bar("105 105 99 99", minutes=2), RULES)
    assert told(outcome) == [("exit-1-trailing-1", "99")]


def test_a_gap_fills_at_the_time_of_the_open():
    outcome = walk_bar(holding(RULES, stop_loss="95"), bar("94 94 94 94"), RULES)
    assert outcome.fills[0].at == at(1)


def test_an_exit_closes_in_pieces_of_the_largest_order():
    rules = make_rules(instruments=(spec(max_quantity=D(4)),))
    state = holding(rules, "4", stop_loss="95")
    state = holding(rules, "4", state=state)
    state = holding(rules, "2", state=state)

    outcome = walk_bar(state, bar("100 100 95 95"), rules)

    assert told(outcome) == [(f"exit-1-stop_loss-{n}", "95") for n in (1, 2, 3)]
    assert [fill.quantity for fill in outcome.fills] == [D(4), D(4), D(2)]
    assert outcome.state.positions == {}


def test_a_partial_close_shrinks_the_exits():
    state = holding(RULES, "-4", state=holding(RULES, "10", stop_loss="95"))
    outcome = walk_bar(state, bar("100 100 95 95"), RULES)
    assert outcome.fills[0].quantity == D(6)


def test_a_bar_in_which_nothing_is_hit_changes_the_mark_alone():
    state = holding(RULES, stop_loss="95", take_profit="105")
    state = rest(state, buy("1", kind=LIMIT, limit_price=D(90)), RULES)
    outcome = walk_bar(state, bar("100 101 99 100.5"), RULES)
    assert outcome == Outcome(state=state.with_marks({"XUSDT": D("100.5")}))


@pytest.mark.parametrize(
    ("prices", "fills"),
    [
        ("100 101 95 96", []),
        ("100 101 94.99 96", [("o1:1", "95")]),
        ("90 101 89 96", [("o1:1", "95")]),
    ],
)
def test_a_limit_order_needs_trades_through_it_and_fills_at_its_price(prices, fills):
    state = rest(funded(RULES), buy("10", kind=LIMIT, limit_price=D(95)), RULES)
    outcome = walk_bar(state, bar(prices), RULES)
    assert told(outcome) == fills
    if fills:
        # A maker's 2 bps on 950.
        assert (outcome.fills[0].fee, outcome.fills[0].is_maker) == (D("0.19"), True)
        assert outcome.orders[0].status is OrderStatus.FILLED
        assert outcome.state.orders == {}


def test_a_position_opened_in_a_bar_may_be_stopped_in_it_but_not_reach_its_target():
    exits = Exits(stop_loss=D(93), take_profit=D(97))
    state = rest(funded(RULES), buy("10", kind=LIMIT, limit_price=D(95), exits=exits), RULES)

    opened = walk_bar(state, bar("100 101 94 98"), RULES)
    stopped = walk_bar(state, bar("100 101 92 98"), RULES)

    assert told(opened) == [("o1:1", "95")]
    assert told(walk_bar(opened.state, bar("98 98 98 98", minutes=2), RULES)) == [
        ("exit-1-take_profit-1", "98")
    ]
    assert told(stopped) == [("o1:1", "95"), ("exit-1-stop_loss-1", "93")]


def test_a_breakout_is_stopped_at_its_stop_not_at_the_bars_open():
    entry = buy("10", kind=STOP, trigger_price=D(105), exits=Exits(stop_loss=D(103)))
    state = rest(funded(RULES), entry, RULES)
    outcome = walk_bar(state, bar("100 106 102 104"), RULES)
    assert told(outcome) == [("o1:1", "105"), ("exit-1-stop_loss-1", "103")]


def test_a_trailing_exit_of_a_position_opened_in_a_bar_follows_from_its_entry():
    entry = buy("10", kind=LIMIT, limit_price=D(95), exits=Exits(callback_rate=D(2)))
    state = rest(funded(RULES), entry, RULES)
    outcome = walk_bar(state, bar("100 120 93 95"), RULES)
    # 2 % under 95, not under the high of 120 that came before.
    assert told(outcome) == [("o1:1", "95"), ("exit-1-trailing-1", "93.1")]


def test_a_stop_that_opens_is_checked_when_it_triggers():
    state = rest(funded(RULES), buy("99", kind=STOP, trigger_price=D(110)), RULES)
    outcome = walk_bar(state, bar("100 111 99 111"), RULES)
    assert outcome.fills == ()
    (change,) = outcome.orders
    assert change.status is OrderStatus.REJECTED
    assert str(change.denial).startswith("INSUFFICIENT_MARGIN free=10000.00 needed=10895.")
    assert outcome.denials == (change.denial,)
    assert outcome.state.orders == {}


def test_what_may_only_reduce_shrinks_to_the_position_and_ends_with_it():
    state = holding(RULES, "10")
    for number, (kind, price, quantity) in enumerate(
        [(STOP, 96, "4"), (STOP, 95, "9"), (TARGET, 110, "2")]
    ):
        order = sell(quantity, kind=kind, trigger_price=D(price), reduce_only=True)
        state = rest(state, order, RULES, order_id=f"o{number}")

    outcome = walk_bar(state, bar("100 100 94 94"), RULES)

    assert told(outcome) == [("o0:1", "96"), ("o1:1", "95")]
    assert [fill.quantity for fill in outcome.fills] == [D(4), D(6)]
    assert [(order.client_order_id, order.status) for order in outcome.orders] == [
        ("o0", OrderStatus.FILLED),
        ("o1", OrderStatus.FILLED),
        ("o2", OrderStatus.CANCELLED),
    ]
    assert [order.quantity for order in outcome.orders] == [None, D(6), None]
    assert (outcome.state.positions, outcome.state.orders) == ({}, {})


def test_close_position_takes_what_was_added_since():
    close = sell("0", kind=STOP, trigger_price=D(95), close_position=True)
    state = rest(holding(RULES, "10"), close, RULES)
    state = holding(RULES, "5", state=state)

    outcome = walk_bar(state, bar("100 100 95 95"), RULES)

    assert outcome.fills[0].quantity == D(15)
    assert (outcome.orders[0].status, outcome.orders[0].quantity) == (OrderStatus.FILLED, D(15))
    assert outcome.state.positions == {}


def test_a_market_order_that_closes_the_position_ends_what_may_only_reduce_it():
    target = sell("5", kind=LIMIT, limit_price=D(120), reduce_only=True)
    state = rest(holding(RULES, "10"), target, RULES)
    state = rest(state, buy("1", kind=LIMIT, limit_price=D(80)), RULES, order_id="entry")
    assert set(holding(RULES, "-10", state=state).orders) == {"entry"}


def test_trailing_orders_tell_how_far_they_have_followed():
    trailing = sell("10", kind=TRAIL, callback_rate=D(5), reduce_only=True)
    state = rest(holding(RULES, "10"), trailing, RULES)

    rising = walk_bar(state, bar("100 120 99 118"), RULES)
    falling = walk_bar(rising.state, bar("118 119 113 113", minutes=2), RULES)

    assert [order.trail_extreme for order in rising.orders] == [D(100), D(120)]
    assert told(falling) == [("o1:1", "114")]


def test_liquidation_is_judged_on_the_mark_before_the_stop():
    seen = []

    def liquidate(state, when):
        seen.append((state.marks["XUSDT"], when))
        gone = replace(state, positions={}, orders={}, wallet=D(0))
        return Outcome(state=gone) if state.marks["XUSDT"] <= 91 else None

    state = holding(RULES, stop_loss="95")
    outcome = walk_bar(state, bar("100 101 94 96", mark="99 100 91 97"), RULES, liquidate=liquidate)

    assert seen == [(D(99), at(1)), (D(91), at(2))]
    assert outcome.fills == ()
    assert outcome.state.positions == {}
    assert outcome.state.marks["XUSDT"] == D(97)

    short = holding(RULES, "-1")
    seen.clear()
    walk_bar(short, bar("100 101 94 96", mark="99 100 92 97"), RULES, liquidate=liquidate)
    assert [mark for mark, _ in seen] == [D(99), D(100)]


def test_a_quote_sells_on_its_bid_and_buys_on_its_ask():
    state = holding(RULES, "10", stop_loss="95", take_profit="105")
    wide = quote("95.5", spread="1")
    outcome = walk_quote(state, wide, RULES)
    assert told(outcome) == [("exit-1-stop_loss-1", "95")]
    assert outcome.state.marks["XUSDT"] == D("95.5")

    waiting = rest(funded(RULES), buy("1", kind=LIMIT, limit_price=D(96)), RULES)
    assert told(walk_quote(waiting, wide, RULES)) == []
    assert told(walk_quote(waiting, quote("95.4", spread="1"), RULES)) == [("o1:1", "96")]


def test_bars_of_several_symbols_are_walked_by_symbol():
    state = holding(RULES, "10", symbol="YUSDT", stop_loss="95")
    state = holding(RULES, "10", symbol="XUSDT", stop_loss="95", state=state)
    resting = replace(RULES, resting_orders=True)
    fell = (Timeframe.M1, [candle("100 100 95 95")])
    orders = (("YUSDT", "XUSDT"), ("XUSDT", "YUSDT"))

    first, second = (
        act_on(state, Bars(at(1), at(2), dict.fromkeys(symbols, fell)), resting)
        for symbols in orders
    )

    assert [fill.symbol for fill in first.fills] == ["XUSDT", "YUSDT"]
    assert first == second
