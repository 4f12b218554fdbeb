"""For any tiers: the liquidation price is where cover gives out, and the market's next tick beyond it takes the position."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.domain.facts import Quote
from tests.trading.builders import T0, D, account, holding, make_rules
from tests.trading.test_maintenance import holdings, tables
from trading.domain.acting import Ticks, act_on
from trading.domain.maintenance import liquidation_price, position_health
from trading.domain.outcome import FillCause, Outcome
from trading.domain.rules import BookRules, MarginMode, MarginModel, StopOutBasis
from trading.domain.state import AccountState

TICK = D("0.01")
UNIT = D("0.00000001")

modes = st.sampled_from(
    [
        {"margin_mode": MarginMode.CROSS},
        {"margin_mode": MarginMode.ISOLATED},
        {"margin_model": MarginModel.CFD, "stop_out_basis": StopOutBasis.MARK},
        {"margin_model": MarginModel.CFD, "stop_out_basis": StopOutBasis.OPEN},
    ]
)
# Nothing in the account but the position, little beside it, or a lot.
wallets = st.integers(0, 10**4) | st.integers(0, 10**12).map(lambda n: D(n) / 100)
# A second position, by its quantity and its mark: it gains or loses meanwhile, and is paid for in full.
others = st.none() | st.tuples(
    st.sampled_from((-5, 5)), st.integers(9_000, 11_000).map(lambda n: D(n) / 100)
)


def seen(state: AccountState, mark: Decimal, rules: BookRules) -> Outcome:
    quote = Quote("XUSDT", T0, mark, mark, mark)
    return act_on(state, Ticks(T0, {"XUSDT": quote}), rules)


@settings(max_examples=400, deadline=None)
@given(table=tables(), held=holdings, wallet=wallets, mode=modes, other=others)
def test_a_position_is_taken_one_tick_beyond_its_liquidation_price_and_not_one_before(
    table, held, wallet, mode, other
):
    rules = make_rules(acts_between_rounds=True, resting_orders=True, tiers=(table,), **mode)
    positions, marks = [held], {}
    if other is not None:
        positions.append(holding(other[0], "100", "YUSDT", seq=2))
        marks["YUSDT"] = other[1]
    state = account(wallet, *positions, marks=marks)
    price = liquidation_price(state, "XUSDT", rules)
    if price is None:
        if held.is_long:
            assert not seen(state, TICK, rules).fills
        return

    at_price = position_health(state.with_marks({"XUSDT": price}), "XUSDT", rules)
    assert abs(at_price.balance - at_price.maintenance) <= UNIT

    further = -TICK if held.is_long else TICK
    nearer, beyond = price - further, price + further
    if nearer > 0:
        assert seen(state, nearer, rules).is_empty
    if beyond > 0:
        outcome = seen(state, beyond, rules)
        assert {fill.cause for fill in outcome.fills} == {FillCause.LIQUIDATION}
        if other is None or rules.margin_mode is MarginMode.ISOLATED:
            assert [fill.symbol for fill in outcome.fills] == ["XUSDT"]
        assert outcome.state.wallet >= 0
