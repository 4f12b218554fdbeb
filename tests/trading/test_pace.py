"""How many decisions an hour may open: one turn counts once, and what reduces is never bounded."""

from __future__ import annotations

import pytest

from tests.trading.builders import T0, D, buy, funded, make_rules, play, quote, sell
from trading.domain.engine import step
from trading.domain.events import OrderAsked
from trading.domain.intents import OrderKind
from trading.domain.outcome import OrderStatus

RULES = make_rules(max_decisions_per_hour=2)
RESTING = make_rules(max_decisions_per_hour=2, resting_orders=True)
REFUSED = "TOO_MANY_DECISIONS limit=2 made=2 per=1h"


def ask(intent, made, *, state=None, rules=RULES):
    event = OrderAsked(T0, "o1", intent, quote("100", intent.symbol), made)
    return step(state or funded(rules), event, rules)


@pytest.fixture
def holding():
    return play(funded(RULES), RULES, (buy("10"), quote("100")))[0]


def test_an_order_that_opens_is_refused_after_as_many_turns_as_the_book_allows():
    allowed, refused = ask(buy("1"), 1), ask(buy("1"), 2)

    assert allowed.denials == ()
    assert [str(denial) for denial in refused.denials] == [REFUSED]
    assert refused.orders[0].status is OrderStatus.DENIED
    assert refused.orders[0].reserved == 0
    assert refused.state.orders == {}


def test_the_rule_is_told_with_its_figures():
    check = ask(buy("1"), 1).checks[-1]

    assert check.as_json() == {
        "rule": "TOO_MANY_DECISIONS",
        "limit": "2",
        "value": "1",
        "passed": True,
    }


def test_adding_and_flipping_are_bounded(holding):
    assert str(ask(buy("1"), 2, state=holding).denials[0]) == REFUSED
    assert str(ask(sell("10.001"), 2, state=holding).denials[0]) == REFUSED


@pytest.mark.parametrize("intent", [sell("10"), sell("3"), sell("10", reduce_only=True)])
def test_reductions_and_exits_are_not_bounded(holding, intent):
    outcome = ask(intent, 99, state=holding)

    assert outcome.denials == ()
    assert "TOO_MANY_DECISIONS" not in {check.rule for check in outcome.checks}


def test_an_order_that_waits_is_bounded_when_it_is_asked_for():
    limit = buy("1", kind=OrderKind.LIMIT, limit_price=D(90))
    stop = buy("1", kind=OrderKind.STOP_MARKET, trigger_price=D(110))

    for intent in (limit, stop):
        assert ask(intent, 1, rules=RESTING).denials == ()
        assert str(ask(intent, 2, rules=RESTING).denials[0]) == REFUSED


def test_another_broken_rule_is_named_first():
    outcome = ask(buy("1", leverage=21), 2)

    assert str(outcome.denials[0]) == "LEVERAGE_ABOVE_LIMIT asked=21 max=20"
    assert not outcome.checks[-1].passed


def test_a_book_without_the_rule_does_not_look_at_it():
    outcome = ask(buy("1"), 99, rules=make_rules())

    assert outcome.denials == ()
    assert "TOO_MANY_DECISIONS" not in {check.rule for check in outcome.checks}
