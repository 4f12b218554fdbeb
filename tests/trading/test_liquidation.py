"""Positions that an account no longer covers are taken away; what it cannot pay, the insurance pays."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.builders import (
    T0,
    D,
    account,
    at,
    buy,
    funded,
    holding,
    make_rules,
    play,
    quote,
    spec,
    tier_table,
)
from trading.domain.engine import step
from trading.domain.events import MarksSeen, OrderAsked, QuoteSeen
from trading.domain.liquidation import liquidate
from trading.domain.maintenance import account_health, liquidation_price, position_health
from trading.domain.margin import account_figures
from trading.domain.outcome import FillCause, OrderStatus, Outcome
from trading.domain.rules import BookRules, MarginMode, MarginModel, StopOutBasis
from trading.domain.state import AccountState

SYMBOLS = ("XUSDT", "YUSDT", "ZUSDT")
# Half a percent up to 1000, one percent above.
TIERS = tuple(
    tier_table((0, 1000, "0.005", 0, 100), (1000, None, "0.01", 5, 50), symbol=symbol)
    for symbol in SYMBOLS
)


def perpetual(**changes) -> BookRules:
    fields = {"tiers": TIERS, "clearance_fee_bps": D(100)}
    return make_rules(acts_between_rounds=True, **{**fields, **changes})


def cfd(**changes) -> BookRules:
    return make_rules(acts_between_rounds=True, margin_model=MarginModel.CFD, **changes)


def lines(outcome: Outcome) -> list[tuple[str, str, Decimal, str | None]]:
    return [(line.cause_id, line.kind.value, line.amount, line.house) for line in outcome.postings]


def taken(outcome: Outcome) -> list[str]:
    return [fill.symbol for fill in outcome.fills]


# --- perpetual, cross ---------------------------------------------------------------------------


def test_an_account_that_covers_its_positions_is_left_alone():
    state = account("100", holding("10", "100"), marks={"XUSDT": "90.51"})

    # 100 - 94.9 = 5.1 against 905.1 * .005 = 4.5255
    assert liquidate(state, perpetual(), at=T0) is None


def test_a_position_is_taken_at_the_mark_once_margin_is_all_there_is():
    # 100 + 10 * (mark - 100) = mark * 10 * .005: mark 900 / 9.95 = 90.45226...
    rules = perpetual(clearance_fee_bps=D(25))
    state = account("100", holding("10", "100"), marks={"XUSDT": "90.45"})

    outcome = liquidate(state, rules, at=at(7))

    # Loss 95.5, left 4.5; clearance 904.5 * .0025 = 2.26125.
    assert outcome.state.wallet == D("2.23875")
    assert outcome.state.positions == {}
    assert lines(outcome) == [
        ("liq:1:2", "REALISED", D("-95.5"), None),
        ("liq:1:2", "REALISED", D("95.5"), "CLEARING"),
        ("liq:1:2", "CLEARANCE", D("-2.26125"), None),
        ("liq:1:2", "CLEARANCE", D("2.26125"), "INSURANCE"),
    ]
    (fill,) = outcome.fills
    assert (fill.cause, fill.trade_id, fill.client_order_id) == (
        FillCause.LIQUIDATION,
        "liq-1-1",
        "",
    )
    assert (fill.seq, fill.side, fill.quantity, fill.price, fill.fee) == (
        2,
        "SELL",
        D(10),
        D("90.45"),
        D("2.26125"),
    )
    (closed,) = outcome.positions
    assert closed.closed_at == at(7)
    assert closed.net_result == D("-97.76125")


def test_exactly_the_maintenance_margin_is_not_enough():
    # 1000 notional: 5 is asked, 5 is left.
    state = account("5", holding("10", "100"), marks={"XUSDT": "100"})

    assert liquidate(state, perpetual(), at=T0) is not None
    assert liquidate(replace(state, wallet=D("5.00000001")), perpetual(), at=T0) is None


def test_a_clearance_fee_takes_no_more_than_is_left():
    # Left 4.5 of the account, asked 9.045: the small account is wiped.
    state = account("100", holding("10", "100"), marks={"XUSDT": "90.45"})

    outcome = liquidate(state, perpetual(), at=T0)

    assert outcome.fills[0].fee == D("4.5")
    assert outcome.state.wallet == 0


def test_a_loss_beyond_the_account_is_the_insurances():
    # A gap to 80: loss 200 of a wallet of 100, nothing left for a fee.
    state = account("100", holding("10", "100"), marks={"XUSDT": "80"})

    outcome = liquidate(state, perpetual(), at=T0)

    assert outcome.state.wallet == 0
    assert lines(outcome) == [
        ("liq:1:2", "REALISED", D(-200), None),
        ("liq:1:2", "REALISED", D(200), "CLEARING"),
        ("liq:1:2", "INSURANCE", D(100), None),
        ("liq:1:2", "INSURANCE", D(-100), "INSURANCE"),
    ]


def test_the_largest_loss_goes_first_and_no_more_than_is_needed():
    state = account(
        "100",
        holding("10", "100", "XUSDT", seq=1),
        holding("-20", "100", "YUSDT", seq=2),
        holding("0.1", "100", "ZUSDT", seq=3),
        marks={"XUSDT": "99", "YUSDT": "104", "ZUSDT": "100"},
    )

    # Equity 100 - 10 - 80 = 10 against 4.95 + 15.8 + .05; without Y 10 against 5.
    outcome = liquidate(state, perpetual(clearance_fee_bps=D(0)), at=T0)

    assert taken(outcome) == ["YUSDT"]
    assert set(outcome.state.positions) == {"XUSDT", "ZUSDT"}
    assert outcome.state.wallet == D(20)


def test_a_hedge_pays_before_the_insurance_does():
    # Loss 300 against a profit of 250: equity 50. Without X the wallet would be 200 below zero.
    state = account(
        "100",
        holding("10", "100", "XUSDT", seq=1),
        holding("10", "100", "YUSDT", seq=2),
        marks={"XUSDT": "70", "YUSDT": "125"},
    )
    tiers = tuple(tier_table((0, None, "0.03", 0, 20), symbol=symbol) for symbol in SYMBOLS)

    outcome = liquidate(state, perpetual(tiers=tiers, clearance_fee_bps=D(0)), at=T0)

    # 700 * .03 + 1250 * .03 = 58.5 > 50; Y alone would be covered by 50 > 37.5.
    assert taken(outcome) == ["XUSDT", "YUSDT"]
    assert outcome.state.wallet == D(50)
    assert not any(line.house == "INSURANCE" for line in outcome.postings)


def test_a_covered_account_may_owe_against_its_profits():
    state = account("-200", holding("10", "100"), marks={"XUSDT": "125"})

    assert liquidate(state, perpetual(), at=T0) is None


def test_a_flat_account_that_owes_is_covered():
    outcome = liquidate(account("-3"), perpetual(), at=T0)

    assert outcome.state.wallet == 0
    assert lines(outcome) == [
        ("liq:1:cover-1", "INSURANCE", D(3), None),
        ("liq:1:cover-1", "INSURANCE", D(-3), "INSURANCE"),
    ]
    assert liquidate(outcome.state, perpetual(), at=T0) is None


def test_open_orders_are_cancelled_first():
    rules = perpetual(fee_bps_taker=D(0))
    state, _ = play(funded(rules, "1000"), rules, (buy("90", leverage=20), quote("100")))
    for name, symbol in (("b", "YUSDT"), ("a", "XUSDT")):
        asked = OrderAsked(T0, name, buy("1", symbol, leverage=20), quote("100", symbol))
        state = step(state, asked, rules).state

    outcome = step(state, MarksSeen(at(1), {"XUSDT": D(89)}), rules)

    assert [(change.client_order_id, change.status) for change in outcome.orders] == [
        ("a", OrderStatus.CANCELLED),
        ("b", OrderStatus.CANCELLED),
    ]
    assert outcome.state.orders == {}


def test_a_missing_mark_is_named():
    with pytest.raises(KeyError, match="a mark of XUSDT is wanted"):
        liquidate(account("1", holding("1", "1")), perpetual(), at=T0)


# --- perpetual, isolated ------------------------------------------------------------------------


def test_an_isolated_position_loses_its_own_wallet_and_no_more():
    # 1000 / 10 = 100 put up; a gap to 80 loses 200.
    rules = perpetual(margin_mode=MarginMode.ISOLATED)
    state = account(
        "1000",
        holding("10", "100", "XUSDT", leverage=10, seq=1),
        holding("-10", "100", "YUSDT", leverage=10, seq=2),
        marks={"XUSDT": "80", "YUSDT": "101"},
    )

    outcome = liquidate(state, rules, at=T0)

    assert taken(outcome) == ["XUSDT"]
    assert outcome.state.wallet == D(900)
    assert lines(outcome)[2:] == [
        ("liq:1:3", "INSURANCE", D(100), None),
        ("liq:1:3", "INSURANCE", D(-100), "INSURANCE"),
    ]


def test_what_an_isolated_position_leaves_goes_back_to_the_wallet():
    rules = perpetual(margin_mode=MarginMode.ISOLATED, clearance_fees=(("XUSDT", D(10)),))
    state = account("1000", holding("10", "100", leverage=10), marks={"XUSDT": "90.4"})

    outcome = liquidate(state, rules, at=T0)

    # 100 - 96 = 4 <= 904 * .005 = 4.52; clearance .904
    assert outcome.state.wallet == D("903.096")


def test_only_an_isolated_positions_own_orders_end_with_it():
    rules = perpetual(margin_mode=MarginMode.ISOLATED, fee_bps_taker=D(0))
    state, _ = play(funded(rules, "1000"), rules, (buy("10", leverage=20), quote("100")))
    for name, symbol in (("a", "XUSDT"), ("b", "YUSDT")):
        asked = OrderAsked(T0, name, buy("1", symbol, leverage=20), quote("100", symbol))
        state = step(state, asked, rules).state

    outcome = step(state, QuoteSeen(quote("95", minutes=1)), rules)

    assert [change.client_order_id for change in outcome.orders] == ["a"]
    assert set(outcome.state.orders) == {"b"}
    assert outcome.state.wallet == D(950)


def test_a_wallet_below_zero_backs_no_isolated_position():
    rules = perpetual(margin_mode=MarginMode.ISOLATED, clearance_fee_bps=D(0))
    state = account("-20", holding("10", "100", leverage=10), marks={"XUSDT": "101"})

    outcome = liquidate(state, rules, at=T0)

    # A profit of 10 pays half of it, the insurance the other.
    assert outcome.state.wallet == 0
    assert ("liq:1:2", "INSURANCE", D(10), None) in lines(outcome)


# --- cfd ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("basis", "stays", "goes"),
    [(StopOutBasis.MARK, "52631.58", "52631.57"), (StopOutBasis.OPEN, "53000", "52999.99")],
)
def test_c2_a_stop_out_follows_its_basis(basis, stays, goes):
    rules = cfd(stop_out_basis=basis, fee_bps_taker=D(0))
    state = account("1000", holding("0.1", "60000"))

    assert liquidate(state.with_marks({"XUSDT": D(stays)}), rules, at=T0) is None
    outcome = liquidate(state.with_marks({"XUSDT": D(goes)}), rules, at=T0)
    assert outcome.state.wallet == 1000 - (60000 - D(goes)) / 10


def test_c7_a_brokers_example_is_stopped_out_below_507():
    rules = cfd(stop_out_basis=StopOutBasis.OPEN, fee_bps_taker=D(0))
    state = account("600", holding("10", "540"))

    assert liquidate(state.with_marks({"XUSDT": D(507)}), rules, at=T0) is None
    assert liquidate(state.with_marks({"XUSDT": D("506.99")}), rules, at=T0) is not None


def test_a_stop_out_closes_the_largest_loss_until_the_level_is_back():
    rules = cfd(stop_out_basis=StopOutBasis.OPEN)
    state = account(
        "1000",
        holding("10", "500", "XUSDT", seq=1),
        holding("10", "300", "YUSDT", seq=2),
        marks={"XUSDT": "430", "YUSDT": "290"},
    )

    # Equity 1000 - 700 - 100 = 200 < 5 % of 8000; without X 200 - fee 2.15 >= 150.
    outcome = liquidate(state, rules, at=T0)

    assert taken(outcome) == ["XUSDT"]
    assert lines(outcome)[2:] == [
        ("liq:1:3", "FEE", D("-2.15"), None),
        ("liq:1:3", "FEE", D("2.15"), "FEES"),
    ]
    assert outcome.state.wallet == D("297.85")


def test_a_stop_out_slips_like_any_order():
    rules = cfd(slippage_bps=D(10), fee_bps_taker=D(0))
    state = account("600", holding("10", "540"), marks={"XUSDT": "500"})

    (fill,) = liquidate(state, rules, at=T0).fills

    assert (fill.price, fill.reference_price) == (D("499.5"), D(500))


def test_a_cfd_account_never_owes():
    state = account("600", holding("-10", "540"), marks={"XUSDT": "700"})

    outcome = liquidate(state, cfd(), at=T0)

    assert outcome.state.wallet == 0
    assert lines(outcome)[2:] == [
        ("liq:1:2", "INSURANCE", D(1000), None),
        ("liq:1:2", "INSURANCE", D(-1000), "INSURANCE"),
    ]


# --- the engine ---------------------------------------------------------------------------------


def test_the_engine_liquidates_only_where_the_rules_act_between_rounds():
    state = account("100", holding("10", "100"))
    seen = MarksSeen(at(3), {"XUSDT": D(80)})

    idle = step(state, seen, replace(perpetual(), acts_between_rounds=False))
    acting = step(state, seen, perpetual())

    assert idle == Outcome(state=state.with_marks(seen.marks))
    assert acting == liquidate(state.with_marks(seen.marks), perpetual(), at=at(3))
    assert acting.fills[0].at == at(3)


# --- whatever happens ---------------------------------------------------------------------------

entries = st.tuples(
    st.integers(1, 5000).map(lambda n: D(n) / 100),
    st.sampled_from((1, -1)),
    st.integers(1000, 100_000).map(lambda n: D(n) / 100),
    st.integers(1, 20),
    st.integers(100, 200_000).map(lambda n: D(n) / 100),
)
some_rules = st.builds(
    lambda model, mode, basis, clearance: make_rules(
        acts_between_rounds=True,
        margin_model=model,
        margin_mode=mode if model is MarginModel.PERPETUAL else MarginMode.CROSS,
        stop_out_basis=basis,
        clearance_fee_bps=D(clearance),
        tiers=TIERS,
        slippage_bps=D(3),
        instruments=tuple(spec(symbol) for symbol in SYMBOLS),
    ),
    st.sampled_from(MarginModel),
    st.sampled_from(MarginMode),
    st.sampled_from(StopOutBasis),
    st.integers(0, 200),
)


def account_of(wallet, drawn, order=SYMBOLS) -> AccountState:
    """Return an account with the drawn holdings, put in and marked in the order of the symbols given."""
    held = {
        symbol: (holding(quantity * sign, entry, symbol, leverage=leverage, seq=seq), mark)
        for seq, (symbol, (quantity, sign, entry, leverage, mark)) in enumerate(
            zip(SYMBOLS, drawn, strict=False), start=1
        )
    }
    chosen = [symbol for symbol in order if symbol in held]
    return account(
        wallet,
        *(held[symbol][0] for symbol in chosen),
        marks={symbol: held[symbol][1] for symbol in chosen},
    )


@settings(max_examples=400, deadline=None)
@given(
    rules=some_rules,
    wallet=st.integers(-5000, 100_000),
    drawn=st.lists(entries, min_size=1, max_size=3),
    order=st.permutations(SYMBOLS),
)
def test_whatever_is_liquidated_the_books_balance_and_no_wallet_is_below_zero(
    rules, wallet, drawn, order
):
    state = account_of(wallet, drawn)

    outcome = liquidate(state, rules, at=T0)

    # The order in which symbols came to the account changes nothing.
    assert liquidate(account_of(wallet, drawn, order), rules, at=T0) == outcome
    if outcome is None:
        for symbol in state.positions:
            assert position_health(state, symbol, rules).is_covered
        return
    assert outcome.state.wallet >= 0
    # Everything that is left is covered, so that asking again changes nothing.
    assert liquidate(outcome.state, rules, at=T0) is None
    # Each group sums to zero; the account's lines make the new wallet.
    groups: dict[str, Decimal] = defaultdict(Decimal)
    for line in outcome.postings:
        groups[line.cause_id] += line.amount
    assert not any(groups.values())
    # A takeover that moves no money has no lines.
    causes = {f"liq:1:{fill.seq}" for fill in outcome.fills} or {f"liq:1:cover-{state.next_fill}"}
    assert groups.keys() <= causes
    assert len({fill.trade_id for fill in outcome.fills}) == len(outcome.fills)
    own = [line for line in outcome.postings if line.house is None]
    assert state.wallet + sum(line.amount for line in own) == outcome.state.wallet
    # Equity is conserved: it changes by fees, slippage and what the insurance adds, by nothing else.
    slipped = sum(
        (fill.price - fill.reference_price) * fill.quantity * fill.side.sign
        for fill in outcome.fills
    )
    rescued = sum(line.amount for line in own if line.kind == "INSURANCE")
    fees = sum(fill.fee for fill in outcome.fills)
    before, after = account_figures(state).equity, account_figures(outcome.state).equity
    slack = D("0.00000001") * 4
    assert abs(after - (before - fees - slipped + rescued)) <= slack
    assert rescued >= 0
    # The insurance pays for an account only when it has nothing left, for an isolated position at any time.
    if rescued and rules.margin_mode is MarginMode.CROSS:
        assert outcome.state.wallet == 0
        assert not outcome.state.positions


@settings(max_examples=200, deadline=None)
@given(
    drawn=st.lists(entries, min_size=1, max_size=3),
    wallet=st.integers(1, 100_000),
    mode=st.sampled_from(MarginMode),
)
def test_a_position_goes_when_its_mark_passes_its_liquidation_price(drawn, wallet, mode):
    rules = perpetual(margin_mode=mode)
    state = account_of(wallet, drawn)
    if liquidate(state, rules, at=T0) is not None:
        return
    for symbol, held in state.positions.items():
        price = liquidation_price(state, symbol, rules)
        if price is None or price <= D("0.02"):
            continue
        beyond = (price - D("0.01")) if held.is_long else (price + D("0.01"))

        outcome = step(state, MarksSeen(T0, {symbol: beyond}), rules)

        assert outcome.fills
        if mode is MarginMode.ISOLATED:
            assert taken(outcome) == [symbol]
        else:
            assert not account_health(state.with_marks({symbol: beyond}), rules).is_covered
