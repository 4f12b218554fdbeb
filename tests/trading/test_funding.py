"""Funding against figures of freqtrade and nautilus_trader, and what a stamp does to an account."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.builders import D, at, buy, funded, make_rules, play, quote, sell, spec
from trading.domain.engine import step
from trading.domain.events import FundingSettled
from trading.domain.funding import funding_payment, settle_funding
from trading.domain.margin import account_figures

BTC = make_rules(instruments=(spec("BTCUSDT", tick=D("0.1")),), fee_bps_taker=D(0))


def long_btc(capital: str = "100000"):
    state, _ = play(
        funded(BTC, capital), BTC, (buy("1", "BTCUSDT", leverage=20), quote("60000", "BTCUSDT"))
    )
    return state


def stamp(minutes: int, rate: str = "0.0001", mark: str = "60000") -> FundingSettled:
    return FundingSettled(at(minutes), "BTCUSDT", D(rate), D(mark))


@pytest.mark.parametrize(
    ("quantity", "rate", "mark", "payment"),
    [
        # F1: freqtrade tests/test_calculate_funding_fees, a short of 10 receives.
        ("-10", "0.0001", "2.0", "0.002"),
        ("-10", "0.0002", "2.0", "0.004"),
        ("-10", "0.0002", "2.5", "0.005"),
        # F3: nautilus_trader 1.231, a long of 1 pays 6.
        ("1", "0.0001", "60000", "-6"),
        ("1", "-0.0001", "60000", "6"),
        # Halves to even at 1e-8.
        ("-1", "0.00000001", "0.5", "0"),
        ("-1", "0.00000001", "1.5", "0.00000002"),
    ],
)
def test_a_payment_is_quantity_times_mark_times_rate(quantity, rate, mark, payment):
    assert funding_payment(D(quantity), mark=D(mark), rate=D(rate)) == D(payment)


def test_a_long_pays_a_positive_rate():
    outcome = step(long_btc(), stamp(480), BTC)

    assert outcome.state.wallet == D(99994)
    assert outcome.state.positions["BTCUSDT"].funding == D(-6)
    assert outcome.positions == (outcome.state.positions["BTCUSDT"],)
    assert [
        (line.cause_id, line.kind, line.amount, line.house, line.at) for line in outcome.postings
    ] == [
        ("fund:1:BTCUSDT:2026-03-01T20:00:00Z", "FUNDING", D(-6), None, at(480)),
        ("fund:1:BTCUSDT:2026-03-01T20:00:00Z", "FUNDING", D(6), "FUNDING", at(480)),
    ]


def test_a_stamp_told_twice_is_settled_once():
    settled = settle_funding(long_btc(), stamp(480)).state

    for again in (stamp(480), stamp(0)):
        outcome = settle_funding(settled, again)
        assert outcome.state == settled
        assert outcome.postings == ()


def test_missed_stamps_are_settled_one_by_one():
    state = long_btc()
    for minutes, rate in ((480, "0.0001"), (960, "-0.0002"), (1440, "0.0003")):
        state = settle_funding(state, stamp(minutes, rate)).state
    # 60000 * (-.0001 + .0002 - .0003) = -12
    assert state.positions["BTCUSDT"].funding == D(-12)
    assert state.wallet == D(99988)


def test_only_what_is_held_at_the_stamp_pays():
    flat = settle_funding(funded(BTC), stamp(0))
    assert (flat.state.wallet, flat.postings, flat.positions) == (D(10000), (), ())

    # Opened a minute after the stamp that is caught up with.
    late, _ = play(
        funded(BTC),
        BTC,
        (sell("0.1", "BTCUSDT"), quote("60000", "BTCUSDT", minutes=481)),
    )
    assert settle_funding(late, stamp(480)).postings == ()
    assert settle_funding(late, stamp(481)).state.wallet == D("10000.6")


def test_a_stamp_of_a_flat_account_is_not_charged_later():
    seen = settle_funding(funded(BTC, "100000"), stamp(0)).state
    opened, _ = play(seen, BTC, (buy("1", "BTCUSDT"), quote("60000", "BTCUSDT")))
    assert settle_funding(opened, stamp(0)).postings == ()


def test_a_wallet_may_fall_below_zero_and_is_left_to_the_liquidation():
    poor = replace(long_btc(), wallet=D(5))
    outcome = settle_funding(poor, stamp(480))
    assert outcome.state.wallet == D(-1)
    assert "BTCUSDT" in outcome.state.positions


@pytest.mark.parametrize(
    ("rate", "mark"), [("NaN", "1"), ("Infinity", "1"), ("0", "0"), ("0", "NaN")]
)
def test_figures_that_are_none(rate, mark):
    with pytest.raises(ValueError, match="funding needs a finite rate and a mark above 0, was"):
        settle_funding(long_btc(), stamp(0, rate, mark))


@given(
    rate=st.decimals("-0.03", "0.03", places=8),
    mark=st.decimals("0.01", "100000", places=2),
    quantity=st.integers(-100, 100).filter(bool),
)
def test_both_sides_of_a_stamp_pay_each_other(rate, mark, quantity):
    assert funding_payment(D(quantity), mark=mark, rate=rate) == -funding_payment(
        D(-quantity), mark=mark, rate=rate
    )
    outcome = settle_funding(long_btc(), FundingSettled(at(480), "BTCUSDT", rate, mark))
    assert sum(line.amount for line in outcome.postings) == 0
    moved = account_figures(outcome.state).equity - account_figures(long_btc()).equity
    assert moved == funding_payment(D(1), mark=mark, rate=rate)
