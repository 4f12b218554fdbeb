"""Liquidation and exits in one bar, for a book that acts between rounds and lets exits rest."""

from __future__ import annotations

import pytest

from tests.trading.builders import D, buy, funded, make_rules, play, quote, tier_table
from tests.trading.resting import bar
from trading.domain.engine import step
from trading.domain.intents import Exits
from trading.domain.maintenance import liquidation_price
from trading.domain.outcome import FillCause


def acting_rules():
    # Half a percent up to 1000, one percent above.
    tiers = (tier_table((0, 1000, "0.005", 0, 100), (1000, None, "0.01", 5, 50), symbol="XUSDT"),)
    return make_rules(acts_between_rounds=True, resting_orders=True, tiers=tiers)


RULES = acting_rules()


def long_with_stop(stop: str):
    """Return an account of 1000 that is 100 long at 100, with 20x and a stop; it paid 5 for the fill."""
    intent = buy("100", leverage=20, exits=Exits(stop_loss=D(stop)))
    state, _ = play(funded(RULES, "1000"), RULES, (intent, quote("100")))
    return state


def test_the_liquidation_price_of_the_example():
    # 995 + 100 * (p - 100) = 100 * p * 0.01 - 5, so p = 9000 / 99.
    price = liquidation_price(long_with_stop("92"), "XUSDT", RULES)

    assert price is not None
    assert abs(price - D(9000) / 99) < D("1e-20")


@pytest.mark.parametrize(
    ("prices", "cause"),
    [
        # Both are within the bar: the liquidation comes first.
        ("95 95 85 88", FillCause.LIQUIDATION),
        # The bar ends between them.
        ("95 95 91 93", FillCause.EXIT),
        # It opens beyond both.
        ("88 90 85 86", FillCause.LIQUIDATION),
    ],
)
def test_in_one_bar_liquidation_comes_before_the_stop(prices, cause):
    outcome = step(long_with_stop("92"), bar(prices), RULES)

    assert [fill.cause for fill in outcome.fills] == [cause]
    assert outcome.state.positions == {}
    assert outcome.state.wallet >= 0
    assert sum((line.amount for line in outcome.postings), D(0)) == 0


def test_a_stop_above_the_liquidation_price_spares_the_account_in_calm_bars():
    state = long_with_stop("92")
    state = step(state, bar("95 96 93 94"), RULES).state

    outcome = step(state, bar("94 94 91.5 92"), RULES)

    (fill,) = outcome.fills
    assert (fill.cause, fill.price, fill.quantity) == (FillCause.EXIT, D(92), D(100))
    # 995 - 100 * 8 - 92 * 100 * 0.0005.
    assert outcome.state.wallet == D("190.4")
