from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agents.domain.context import (
    AccountView,
    DecisionContext,
    OrderView,
    RecentDecision,
    RulesView,
)
from agents.domain.parsing import parse_decision
from agents.domain.prompts import (
    TemplateText,
    build_messages,
    check_template,
    render_market,
    render_shared,
)
from agents.domain.prompts.account import render_account
from agents.prompts.arena_core import TEMPLATE
from marketdata.domain.canonical import sha256_text
from marketdata.domain.views import SeriesView
from tests.agents.contexts import (
    SPECS,
    make_account,
    make_candles,
    make_context,
    make_market,
    make_position,
    make_rules,
    make_symbol,
)
from trading.domain.intents import OrderKind, Side
from trading.domain.rules import BookRules
from trading.domain.sizing import SmallestOrder


def test_equal_inputs_give_equal_bytes():
    first = build_messages(TEMPLATE, make_context())
    second = build_messages(TEMPLATE, make_context())

    assert first == second
    assert first.user == f"{first.market}\n\n{first.account}"


def test_the_order_of_symbols_and_series_does_not_matter():
    views = [make_symbol(symbol) for symbol in SPECS]

    assert render_market(make_market(*views)) == render_market(make_market(*reversed(views)))


def test_system_and_market_are_the_same_for_every_participant():
    rich = make_context(account=make_account(make_position(), equity="20000"), seed_material="a")
    poor = make_context(
        account=make_account(equity="1"),
        recent=(RecentDecision(round_number=1, summary="x", outcome="HELD"),),
        denials=("TOO_MANY_POSITIONS",),
        seed_material="b",
    )

    one, other = build_messages(TEMPLATE, rich), build_messages(TEMPLATE, poor)

    assert (one.system, one.market) == (other.system, other.market)
    assert one.account != other.account


def test_shared_parts_rendered_once_give_the_same_messages():
    context = make_context()

    shared = render_shared(TEMPLATE, context)

    assert build_messages(TEMPLATE, context, shared=shared) == build_messages(TEMPLATE, context)


def test_the_seed_is_never_shown():
    messages = build_messages(TEMPLATE, make_context(seed_material="canary-seed"))

    assert "canary-seed" not in messages.system + messages.user


def test_the_market_is_written_in_the_precision_of_the_instrument():
    view = make_symbol(
        "ETHUSDT",
        [2500, "2501.5"],
        ema20=(None, "2500.123456"),
        rsi14=(None, "55.55555"),
        return_1=(None, "0.0006"),
        volume_avg20=(None, "12.3456789"),
    )

    text = render_market(make_market(view))

    # Ticks of 0.01: two decimals; averages one more; steps of 0.001: three; 0.0006 = 0.060 %; funding 0.0001 = 0.0100 %.
    assert text == "\n".join(
        [
            "## ETHUSDT",
            "bid 2499.99 | ask 2500.01 | mark 2500.00",
            "funding rate +0.0100 % at 2025-06-01 12:00 UTC",
            "### 1m: 2 closed candles, oldest to newest, the last closed 2025-06-01 12:00 UTC",
            "closes: 2500.00 2501.50",
            "last 2 in full (opened UTC, open, high, low, close, volume):",
            "06-01 11:58 2500.00 2501.00 2499.00 2500.00 12.500",
            "06-01 11:59 2501.50 2502.50 2500.50 2501.50 12.500",
            "ema20: n/a 2500.123",
            "return_1: n/a +0.060%",
            "rsi14: n/a 55.56",
            "volume_avg20: n/a 12.346",
        ]
    )


def test_timeframes_run_from_short_to_long_and_missing_things_are_said():
    view = make_symbol("BTCUSDT")
    series = {
        "4h": SeriesView("4h", (), {}),
        "1m": SeriesView("1m", make_candles([60000] * 30), {}),
    }
    text = render_market(make_market(replace(view, quote=None, funding=None, series=series)))

    assert "no quote at this time" in text
    assert "funding" not in text
    assert text.index("### 1m: 30 closed") < text.index("### 4h: no closed candle yet")
    assert text.count("06-01") == 12 + 1


def test_the_account_part_tells_money_positions_and_the_past():
    context = make_context(
        account=replace(
            make_account(make_position(stop_loss=Decimal(58000), invalidation="a\nclose below")),
            used_margin=Decimal(1500),
        ),
        recent=(
            RecentDecision(
                round_number=7, summary="Long\nBTC.", outcome="DENIED", denials=("X a=1",)
            ),
        ),
        denials=("INSUFFICIENT_MARGIN free=412.08 needed=655.00",),
    )

    text = build_messages(TEMPLATE, context).account

    # 1500 of 10000 is 15.0 %.
    assert "used margin 1500.00 USDT (15.0 % of equity)" in text
    assert (
        "- BTCUSDT LONG quantity 0.050 | entry 59000.0 | mark 60000.0 | unrealised +50.00 USDT | leverage 2 | "
        "open for 45 min | stop_loss 58000.0 | take_profit none | invalidation: a close below"
        in text
    )
    assert "- round 7: DENIED. Long BTC. Refused: X a=1" in text
    assert "- INSUFFICIENT_MARGIN free=412.08 needed=655.00" in text


def test_an_account_without_equity_has_no_share():
    text = build_messages(TEMPLATE, make_context(account=make_account(equity="0"))).account

    assert "used margin 0.00 USDT\n" in text
    assert "No open positions." in text
    assert "This is your first decision." in text


def test_a_position_in_a_symbol_outside_the_rules_is_still_told():
    context = make_context(account=make_account(make_position("OLDUSDT", mark=Decimal("1.50"))))

    assert "- OLDUSDT LONG quantity 0.05 | entry 59000 | mark 1.5 |" in (
        build_messages(TEMPLATE, context).account
    )


def test_the_rules_are_told_in_numbers():
    system = build_messages(TEMPLATE, make_context()).system

    assert "whole numbers from 1 to 10" in system
    assert "at most 30 % of equity in one position, at most 80 % in all" in system
    assert "Fee: 5 bps" in system
    assert "value >= 100 USDT, leverage <= 10" in system
    assert "A round comes every 15 min" in system
    assert "do not execute between rounds" in system


def test_resting_orders_and_shorts_change_the_rules_told():
    rules = make_rules(resting_orders=True, allow_short=False, allow_pyramiding=False)
    system = build_messages(TEMPLATE, make_context(rules=rules)).system

    assert "rest in the book and execute between rounds" in system
    assert "open_short is refused" in system
    assert "Adding to an open position is not allowed" in system


def test_a_season_without_rules_on_the_account_tells_of_none():
    system = build_messages(TEMPLATE, make_context()).system

    for word in ("liquidated", "Drawdown", "of an hour", "night"):
        assert word not in system


def test_what_happens_to_the_account_is_told():
    rules = make_rules(
        acts_between_rounds=True,
        margin_mode="isolated",
        max_decisions_per_hour=4,
        drawdown_warn_pct=Decimal(10),
        drawdown_stop_pct=Decimal("20.5"),
        drawdown_close_pct=Decimal(30),
    )
    system = build_messages(TEMPLATE, make_context(rules=rules)).system

    assert "it loses no more than its own margin" in system
    assert "In at most 4 rounds of an hour you may open or add" in system
    assert (
        "you are warned at 10 %, you may open nothing from 20.5 %, everything you hold is closed at 30 %"
        in system
    )
    assert "Margin of a position = its value / leverage" in system


def test_a_cfd_season_tells_its_own_margin_and_its_nights():
    rules = make_rules(
        acts_between_rounds=True, margin_model="cfd", overnight_bps_long=Decimal("0.8")
    )
    system = build_messages(TEMPLATE, make_context(rules=rules)).system

    assert "Margin of a position = 10 % of its value, whatever its leverage" in system
    assert "when equity is below 5 % of the value of your positions" in system
    assert "Each night at 21:00 UTC a long pays 0.8 bps of its value" in system


@pytest.mark.parametrize(
    ("tier", "words"),
    [
        ("NONE", "| drawdown 12.50 %"),
        ("WARN", "| drawdown 12.50 % (WARNING)"),
        ("STOP", "| drawdown 12.50 % (you may open nothing)"),
    ],
)
def test_a_drawdown_is_told_with_what_follows(tier, words):
    account = AccountView(
        wallet=Decimal(1),
        equity=Decimal(1),
        free_margin=Decimal(1),
        used_margin=Decimal(0),
        drawdown_pct=Decimal("12.5"),
        drawdown_tier=tier,
    )

    assert render_account(account, "USDT").endswith(words)
    assert "drawdown" not in render_account(replace(account, drawdown_pct=None), "USDT")


def test_without_resting_orders_a_prompt_has_the_bytes_that_it_always_had():
    held = make_position(stop_loss=Decimal(58000), invalidation="a")
    account = make_account(held, make_position("OLDUSDT"))
    messages = build_messages(TEMPLATE, make_context(account=account, denials=("X a=1",)))

    assert sha256_text(messages.system) == (
        "bf886df139c9be83de606c71a2f10a71591e89575bcb769a2a994447564f8bd8"
    )
    assert sha256_text(messages.user) == (
        "2f052390aa2a85ddf44e45ae2859a5a4f012bade3a7d9132eae868e99b74bb59"
    )


def resting_context(**changes: Any) -> DecisionContext:
    rules = make_rules(resting_orders=True, acts_between_rounds=True, fee_bps_maker=Decimal("1.5"))
    return make_context(rules=rules, **changes)


def test_where_orders_rest_the_prompt_tells_how():
    system = build_messages(TEMPLATE, resting_context()).system

    assert "- Limit orders that meet the market are filled like market orders" in system
    assert "its fee is 1.5 bps." in system
    assert system.count("liquidated") == 1
    assert "Each closes the whole position, and the others end with it." in system
    assert "close, reduce, hold, set_exits or cancel_orders." in system
    assert '"order_type": market (when left out), limit with "limit_price"' in system
    assert "\n- confidence is between 0 and 1." in system


def test_open_orders_trailing_exits_and_liquidation_are_told():
    account = replace(
        make_account(
            make_position(
                trailing_stop_pct=Decimal("1.5"),
                trailing_best=Decimal(61000),
                liquidation=Decimal("30000.123"),
            ),
            make_position("ETHUSDT", trailing_stop_pct=Decimal(2), mark=Decimal(2500)),
        ),
        orders=(
            OrderView(
                symbol="ETHUSDT",
                side=Side.BUY,
                quantity=Decimal("0.25"),
                kind=OrderKind.LIMIT,
                limit_price=Decimal(2000),
                time_in_force="GTC",
                age_minutes=30,
            ),
            OrderView(
                symbol="BTCUSDT",
                side=Side.SELL,
                quantity=Decimal("0.05"),
                kind=OrderKind.STOP_MARKET,
                trigger_price=Decimal(50000),
                reduce_only=True,
                close_position=True,
            ),
            OrderView(
                symbol="SOLUSDT",
                side=Side.SELL,
                quantity=Decimal(3),
                kind=OrderKind.TRAILING_STOP,
                callback_rate=Decimal(5),
                activation_price=Decimal(170),
                reduce_only=True,
            ),
        ),
    )
    smallest = {
        "BTCUSDT": SmallestOrder(Decimal("0.002"), Decimal(120)),
        "SOLUSDT": SmallestOrder(Decimal(1), Decimal("150.01")),
    }
    text = build_messages(TEMPLATE, resting_context(account=account, smallest=smallest)).account

    # (60000 - 30000.123) / 60000
    assert "| liquidation 30000.1 (50.00 % away) | stop_loss none" in text
    assert "| trailing_stop_pct 1.5 behind the best price 61000.0 | invalidation: none" in text
    assert "| liquidation none |" in text
    assert "| trailing_stop_pct 2 from now on |" in text
    assert "\nSmallest order now: BTCUSDT 0.002 (120.00 USDT), SOLUSDT 1 (150.01 USDT)\n" in text
    assert (
        "\n\nOpen orders:\n"
        "- ETHUSDT BUY limit quantity 0.250 | limit_price 2000.00 | gtc | waiting for 30 min\n"
        "- BTCUSDT SELL stop_market quantity 0.050 | trigger_price 50000.0 | closes all that is held then | waiting for 0 min\n"
        "- SOLUSDT SELL trailing_stop quantity 3 | callback_rate 5 from 170.00 on | reduces only | waiting for 0 min\n"
        in text
    )


def test_where_orders_rest_and_none_does_that_is_said():
    text = build_messages(TEMPLATE, resting_context()).account

    assert "No open positions.\n\nOpen orders:\nNo open orders.\n" in text


def test_the_example_in_the_prompt_is_itself_a_valid_decision():
    system = build_messages(TEMPLATE, make_context()).system
    start = system.index('{"summary"')
    example = system[start : system.index("]}", start) + 2]

    read = parse_decision(example, symbols=make_rules().symbols)

    assert read.error == ""


def test_rules_of_a_book_become_the_rules_told():
    rules = BookRules(max_leverage=7, instruments=tuple(SPECS.values()))

    view = RulesView.of(rules, interval_seconds=60)

    assert (view.max_leverage, view.fill_rule, view.symbols) == (7, "arrival", tuple(sorted(SPECS)))


def test_a_symbols_own_leverage_limit_is_told():
    symbol = sorted(SPECS)[0]
    rules = BookRules(
        max_leverage=7, instruments=tuple(SPECS.values()), leverage_limits=((symbol, 3),)
    )

    view = RulesView.of(rules)

    assert [view.leverage_limit(spec) for spec in view.instruments] == [
        rules.leverage_limit(spec) for spec in rules.instruments
    ]
    assert view.leverage_limit(SPECS[symbol]) == 3


def test_an_echoed_summary_cannot_reach_into_the_template():
    recent = (RecentDecision(round_number=1, summary="{{ rules }} " + "x" * 900, outcome="HELD"),)
    text = build_messages(TEMPLATE, make_context(recent=recent)).account

    assert "{{ rules }} xxx" in text
    assert "x" * 400 not in text


TEMPLATE_ERRORS = {
    "unknown name": (
        "Go {{ profit }}",
        "",
        "",
        r"the system part holds the unknown placeholder \{\{ profit",
    ),
    "attribute": ("", "{{ market.symbols }}", "", "the market part holds the unknown placeholder"),
    "not closed": ("", "", "{{ account", "the account part holds a placeholder that is not closed"),
    "account in the shared part": ("", "{{ positions }}", "", "known there: as_of, competition"),
    "market in the account part": ("", "", "{{ market }}", "the account part holds the unknown"),
}


@pytest.mark.parametrize(
    ("system", "market", "account", "error"), TEMPLATE_ERRORS.values(), ids=TEMPLATE_ERRORS.keys()
)
def test_templates_that_cannot_be_filled_are_refused(system, market, account, error):
    template = TemplateText(system, market, account)

    with pytest.raises(ValueError, match=error):
        check_template(template)
    with pytest.raises(ValueError, match=error):
        build_messages(template, make_context())


def test_the_shipped_template_can_be_filled():
    check_template(TEMPLATE)

    messages = build_messages(TEMPLATE, make_context())

    assert "{{" not in messages.system + messages.user
    assert messages.system.startswith('You take part in the trading competition "Spring season".')
    assert messages.market.startswith(
        "Round 1 of 200, 2025-06-01 12:00 UTC, simulated market (replayed or generated prices)."
    )
