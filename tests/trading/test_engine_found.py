"""What the machines found wrong with the engine, each at its smallest, and since repaired."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.trading.builders import T0, D, at, buy, funded, make_rules, play, quote, report_of
from trading.domain.acting import Funding, act_on
from trading.domain.engine import step
from trading.domain.events import OrderAsked
from trading.domain.intents import Exits
from trading.domain.margin import account_figures
from trading.domain.outcome import Outcome


def test_each_part_frees_its_share_of_the_reserve():
    """Of 8000 set aside for 80, a quarter must stay for the last 20: less lets another order spend it."""
    rules = make_rules(fee_bps_taker=D(0))
    market, order = quote("100"), buy("80")
    state = step(funded(rules), OrderAsked(T0, "a", order, market), rules).state

    for number, piece in enumerate(("40", "20")):
        report = report_of(buy(piece), market, rules, "a")
        told = replace(report, trade_id=f"a:{number}", is_final=False)
        state = step(state, told, rules).state

    assert state.orders["a"].remaining == D(20)
    assert state.orders["a"].reserved == D(2000)
    assert account_figures(state).free_margin == D(2000)


@pytest.mark.parametrize("leverage", [0, -1])
def test_a_reduction_with_any_leverage_needs_a_position(leverage):
    """Taken, it makes the next order of that side divide by its leverage."""
    rules = make_rules()
    order = buy("1", leverage=leverage, reduce_only=True)

    outcome = step(funded(rules), OrderAsked(T0, "a", order, quote("100")), rules)

    assert [denial.code for denial in outcome.denials] == ["NO_POSITION"]


@pytest.mark.parametrize("quantity", ["NaN", "Infinity", "-Infinity", "1E+100", "1E+999999"])
def test_a_quantity_that_is_none_is_refused(quantity):
    rules = make_rules()

    outcome = step(funded(rules), OrderAsked(T0, "a", buy(quantity), quote("100")), rules)

    assert outcome.denials


@pytest.mark.parametrize("level", ["NaN", "sNaN"])
def test_an_exit_that_is_none_is_refused(level):
    rules = make_rules()
    order = buy("1", exits=Exits(stop_loss=D(level)))

    outcome = step(funded(rules), OrderAsked(T0, "a", order, quote("100")), rules)

    assert outcome.denials


def test_a_funding_stamp_told_again_takes_nothing_away():
    """At its old mark of 90 the long would no longer be covered, at that of now it is."""
    rules = make_rules(acts_between_rounds=True)
    state = play(funded(rules), rules, (buy("1900", leverage=20), quote("100")))[0]
    stamp = Funding(at(60), "XUSDT", D("0.0001"), D(90))
    state = replace(state, funded_at={"XUSDT": stamp.at})

    assert act_on(state, stamp, rules) == Outcome(state=state)
