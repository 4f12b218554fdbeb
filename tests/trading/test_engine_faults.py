"""What the engine does wrong, each at its smallest. A test here must fail; once it is repaired it says so, and moves to where it belongs."""

from __future__ import annotations

from dataclasses import replace
from decimal import InvalidOperation

import pytest

from tests.trading.builders import T0, D, buy, funded, make_rules, quote, report_of
from trading.domain.engine import step
from trading.domain.events import OrderAsked
from trading.domain.intents import Exits
from trading.domain.margin import account_figures


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="a second part shrinks the reserve by the share of the whole order, as if the first had not shrunk it already",
)
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
@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="the rules of reductions are not looked at when the leverage, which a reduction does not need, is below one",
)
def test_a_reduction_with_any_leverage_needs_a_position(leverage):
    """Taken, it makes the next order of that side divide by its leverage."""
    rules = make_rules()
    order = buy("1", leverage=leverage, reduce_only=True)

    outcome = step(funded(rules), OrderAsked(T0, "a", order, quote("100")), rules)

    assert [denial.code for denial in outcome.denials] == ["NO_POSITION"]


@pytest.mark.parametrize("quantity", ["NaN", "Infinity", "-Infinity", "1E+100", "1E+999999"])
@pytest.mark.xfail(
    strict=True,
    raises=InvalidOperation,
    reason="the engine reckons with a quantity before it looks whether it is one; wishes are looked at when they are sized",
)
def test_a_quantity_that_is_none_is_refused(quantity):
    rules = make_rules()

    outcome = step(funded(rules), OrderAsked(T0, "a", buy(quantity), quote("100")), rules)

    assert outcome.denials


@pytest.mark.parametrize("level", ["NaN", "sNaN"])
@pytest.mark.xfail(
    strict=True,
    raises=InvalidOperation,
    reason="the engine compares an exit before it looks whether it is a number",
)
def test_an_exit_that_is_none_is_refused(level):
    rules = make_rules()
    order = buy("1", exits=Exits(stop_loss=D(level)))

    outcome = step(funded(rules), OrderAsked(T0, "a", order, quote("100")), rules)

    assert outcome.denials
