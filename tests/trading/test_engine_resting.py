"""The engine's own path for books that let orders rest: asked, arrived, hit by a bar."""

from __future__ import annotations

from tests.trading.builders import T0, D, at, buy, funded, make_rules, quote, sell
from tests.trading.resting import bar, holding, told
from trading.domain.engine import step
from trading.domain.events import EndStatus, ExitsSet, OrderAsked, OrderEnded
from trading.domain.intents import Exits, OrderKind
from trading.domain.outcome import OrderStatus
from trading.domain.resting.arrival import arrival_report

RULES = make_rules(resting_orders=True)
MARKET = quote("100", spread="0.2")
LIMIT = buy("10", kind=OrderKind.LIMIT, limit_price=D("95.004"))


def asked(intent, state=None):
    return step(state or funded(RULES), OrderAsked(T0, "o1", intent, MARKET), RULES)


def test_a_limit_order_is_accepted_rests_and_fills():
    accepted = asked(LIMIT)
    intent = accepted.state.orders["o1"].intent
    arrived = step(accepted.state, arrival_report("o1", intent, MARKET, RULES), RULES)
    filled = step(arrived.state, bar("100 100 94 96"), RULES)

    assert accepted.orders[0].status is OrderStatus.SUBMITTING
    assert arrived.orders[0].status is OrderStatus.OPEN
    assert arrived.state == accepted.state
    assert told(filled) == [("o1:1", "95")]
    assert filled.state.positions["XUSDT"].quantity == D(10)


def test_an_order_that_rests_can_be_cancelled():
    accepted = asked(LIMIT)
    ended = step(accepted.state, OrderEnded(at(1), "o1", EndStatus.CANCELLED), RULES)
    assert ended.state == funded(RULES).with_marks({"XUSDT": D(100)})


def test_an_order_that_may_not_rest_is_refused():
    outcome = asked(sell("1", kind=OrderKind.STOP_MARKET, trigger_price=D(120)))
    assert str(outcome.denials[0]) == "TRIGGER_WOULD_FIRE_AT_ONCE price=99.9 trigger=120"
    assert outcome.orders[0].status is OrderStatus.DENIED


def test_setting_a_trailing_exit_anew_starts_its_following_anew():
    state = holding(RULES, callback_rate="5")
    state = step(state, bar("100 120 100 118"), RULES).state
    assert state.positions["XUSDT"].trail_extreme == D(120)

    same = step(state, ExitsSet(at(2), "XUSDT", Exits(D(90), callback_rate=D(5))), RULES)
    other = step(state, ExitsSet(at(2), "XUSDT", Exits(callback_rate=D(6))), RULES)

    assert same.state.positions["XUSDT"].trail_extreme == D(120)
    assert other.state.positions["XUSDT"].trail_extreme is None
