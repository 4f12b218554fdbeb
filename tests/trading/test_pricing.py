"""The paper venue's prices and fees, and drawdowns."""

from __future__ import annotations

import pytest

from marketdata.domain.facts import Quote
from tests.trading.builders import T0, D, make_rules, quote, spec
from trading.domain.fees import execution_fee
from trading.domain.intents import Side
from trading.domain.pricing import taker_price
from trading.domain.standings import Drawdown


@pytest.mark.parametrize(
    ("side", "slippage", "price"),
    [
        (Side.BUY, "0", "100.50"),
        (Side.SELL, "0", "99.50"),
        # 100.50 * 1.0003 = 100.53015, on the tick above; 99.50 * .9997 = 99.47015, on the tick below.
        (Side.BUY, "3", "100.54"),
        (Side.SELL, "3", "99.47"),
    ],
)
def test_a_taker_pays_spread_and_slippage_on_the_worse_tick(side, slippage, price):
    rules = make_rules(slippage_bps=D(slippage))
    found = taker_price(quote("100", spread="1"), side, rules=rules, spec=spec())
    assert found == D(price)


def test_a_seller_gets_at_least_one_tick():
    market = Quote("XUSDT", T0, D("0.01"), D("0.02"), D("0.01"))
    rules = make_rules(slippage_bps=D(100))
    assert taker_price(market, Side.SELL, rules=rules, spec=spec()) == D("0.01")


def test_fees_are_on_notional_and_round_half_even():
    rules = make_rules(fee_bps_taker=D(5), fee_bps_maker=D(2))
    assert execution_fee(D("0.02"), D(60000), rules=rules) == D("0.6")
    assert execution_fee(D("0.02"), D(60000), rules=rules, is_maker=True) == D("0.24")
    # .001 * .05 * 5 bps = .000000025: halves to even, down to .00000002
    assert execution_fee(D("0.001"), D("0.05"), rules=rules) == D("0.00000002")


def test_the_drawdown_counts_the_start_and_keeps_the_largest_fall():
    # From the start 100: 102, 101, 105, 103, 99 (6/105), 104, 110: largest 6/105 = .0571428571
    drawdown = Drawdown(D(100), D(0))
    for equity in (102, 101, 105, 103, 99, 104, 110):
        drawdown = drawdown.after(D(equity))
    assert drawdown == Drawdown(D(110), D("0.0571428571"))
    assert Drawdown(D(100), D(0)).after(D(90)).largest == D("0.1")


def test_a_loss_of_everything_is_a_drawdown_beyond_one():
    assert Drawdown(D(100), D(0)).after(D(-20)).largest == D("1.2")
