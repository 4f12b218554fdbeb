"""Drawdown rules: what they warn of, what they refuse, and how an account is closed; figures worked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.trading.builders import (
    T0,
    D,
    account,
    at,
    buy,
    funded,
    holding,
    make_rules,
    quote,
    sell,
    spec,
)
from tests.trading.resting import bar, rest
from trading.domain.drawdown import DrawdownTier, drawdown_pct, drawdown_tier
from trading.domain.drawdown_closing import close_for_drawdown
from trading.domain.engine import step
from trading.domain.events import MarksSeen, OrderAsked
from trading.domain.intents import OrderKind
from trading.domain.outcome import FillCause, House, OrderStatus

WARN_STOP = make_rules(drawdown_warn_pct=D(10), drawdown_stop_pct=D(20))
CLOSING = make_rules(
    acts_between_rounds=True,
    drawdown_warn_pct=D(10),
    drawdown_stop_pct=D(20),
    drawdown_close_pct=D(30),
)


def fallen(wallet: str, *positions, peak: str = "1000", **marks: str):
    return replace(account(wallet, *positions, marks=marks), peak=D(peak))


@pytest.mark.parametrize(
    ("peak", "equity", "pct"),
    [
        ("12500", "10000", "20"),
        ("1000", "1000", "0"),
        ("1000", "1100", "0"),
        ("1000", "-50", "105"),
        ("3", "2", "33.3333333333"),
    ],
)
def test_a_drawdown_is_the_fall_in_percent_of_the_peak(peak, equity, pct):
    assert drawdown_pct(D(peak), D(equity)) == D(pct)


@pytest.mark.parametrize(
    ("wallet", "tier"),
    [
        ("900.01", DrawdownTier.NONE),
        ("900", DrawdownTier.WARN),
        ("800.01", DrawdownTier.WARN),
        ("800", DrawdownTier.STOP),
        ("700", DrawdownTier.CLOSE),
        ("-1", DrawdownTier.CLOSE),
        ("1200", DrawdownTier.NONE),
    ],
)
def test_a_tier_is_reached_at_its_figure(wallet, tier):
    assert drawdown_tier(fallen(wallet), CLOSING) is tier


def test_unrealised_losses_count():
    # 1000 - 10 * 15 = 850.
    state = fallen("1000", holding("10", "100"), XUSDT="85")
    assert drawdown_tier(state, CLOSING) is DrawdownTier.WARN


def test_a_book_without_such_rules_needs_no_peak():
    assert drawdown_tier(account("1"), make_rules()) is DrawdownTier.NONE


def test_a_state_without_its_peak_is_a_mistake_of_the_caller():
    with pytest.raises(
        ValueError, match="account 1 needs its peak for a drawdown rule, found none"
    ):
        drawdown_tier(account("1"), CLOSING)


def test_start_capital_is_the_first_peak():
    assert funded(CLOSING, "2500").peak == D(2500)
    assert funded(make_rules()).peak is None


def ask(state, intent, rules=WARN_STOP):
    market = quote("100", intent.symbol)
    return step(state, OrderAsked(T0, "o1", intent, market), rules)


def test_new_exposure_is_refused_at_the_limit():
    outcome = ask(fallen("800"), buy("1"))

    assert [str(denial) for denial in outcome.denials] == [
        "DRAWDOWN_ABOVE_LIMIT drawdown=20 limit=20 peak=1000.00"
    ]
    assert ask(fallen("800.01"), buy("1")).denials == ()


def test_equity_is_that_at_the_orders_marks():
    # Marked at 80 before, the order's quote says 100: no loss.
    state = fallen("1000", holding("10", "100", leverage=10), XUSDT="80")
    assert ask(state, buy("1", leverage=10)).denials == ()


def test_adding_and_flipping_are_refused_and_reductions_are_not():
    state = fallen("800", holding("2", "100"), XUSDT="100")

    assert ask(state, buy("1")).denials[0].code == "DRAWDOWN_ABOVE_LIMIT"
    assert ask(state, sell("3")).denials[0].code == "DRAWDOWN_ABOVE_LIMIT"
    assert ask(state, sell("2")).denials == ()
    assert ask(state, sell("1", reduce_only=True)).denials == ()


def test_with_the_closing_tier_alone_nothing_is_opened_beyond_it():
    rules = make_rules(acts_between_rounds=True, drawdown_close_pct=D(30))

    assert ask(fallen("700"), buy("1"), rules).denials[0].code == "DRAWDOWN_ABOVE_LIMIT"
    assert ask(fallen("701"), buy("1"), rules).denials == ()


def test_a_warning_refuses_nothing():
    assert ask(fallen("900"), buy("1"), make_rules(drawdown_warn_pct=D(10))).denials == ()


def test_all_is_closed_at_the_takers_price_with_the_largest_loss_first():
    rules = replace(CLOSING, slippage_bps=D(10))
    state = fallen(
        "1000",
        holding("10", "100", "XUSDT", seq=1),
        holding("-10", "100", "YUSDT", seq=2),
        XUSDT="90",
        YUSDT="125",
    )

    # Equity 1000 - 100 - 250 = 650 is 35 % below 1000.
    outcome = step(state, MarksSeen(at(5), {}), rules)

    # Y is bought at 125 * 1.001 = 125.125, up to 125.13; X sold at 90 * .999 = 89.91.
    assert [
        (fill.trade_id, fill.price, fill.realised, fill.fee, fill.cause, fill.position_seq)
        for fill in outcome.fills
    ] == [
        ("dd-2-1", D("125.13"), D("-251.3"), D("0.62565"), FillCause.DRAWDOWN, 2),
        ("dd-1-1", D("89.91"), D("-100.9"), D("0.44955"), FillCause.DRAWDOWN, 1),
    ]
    # 1000 - 251.3 - 0.62565 - 100.9 - 0.44955
    assert outcome.state.wallet == D("646.7248")
    assert outcome.state.positions == {}
    assert [(line.cause_id, line.house) for line in outcome.postings if line.house] == [
        ("fill:1:3", House.CLEARING),
        ("fill:1:3", House.FEES),
        ("fill:1:4", House.CLEARING),
        ("fill:1:4", House.FEES),
    ]
    assert sum(line.amount for line in outcome.postings) == 0
    assert step(outcome.state, MarksSeen(at(6), {}), rules).fills == ()


def test_a_large_position_goes_in_pieces_of_the_largest_order():
    rules = replace(CLOSING, instruments=(spec(max_quantity=D(4)),))
    state = fallen("1000", holding("10", "100"), XUSDT="70")

    outcome = close_for_drawdown(state, rules, at=T0)

    assert outcome is not None
    assert [(fill.trade_id, fill.quantity) for fill in outcome.fills] == [
        ("dd-1-1", D(4)),
        ("dd-1-2", D(4)),
        ("dd-1-3", D(2)),
    ]


def test_orders_that_wait_are_cancelled_with_it():
    rules = replace(CLOSING, resting_orders=True)
    limit = buy("1", "YUSDT", kind=OrderKind.LIMIT, limit_price=D(90))
    state = rest(fallen("1000"), limit, rules)

    outcome = step(replace(state, wallet=D(700)), MarksSeen(T0, {}), rules)

    assert [(order.client_order_id, order.status) for order in outcome.orders] == [
        ("o1", OrderStatus.CANCELLED)
    ]
    assert outcome.state.orders == {}


def test_above_the_closing_tier_nothing_is_touched():
    state = fallen("1000", holding("10", "100"), XUSDT="70.01")
    outcome = step(state, MarksSeen(T0, {}), CLOSING)
    assert outcome.state == state


def test_liquidation_is_asked_first():
    # 60 behind 10 at 100 with 20x: at 94 nothing is left of it.
    state = fallen("60", holding("10", "100", leverage=20), XUSDT="94")

    outcome = step(state, MarksSeen(T0, {}), CLOSING)

    assert [fill.cause for fill in outcome.fills] == [FillCause.LIQUIDATION]


def test_a_bar_closes_at_its_last_mark():
    rules = replace(CLOSING, resting_orders=True)
    state = fallen("1000", holding("10", "100"), XUSDT="100")

    dipped = step(state, bar("100 100 60 80"), rules)
    fell = step(state, bar("100 100 60 69"), rules)

    # At 80 a fifth is lost, at 69 (nearly) a third; what it was in between is not asked.
    assert dipped.fills == ()
    assert [(fill.trade_id, fill.price) for fill in fell.fills] == [("dd-1-1", D(69))]
