"""How positions and accounts stand, in figures worked out by hand; the formulas have tests of their own."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from marketdata.domain.default_instruments import default_specs
from tests.trading.builders import D, account, buy, funded, holding, make_rules
from tests.trading.resting import rest
from trading.domain.intents import Exits, OrderKind
from trading.domain.outlook import (
    PositionOutlook,
    account_outlook,
    exit_trigger,
    position_outlook,
)
from trading.domain.rules import BookRules, MarginMode, MarginModel
from trading.domain.tier_tables import known_tables

LONG = holding("0.02", "60000", "BTCUSDT", leverage=10)
SHORT = holding("-0.02", "60000", "BTCUSDT", leverage=10)


def venue_rules(**changes) -> BookRules:
    return make_rules(
        instruments=tuple(default_specs().values()),
        tiers=tuple(known_tables().values()),
        acts_between_rounds=True,
        **changes,
    )


def short(value: Decimal | None) -> Decimal:
    assert value is not None
    return value.quantize(D("0.000001"))


def test_an_isolated_position_stands_by_its_own_wallet():
    rules = venue_rules(margin_mode=MarginMode.ISOLATED)

    seen = position_outlook(account("500", LONG, marks={"BTCUSDT": "55000"}), "BTCUSDT", rules)

    # 1200 / 10; .02 * 55000 * .004; 4.4 / (120 - 100); 60000 - 120 / .02; (55000 - 54216.867469...) / 55000
    assert seen.isolated_wallet == D(120)
    assert seen.margin == D(20)
    assert seen.maintenance == D("4.4")
    assert seen.ratio == D("0.22")
    assert seen.level is None
    assert short(seen.liquidation_price) == D("54216.867470")
    assert seen.bankruptcy_price == D(54000)
    assert short(seen.distance) == D("0.014239")


def test_a_short_is_liquidated_above_its_mark():
    rules = venue_rules(margin_mode=MarginMode.ISOLATED)

    seen = position_outlook(account("500", SHORT, marks={"BTCUSDT": "60000"}), "BTCUSDT", rules)

    assert short(seen.liquidation_price) == D("65737.051793")
    # 5737.051793 / 60000
    assert short(seen.distance) == D("0.095618")


def test_a_cross_position_stands_by_the_account():
    rules = venue_rules()

    state = account("500", LONG, marks={"BTCUSDT": "55000"})
    seen, whole = position_outlook(state, "BTCUSDT", rules), account_outlook(state, rules)

    # 4.4 / (500 - 100); .02 * 55000 / 10; (500 - 1200) / (.02 * (.004 - 1))
    assert seen.ratio == D("0.011")
    assert seen.margin == D(110)
    assert short(seen.liquidation_price) == D("35140.562249")
    assert (seen.isolated_wallet, seen.bankruptcy_price) == (None, None)
    assert whole is not None
    assert whole.health is not None
    assert (whole.health.ratio, whole.figures.free_margin) == (D("0.011"), D(290))


def test_a_position_that_its_wallet_outlasts_has_no_liquidation_price():
    state = account("5000", LONG, marks={"BTCUSDT": "60000"})

    seen = position_outlook(state, "BTCUSDT", venue_rules())

    assert (seen.liquidation_price, seen.distance) == (None, None)
    assert seen.maintenance == D("4.8")


def test_a_cfd_is_told_by_its_margin_level():
    rules = make_rules(
        margin_model=MarginModel.CFD,
        margin_requirement_pct=D(50),
        maintenance_margin_pct=D(25),
        acts_between_rounds=True,
    )

    state = account("3500", holding("50", "100"), marks={"XUSDT": "60"})
    seen = position_outlook(state, "XUSDT", rules)

    # 3000 * .25; (3500 - 2000) / (3000 * .5); (3500 - 5000) / (50 * (.25 - 1)); 20 / 60
    assert seen.maintenance == D(750)
    assert (seen.ratio, seen.level) == (None, D(1))
    assert seen.liquidation_price == D(40)
    assert short(seen.distance) == D("0.333333")


def test_rules_that_do_not_act_liquidate_nothing():
    state = account("500", LONG, marks={"BTCUSDT": "55000"})
    rules = replace(venue_rules(), acts_between_rounds=False)

    assert position_outlook(state, "BTCUSDT", rules) == PositionOutlook(margin=D(110))
    whole = account_outlook(state, rules)
    assert whole is not None
    assert whole.health is None


def test_without_a_mark_nothing_is_told():
    other = holding("1", "2000", "ETHUSDT", leverage=10, seq=2)
    state = account("500", LONG, other, marks={"BTCUSDT": "55000"})

    cross = position_outlook(state, "BTCUSDT", venue_rules())
    own = position_outlook(state, "BTCUSDT", venue_rules(margin_mode=MarginMode.ISOLATED))

    assert cross == PositionOutlook(margin=D(110))
    assert own.ratio == D("0.22")
    assert position_outlook(state, "ETHUSDT", venue_rules()) == PositionOutlook()
    assert account_outlook(state, venue_rules()) is None


def test_what_open_orders_set_aside_is_used_margin():
    rules = make_rules()
    intent = buy("10", leverage=2, kind=OrderKind.LIMIT, limit_price=D(90))

    seen = account_outlook(rest(funded(rules), intent, rules), rules)

    assert seen is not None
    assert seen.reserved == seen.figures.used_margin > D(450)
    assert seen.figures.free_margin == D(10000) - seen.reserved


@pytest.mark.parametrize(
    ("quantity", "extreme", "wanted"),
    [("1", "110", "104.5"), ("-1", "80", "84"), ("1", None, None)],
)
def test_a_trailing_exit_waits_behind_the_best_price(quantity, extreme, wanted):
    held = replace(
        holding(quantity, "100"),
        exits=Exits(callback_rate=D(5)),
        trail_extreme=None if extreme is None else D(extreme),
    )

    assert exit_trigger(held, make_rules()) == (None if wanted is None else D(wanted))
