"""Maintenance margin, liquidation and bankruptcy prices: figures that venues and other engines publish, then properties."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.domain.default_instruments import default_specs
from tests.trading.builders import D, account, holding, make_rules, spec, tier_table
from trading.domain.maintenance import (
    account_health,
    bankruptcy_price,
    liquidation_price,
    maintenance_margin,
    position_health,
    price_in_tier,
)
from trading.domain.money import ZERO
from trading.domain.rules import BookRules, MarginMode, MarginModel, StopOutBasis
from trading.domain.tier_tables import known_tables
from trading.domain.tiers import MarginTier

ISOLATED = {"margin_mode": MarginMode.ISOLATED}
OPEN = {"margin_model": MarginModel.CFD, "stop_out_basis": StopOutBasis.OPEN}
MARK = {"margin_model": MarginModel.CFD, "stop_out_basis": StopOutBasis.MARK}


def venue_rules(**changes) -> BookRules:
    """Return rules with the known symbols and their published tiers."""
    known = tuple(default_specs().values())
    fields = {"instruments": known, "tiers": tuple(known_tables().values()), "max_leverage": 150}
    return make_rules(acts_between_rounds=True, **{**fields, **changes})


def priced(value: Decimal | None, places: str = "0.000000000001") -> Decimal:
    assert value is not None
    return value.quantize(D(places))


# The venue's own calculator: two positions of one account in tiers of their time.
OLD_TIERS = (
    tier_table(
        (0, 2_707_300, "0.05", 0, 5), (2_707_300, None, "0.1", 135_365, 5), symbol="ETHUSDT"
    ),
    tier_table(
        (0, 815_000, "0.005", 0, 40), (815_000, None, "0.025", 16_300, 20), symbol="BTCUSDT"
    ),
)
ETH = holding("3683.979", "1456.84", "ETHUSDT")
BTC = holding("109.488", "32481.98", "BTCUSDT", seq=2)


def one_tier(rate: str, amount: str) -> MarginTier:
    return MarginTier(D(0), None, D(rate), D(amount), 1)


def test_l1_a_long_of_the_venues_calculator():
    rules = venue_rules(tiers=OLD_TIERS)

    price = liquidation_price(account("1535443.01", ETH), "ETHUSDT", rules)

    # (1535443.01 + 135365 - 3683.979 * 1456.84) / (3683.979 * (.1 - 1))
    assert priced(price, "1E-10") == D("1114.7849637459")


def test_l2_another_long_of_the_venues_calculator():
    rules = venue_rules(tiers=OLD_TIERS)

    price = liquidation_price(account("1535443.01", BTC), "BTCUSDT", rules)

    assert priced(price, "1E-8") == D("18778.72593217")


def test_l3_other_positions_back_a_cross_position_with_their_profit_less_their_maintenance():
    rules = venue_rules(tiers=OLD_TIERS)
    state = account("1535443.01", ETH, BTC, marks={"BTCUSDT": "31967.27"})

    # 109.488 * 31967.27 * .025 - 16300; 109.488 * (31967.27 - 32481.98)
    assert maintenance_margin(BTC, D("31967.27"), rules) == D("71200.81144400")
    assert priced(liquidation_price(state, "ETHUSDT", rules), "1E-8") == D("1153.25646424")


@pytest.mark.parametrize(
    ("vector", "quantity", "entry", "leverage", "wanted"),
    [
        ("L5", "-1", "10", 5, "11.891089109"),
        ("L7", "-1", "8", 5, "9.514851485"),
        ("L11", "1", "10", 3, "6.723905724"),
    ],
)
def test_one_unit_with_a_rate_of_one_percent_and_an_amount_of_one_cent(
    vector, quantity, entry, leverage, wanted
):
    wallet = Fraction(D(entry)) / leverage
    position = holding(quantity, entry, leverage=leverage)
    exact_wallet = D(wallet.numerator) / D(wallet.denominator)

    assert priced(price_in_tier(position, exact_wallet, one_tier("0.01", "0.01")), "1E-9") == D(
        wanted
    )


@pytest.mark.parametrize(
    ("vector", "symbol", "quantity", "entry", "leverage", "wanted"),
    [
        ("L13", "BTCUSDT", "0.02", "60000", 10, "54216.867469879518"),
        ("L14", "BTCUSDT", "-0.02", "60000", 10, "65737.051792828685"),
        # In the tier of the notional at the price; the tier at entry would say 54216.867.
        ("L15", "BTCUSDT", "10", "60000", 10, "54241.206030150754"),
        ("L17", "BTCUSDT", "-100", "60000", 10, "65465.346534653465"),
        ("L22", "DOGEUSDT", "500", "0.2", 5, "0.161046804227"),
    ],
)
def test_an_isolated_position_goes_at_the_price_that_other_engines_tell(
    vector, symbol, quantity, entry, leverage, wanted
):
    rules = venue_rules(**ISOLATED)
    # What else the account has does not matter.
    state = account("1000000", holding(quantity, entry, symbol, leverage=leverage))

    assert priced(liquidation_price(state, symbol, rules)) == D(wanted)


def test_l19_a_cross_position_is_backed_by_the_whole_wallet():
    state = account(
        "500",
        holding("0.02", "60000", "BTCUSDT"),
        holding("0.5", "3000", "ETHUSDT", seq=2),
        marks={"ETHUSDT": "3000"},
    )

    # (500 - 1500 * .004 - .02 * 60000) / (.02 * .004 - .02)
    price = liquidation_price(state, "BTCUSDT", venue_rules())

    assert priced(price) == D("35441.767068273092")


def test_a_position_that_its_wallet_covers_down_to_nothing_has_no_liquidation_price():
    rules = venue_rules()

    for wallet in ("1200", "5000"):
        state = account(wallet, holding("0.02", "60000", "BTCUSDT"))

        assert liquidation_price(state, "BTCUSDT", rules) is None
        assert bankruptcy_price(state, "BTCUSDT", rules) is None


def test_a_short_that_nothing_backs_has_no_liquidation_price():
    assert liquidation_price(account("-9", holding("-1", "8")), "XUSDT", make_rules()) is None


def test_a_bankruptcy_price_leaves_nothing_of_the_isolated_wallet():
    rules = venue_rules(**ISOLATED)

    for quantity, price in (("0.02", 54_000), ("-0.02", 66_000)):
        state = account("5000", holding(quantity, "60000", "BTCUSDT", leverage=10))

        assert bankruptcy_price(state, "BTCUSDT", rules) == D(price)


def test_a_margin_ratio_is_maintenance_over_what_is_left():
    # Long .02 at 60000, 120 put up, mark 55000: maintenance 1100 * .004, left 120 - 100.
    rules = venue_rules(**ISOLATED)
    state = account(
        "500", holding("0.02", "60000", "BTCUSDT", leverage=10), marks={"BTCUSDT": "55000"}
    )

    health = position_health(state, "BTCUSDT", rules)

    assert (health.maintenance, health.balance) == (D("4.4"), D(20))
    assert health.ratio == D("0.22")
    assert health.is_covered


def test_a_symbol_without_a_table_takes_the_one_tier_of_its_instrument():
    rules = make_rules(acts_between_rounds=True, instruments=(spec(max_leverage=50),))

    assert maintenance_margin(holding("1", "100"), D(200), rules) == D(2)  # 1 % of 200


@pytest.mark.parametrize(
    ("quantity", "basis", "wanted"),
    [
        ("0.1", MARK, "52631.578947"),  # (6000 - 1000) / (.1 * .95)
        ("0.1", OPEN, "53000.000000"),  # 60000 - (1000 - 300) / .1
        ("-0.1", MARK, "66666.666667"),  # (6000 + 1000) / (.1 * 1.05)
        ("-0.1", OPEN, "67000.000000"),
    ],
)
def test_c2_a_cfd_is_stopped_out_where_its_basis_says(quantity, basis, wanted):
    rules = make_rules(acts_between_rounds=True, **basis)

    price = liquidation_price(account("1000", holding(quantity, "60000")), "XUSDT", rules)

    assert priced(price, "0.000001") == D(wanted)


@pytest.mark.parametrize(
    ("price", "margin", "equity", "below"),
    [("50", "1250", "1000", "1"), ("45", "1125", "750", "0.75"), ("39", "975", "450", "0.5")],
)
def test_c4_a_brokers_margin_level_falls_with_the_price(price, margin, equity, below):
    rules = make_rules(
        acts_between_rounds=True,
        margin_requirement_pct=D(50),
        maintenance_margin_pct=D(25),
        **MARK,
    )
    state = account("3500", holding("50", "100"), marks={"XUSDT": price})

    health = account_health(state, rules)

    assert (health.used_margin, health.balance) == (D(margin), D(equity))
    assert D(below) - D("0.25") < health.level < D(below)
    assert health.is_covered == (price != "39")


def test_c7_a_brokers_published_example():
    rules = make_rules(acts_between_rounds=True, **OPEN)
    held = holding("10", "540")

    at_edge, below = (account("600", held, marks={"XUSDT": mark}) for mark in ("507", "506.99"))

    assert account_health(at_edge, rules).used_margin == D(540)
    assert account_health(at_edge, rules).maintenance == D(270)
    assert account_health(at_edge, rules).is_covered
    assert not account_health(below, rules).is_covered
    assert liquidation_price(at_edge, "XUSDT", rules) == D(507)


# --- for any tiers ------------------------------------------------------------------------------


@st.composite
def tables(draw):
    """Draw any valid table: rising caps and rates, leverage that fits them, amounts without jumps."""
    count = draw(st.integers(1, 6))
    caps = sorted(draw(st.sets(st.integers(1, 10**7), min_size=count, max_size=count)))
    rates = sorted(draw(st.sets(st.integers(1, 500), min_size=count, max_size=count)))
    floor = amount = below = D(0)
    tiers = []
    for cap, thousandths in zip(caps, rates, strict=True):
        rate = D(thousandths) / 1000
        amount += floor * (rate - below)
        tiers.append((floor, cap, rate, amount, max(1000 // thousandths // 2, 1)))
        floor, below = D(cap), rate
    if draw(st.booleans()):
        tiers[-1] = (tiers[-1][0], None, *tiers[-1][2:])
    return tier_table(*tiers)


holdings = st.builds(
    lambda quantity, cents, sign, leverage: holding(
        sign * D(quantity) / 1000, D(cents) / 100, leverage=leverage
    ),
    st.integers(1, 10**7),
    st.integers(1, 10**7),
    st.sampled_from((1, -1)),
    st.integers(1, 20),
)


@settings(max_examples=400, deadline=None)
@given(
    table=tables(),
    held=holdings,
    wallet=st.integers(0, 10**12).map(lambda n: D(n) / 100),
    mode=st.sampled_from(MarginMode),
)
def test_equity_at_the_liquidation_price_is_the_maintenance_margin_of_exactly_one_tier(
    table, held, wallet, mode
):
    rules = make_rules(acts_between_rounds=True, tiers=(table,), margin_mode=mode)
    backing = Fraction(wallet)
    if mode is MarginMode.ISOLATED:
        backing = Fraction((held.entry_cost / held.leverage).quantize(D("1E-8")))
    side, quantity = (1 if held.is_long else -1), Fraction(abs(held.quantity))

    # A naive search in fractions: every tier's own price, and whether it lies in that tier.
    found = []
    for tier in table.tiers:
        price = (backing + Fraction(tier.amount) - side * Fraction(held.entry_cost)) / (
            quantity * (Fraction(tier.rate) - side)
        )
        is_last = tier is table.tiers[-1]
        if tier.floor < quantity * price and (is_last or quantity * price <= tier.cap):
            found.append((price, tier))
    price = liquidation_price(account(wallet, held), "XUSDT", rules)

    assert len(found) <= 1
    if not found:
        # Never, for a long that is paid for in full; always, for a short that nothing backs.
        assert price is None
        assert (
            (held.entry_cost <= backing)
            if held.is_long
            else (backing + Fraction(held.entry_cost) <= 0)
        )
        return
    wanted, tier = found[0]
    assert abs(Fraction(price) - wanted) < Fraction(1, 10**50)
    equity = backing + side * (quantity * wanted - Fraction(held.entry_cost))
    assert equity == quantity * wanted * Fraction(tier.rate) - Fraction(tier.amount)


@settings(max_examples=200, deadline=None)
@given(table=tables(), held=holdings, wallet=st.integers(0, 10**9))
def test_an_account_is_covered_on_one_side_of_its_liquidation_price_only(table, held, wallet):
    rules = make_rules(acts_between_rounds=True, tiers=(table,))
    state = account(wallet, held)
    price = liquidation_price(state, "XUSDT", rules)
    step = (price or ZERO) / 10_000 + 1 / abs(held.quantity) / 10_000
    if price is None or price <= step:
        return
    better, worse = (price + step, price - step) if held.is_long else (price - step, price + step)

    assert account_health(state.with_marks({"XUSDT": better}), rules).is_covered
    assert not account_health(state.with_marks({"XUSDT": worse}), rules).is_covered
