from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.baselines import BASELINES
from agents.domain.baselines.signals import ema, rsi
from agents.domain.decisions import Action, ParseStatus
from agents.domain.parsing import parse_decision
from tests.agents.contexts import (
    LAST,
    SPECS,
    make_account,
    make_context,
    make_market,
    make_position,
    make_rules,
    make_symbol,
)

RISING = [Decimal(58000) + 40 * index for index in range(60)]
FALLING = [Decimal(62000) - 40 * index for index in range(60)]


def decide(name: str, **changes):
    context = make_context(**changes)
    read = parse_decision(BASELINES[name](context), symbols=context.rules.symbols)
    assert read.status is ParseStatus.VALID, read.error
    return read


def test_the_mean_of_the_seed_and_the_smoothing_are_ema():
    # Seed (1+2+3)/3 = 2; then 2 + (4 - 2) * 2/4 = 3.
    assert ema([Decimal(n) for n in (1, 2, 3, 4)], 3) == 3
    assert ema([Decimal(1)] * 2, 3) is None


def test_rsi_is_wilders():
    # Moves +1 -1 +1 (period 3): gain 2/3, loss 1/3; then +1: gain (2/3*2+1)/3 = 7/9, loss 2/9: 7/9 = 77.78 %.
    closes = [Decimal(n) for n in (10, 11, 10, 11, 12)]

    assert rsi(closes, 3) == Decimal("77.7777777778")
    assert rsi(closes[:3], 3) is None
    assert rsi([Decimal(5)] * 20, 14) is None


def test_cash_never_trades():
    assert decide("cash").instructions == ()


def test_buy_and_hold_buys_equal_parts_at_one_times():
    read = decide("buy_and_hold")

    # 80 % of 10000 over 3 symbols = 2666.67, below 30 % = 3000; with 5 % of room: 2533.33.
    assert [(wish.symbol, wish.notional, wish.leverage) for wish in read.instructions] == [
        (symbol, Decimal("2533.33"), 1) for symbol in sorted(SPECS)
    ]
    assert "2533.33 USDT" in read.instructions[0].reasoning


def test_buy_and_hold_then_holds():
    read = decide("buy_and_hold", account=make_account(make_position()), round_number=2)

    assert [wish.action for wish in read.instructions] == [Action.HOLD]
    # 50 on a cost of 0.05 * 59000 = 2950 is 1.69 %.
    assert "+1.69 %" in read.summary


def test_buy_and_hold_leaves_out_what_is_below_the_smallest_order():
    # A third of 80 % of 300, less 5 %, is 76 USDT: below BTC's 100 and below one SOL step of 150, above ETH's 20.
    read = decide("buy_and_hold", account=make_account(equity="300"))

    assert [wish.symbol for wish in read.instructions] == ["ETHUSDT"]
    assert decide("buy_and_hold", account=make_account(equity="1")).instructions == ()


def test_buy_and_hold_opens_no_more_positions_than_allowed():
    read = decide("buy_and_hold", rules=make_rules(max_open_positions=2))

    assert len(read.instructions) == 2


def test_trend_goes_with_the_averages_and_says_why():
    market = make_market(make_symbol("BTCUSDT", RISING), make_symbol("ETHUSDT", FALLING))
    up, down = decide("trend", market=market).instructions

    assert (up.action, up.symbol) == (Action.OPEN_LONG, "BTCUSDT")
    assert (down.action, down.symbol) == (Action.OPEN_SHORT, "ETHUSDT")
    # A straight line of +40 a candle lags by 9.5 * 40 = 380 from the last close 60360: 59980.
    assert "BTC closed 0.63 % above its 20-period average (59980.0)" in up.reasoning
    assert up.stop_loss is not None
    assert up.stop_loss < Decimal(LAST["BTCUSDT"])
    assert down.stop_loss > Decimal(LAST["ETHUSDT"])


def test_trend_leaves_when_the_averages_have_crossed():
    market = make_market(make_symbol("BTCUSDT", FALLING))
    read = decide("trend", market=market, account=make_account(make_position()))

    assert [wish.action for wish in read.instructions] == [Action.CLOSE, Action.OPEN_SHORT]
    assert read.summary == "Leaving BTCUSDT. Going short in BTCUSDT."


def test_trend_keeps_what_goes_its_way():
    market = make_market(make_symbol("BTCUSDT", RISING))
    read = decide("trend", market=market, account=make_account(make_position()))

    assert [wish.action for wish in read.instructions] == [Action.HOLD]


def test_trend_waits_for_its_averages_to_warm_up():
    read = decide("trend", market=make_market(make_symbol("BTCUSDT", RISING[:49])))

    assert (read.instructions, read.summary) == (
        (),
        "No symbol shows a clear trend: waiting.",
    )


def test_trend_takes_the_averages_that_came_with_the_market():
    view = make_symbol("BTCUSDT", ["60000"] * 5, ema20=("59000",), ema50=("58000",))
    read = decide("trend", market=make_market(view))

    assert "20-period average (59000.0)" in read.instructions[0].reasoning


def test_no_shorts_where_they_are_not_allowed():
    market = make_market(make_symbol("BTCUSDT", FALLING))

    assert decide("trend", market=market, rules=make_rules(allow_short=False)).instructions == ()


@pytest.mark.parametrize(
    ("rsi14", "action"),
    [("25.0", Action.OPEN_LONG), ("75.0", Action.OPEN_SHORT), ("50.0", None)],
)
def test_mean_reversion_bets_against_extremes(rsi14, action):
    market = make_market(make_symbol("BTCUSDT", rsi14=(rsi14,)))
    wishes = decide("mean_reversion", market=market).instructions

    assert [wish.action for wish in wishes] == ([action] if action else [])
    if action:
        assert f"RSI on 1m is {rsi14}" in wishes[0].reasoning


@pytest.mark.parametrize(
    ("side", "rsi14", "action"),
    [
        ("LONG", "50.0", Action.CLOSE),
        ("LONG", "49.9", Action.HOLD),
        ("SHORT", "49.9", Action.CLOSE),
        ("SHORT", "60", Action.HOLD),
    ],
)
def test_mean_reversion_leaves_at_the_middle(side, rsi14, action):
    market = make_market(make_symbol("BTCUSDT", rsi14=(rsi14,)))
    account = make_account(make_position(side=side))

    wishes = decide("mean_reversion", market=market, account=account).instructions

    assert [wish.action for wish in wishes] == [action]


def test_random_draws_the_same_lots_from_the_same_seed():
    first = [BASELINES["random"](make_context(round_number=n)) for n in range(1, 40)]
    again = [BASELINES["random"](make_context(round_number=n)) for n in range(1, 40)]
    other = [
        BASELINES["random"](make_context(round_number=n, seed_material="x")) for n in range(1, 40)
    ]

    assert first == again
    assert first != other


def test_random_trades_in_some_rounds_and_says_it_was_by_lot():
    reads = [decide("random", round_number=n) for n in range(1, 201)]
    trading = [read for read in reads if read.instructions]

    # 45 of 100 rounds trade; three standard deviations of 200 draws are 21.
    assert 69 <= len(trading) <= 111
    assert "by lot" in trading[0].instructions[0].reasoning


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_have_an_answer_to_an_empty_market(name):
    decide(name, market=make_market(make_symbol("BTCUSDT", [])))


prices = st.lists(st.integers(1000, 100_000), min_size=0, max_size=60)


@given(
    name=st.sampled_from(sorted(BASELINES)),
    btc=prices,
    eth=prices,
    equity=st.sampled_from(["0", "1", "50", "137.21", "10000", "250000000"]),
    held=st.sampled_from([None, "LONG", "SHORT"]),
    leverage=st.integers(1, 10),
    number=st.integers(1, 1000),
)
def test_baselines_keep_the_rules_they_can_see(name, btc, eth, equity, held, leverage, number):
    rules = make_rules(max_leverage=leverage, max_open_positions=2)
    account = make_account(*([make_position(side=held)] if held else []), equity=equity)
    market = make_market(make_symbol("BTCUSDT", btc), make_symbol("ETHUSDT", eth))
    context = make_context(rules=rules, account=account, market=market, round_number=number)

    text = BASELINES[name](context)
    read = parse_decision(text, symbols=rules.symbols)

    assert text == BASELINES[name](context)
    assert read.status is ParseStatus.VALID, read.error
    assert json.loads(text)["summary"]
    for wish in read.instructions:
        assert wish.reasoning
        if not wish.action.is_open:
            continue
        assert 1 <= wish.leverage <= leverage
        assert wish.notional >= SPECS[wish.symbol].min_notional
        # Initial margin = notional / leverage, at most 30 % of equity.
        assert wish.notional / wish.leverage <= Decimal(equity) * Decimal("0.3")
