"""Every refusal with its figures, and what is let through next to it."""

from __future__ import annotations

import pytest

from marketdata.domain.facts import Quote
from tests.trading.builders import T0, D, buy, funded, make_rules, play, quote, sell, spec
from trading.domain.engine import step
from trading.domain.events import MarksSeen, OrderAsked
from trading.domain.intents import Exits, OrderIntent
from trading.domain.margin import account_figures
from trading.domain.outcome import Outcome
from trading.domain.rules import BookRules
from trading.domain.state import AccountState

RULES = make_rules()


def ask(
    intent: OrderIntent,
    *,
    rules: BookRules = RULES,
    state: AccountState | None = None,
    market: Quote | None = None,
) -> Outcome:
    event = OrderAsked(T0, "o1", intent, market or quote("100", intent.symbol))
    return step(state or funded(rules), event, rules)


def refusal(intent: OrderIntent, **given) -> str:
    outcome = ask(intent, **given)
    assert len(outcome.denials) == 1
    assert outcome.orders[0].status == "DENIED"
    assert outcome.orders[0].reserved == 0
    return str(outcome.denials[0])


def long_position(rules: BookRules = RULES, *, quantity: str = "10", leverage: int = 1):
    state, _ = play(funded(rules), rules, (buy(quantity, leverage=leverage), quote("100")))
    return state


def test_an_order_within_all_rules_is_accepted_and_reserves_what_it_needs():
    outcome = ask(buy("10", leverage=2))
    assert outcome.denials == ()
    # margin 1000/2 = 500 and the fee of 1000 * .0005 = .5
    assert outcome.orders[0].reserved == D("500.5")
    assert outcome.orders[0].expected_price == D(100)
    assert account_figures(outcome.state).free_margin == D("9499.5")
    assert all(check.passed for check in outcome.checks)


def test_an_unknown_symbol():
    assert refusal(buy("1", "DOGE")) == "UNKNOWN_SYMBOL known=XUSDT,YUSDT,ZUSDT symbol=DOGE"


def test_a_symbol_without_a_quote():
    outcome = step(funded(RULES), OrderAsked(T0, "o1", buy("1"), None), RULES)
    assert str(outcome.denials[0]) == "NO_QUOTE symbol=XUSDT"


@pytest.mark.parametrize(
    ("leverage", "words"),
    [
        (21, "LEVERAGE_ABOVE_LIMIT asked=21 max=20"),
        (10**9, "LEVERAGE_ABOVE_LIMIT asked=1000000000 max=20"),
        (0, "LEVERAGE_BELOW_ONE asked=0 min=1"),
        (-3, "LEVERAGE_BELOW_ONE asked=-3 min=1"),
    ],
)
def test_leverage_outside_its_limits(leverage: int, words: str):
    assert refusal(buy("1", leverage=leverage)) == words


def test_the_instruments_own_leverage_limit_counts_too():
    rules = make_rules(instruments=(spec(max_leverage=3),))
    assert refusal(buy("1", leverage=4), rules=rules) == "LEVERAGE_ABOVE_LIMIT asked=4 max=3"


def test_a_symbols_own_leverage_limit_counts_too():
    rules = make_rules(leverage_limits=(("XUSDT", 3),))

    assert refusal(buy("1", leverage=4), rules=rules) == "LEVERAGE_ABOVE_LIMIT asked=4 max=3"
    assert ask(buy("1", leverage=3), rules=rules).denials == ()
    assert ask(buy("1", "YUSDT", leverage=20), rules=rules).denials == ()


@pytest.mark.parametrize("quantity", ["0", "-1", "0.0005", "1.0005"])
def test_a_quantity_off_the_step(quantity: str):
    assert refusal(buy(quantity)) == f"QUANTITY_BELOW_STEP asked={quantity} step=0.001"


def test_a_quantity_outside_the_instruments_range():
    rules = make_rules(instruments=(spec(min_quantity=D("0.1"), max_quantity=D(50)),))
    assert refusal(buy("0.099"), rules=rules) == "BELOW_MIN_QUANTITY asked=0.099 min=0.1"
    assert refusal(buy("50.001"), rules=rules) == "ABOVE_MAX_QUANTITY asked=50.001 max=50"


def test_too_small_a_notional():
    # .049 * 100 = 4.90 of 5
    assert refusal(buy("0.049")) == "BELOW_MIN_NOTIONAL min=5 notional=4.90"
    assert ask(buy("0.05")).denials == ()


def test_a_reduce_only_order_may_be_as_small_as_it_likes():
    reduce = sell("0.001", reduce_only=True)
    assert ask(reduce, state=long_position()).denials == ()


def test_reduce_only_needs_an_opposite_position():
    assert refusal(sell("1", reduce_only=True)) == "NO_POSITION symbol=XUSDT"
    assert refusal(buy("1", reduce_only=True), state=long_position()) == "NO_POSITION symbol=XUSDT"


def test_reduce_only_never_increases():
    words = refusal(sell("11", reduce_only=True), state=long_position())
    assert words == "REDUCE_ONLY_WOULD_INCREASE asked=11 position=10"


def test_two_waiting_reduces_cannot_close_the_same_position_twice():
    state = ask(sell("6", reduce_only=True), state=long_position()).state
    event = OrderAsked(T0, "o2", sell("6", reduce_only=True), quote("100"))
    outcome = step(state, event, RULES)
    assert str(outcome.denials[0]) == "REDUCE_ONLY_WOULD_INCREASE asked=6 position=4"


def test_no_shorts_where_the_book_allows_none():
    rules = make_rules(allow_short=False)
    assert refusal(sell("1"), rules=rules) == "SHORTING_NOT_ALLOWED symbol=XUSDT"
    held = long_position(rules)
    assert refusal(sell("11"), rules=rules, state=held) == "SHORTING_NOT_ALLOWED symbol=XUSDT"
    assert ask(sell("10"), rules=rules, state=held).denials == ()


def test_no_second_entry_without_pyramiding():
    rules = make_rules(allow_pyramiding=False)
    held = long_position(rules)
    words = "PYRAMIDING_NOT_ALLOWED position=10 symbol=XUSDT"
    assert refusal(buy("1"), rules=rules, state=held) == words
    assert ask(sell("1"), rules=rules, state=held).denials == ()


def test_adding_keeps_the_positions_leverage():
    held = long_position(leverage=3)
    words = "LEVERAGE_CONFLICT asked=2 position=3"
    assert refusal(buy("1", leverage=2), state=held) == words
    # A flip starts a new position, at its own leverage.
    assert ask(sell("11", leverage=2), state=held).denials == ()


def test_too_many_positions():
    rules = make_rules(max_open_positions=1)
    held = long_position(rules)
    words = "TOO_MANY_POSITIONS max=1 open=2"
    assert refusal(buy("1", "YUSDT"), rules=rules, state=held) == words
    assert ask(buy("1"), rules=rules, state=held).denials == ()


def test_a_waiting_order_counts_as_a_position():
    rules = make_rules(max_open_positions=1)
    waiting = ask(buy("1"), rules=rules).state
    outcome = step(waiting, OrderAsked(T0, "o2", buy("1", "YUSDT"), quote("100", "YUSDT")), rules)
    assert str(outcome.denials[0]) == "TOO_MANY_POSITIONS max=1 open=2"


def test_one_positions_share_of_the_equity():
    rules = make_rules(max_position_size_pct=D(30), fee_bps_taker=D(0))
    # 30 * 100 = 3000 of 10000 is 30 %
    assert ask(buy("30"), rules=rules).denials == ()
    words = "POSITION_SHARE_ABOVE_LIMIT max=30 share=30.01"
    assert refusal(buy("30.01"), rules=rules) == words
    # What is held counts: 20 + 11 = 31 %.
    held = long_position(rules, quantity="20")
    assert refusal(buy("11"), rules=rules, state=held).endswith("max=30 share=31")


def test_all_margin_over_the_equity():
    rules = make_rules(max_margin_usage_pct=D(40), fee_bps_taker=D(0))
    held = long_position(rules, quantity="30")
    words = "MARGIN_USAGE_ABOVE_LIMIT max=40 usage=41"
    assert refusal(buy("11", "YUSDT"), rules=rules, state=held) == words


def test_too_little_free_margin():
    # margin 200*100/2 = 10000 and a fee of 10 against 10000
    assert refusal(buy("200", leverage=2)) == "INSUFFICIENT_MARGIN free=10000.00 needed=10010.00"


def test_the_spread_and_the_fee_are_part_of_what_is_needed():
    # Bought at 101, marked at 100, 1x: 99 * 100 margin, 99 lost on the spread, fee 9999 * .0005 = 4.9995.
    market = quote("100", spread="2")
    outcome = ask(buy("99"), market=market)
    checks = {check.rule.value: check for check in outcome.checks}
    assert checks["INSUFFICIENT_MARGIN"].value == "10003.9995"
    assert checks["INSUFFICIENT_MARGIN"].passed is False
    assert ask(buy("98"), market=market).denials == ()


def test_the_margin_buffer_multiplies_the_margin():
    # At 1.2 an order of margin 8000 needs 9600 + fee 4; one of 8400 needs 10080 + 4.2.
    rules = make_rules(margin_buffer=D("1.2"))
    assert ask(buy("80"), rules=rules).denials == ()
    words = "INSUFFICIENT_MARGIN free=10000.00 needed=10084.20"
    assert refusal(buy("84"), rules=rules) == words


def test_losses_of_other_positions_eat_the_free_margin():
    state, _ = play(funded(RULES), RULES, (buy("90", "YUSDT", leverage=2), quote("100", "YUSDT")))
    # At 50 the position lost 4500: equity 10000 - 4.5 - 4500, margin 90*50/2 = 2250, free 3245.5
    state = step(state, MarksSeen(T0, {"YUSDT": D(50)}), RULES).state
    assert account_figures(state).free_margin == D("3245.5")
    words = refusal(buy("33"), state=state)
    assert words == "INSUFFICIENT_MARGIN free=3245.50 needed=3301.65"


def test_closing_is_never_refused_for_margin():
    # 190 at 2x, fee 9.5; at 40 it lost 11400: equity -1409.5.
    state, _ = play(funded(RULES), RULES, (buy("190", leverage=2), quote("100")))
    outcome = ask(sell("190", leverage=2), state=state, market=quote("40"))
    assert outcome.denials == ()
    assert outcome.orders[0].reserved == 0
    # One more would open a short: margin 1 * 40 / 2 and a fee of 191 * 40 * .0005.
    words = refusal(sell("191", leverage=2), state=state, market=quote("40"))
    assert words == "INSUFFICIENT_MARGIN free=-1409.50 needed=23.82"


def test_shares_of_no_equity_are_not_told():
    state, _ = play(funded(RULES), RULES, (buy("190", leverage=2), quote("100")))
    checks = ask(sell("191", leverage=2), state=state, market=quote("40")).checks
    assert [(check.rule.value, check.value) for check in checks if not check.passed] == [
        ("INSUFFICIENT_MARGIN", "23.82"),
        ("POSITION_SHARE_ABOVE_LIMIT", None),
        ("MARGIN_USAGE_ABOVE_LIMIT", None),
    ]


def test_a_flip_may_use_the_margin_that_it_frees():
    # Long 90 at 1x leaves 995.5 free of 9995.5; selling 180 frees 9000 and needs 9000 + fee 9.
    state = long_position(quantity="90")
    assert account_figures(state.with_marks({"XUSDT": D(100)})).free_margin == D("995.5")
    assert ask(sell("180"), state=state).denials == ()
    words = refusal(sell("190"), state=state)
    assert words == "INSUFFICIENT_MARGIN free=9995.50 needed=10009.50"


def test_a_position_beyond_what_money_can_hold():
    rules = make_rules(instruments=(spec(max_leverage=20),))
    state = funded(rules, "1000000000")
    words = refusal(buy("10000000.001", leverage=20), rules=rules, state=state)
    assert words == "ABOVE_MAX_NOTIONAL max=1000000000.00 notional=1000000000.10"


@pytest.mark.parametrize(
    ("exits", "words"),
    [
        (Exits(stop_loss=D(101)), "exit=stop_loss level=101 price=100"),
        (Exits(stop_loss=D(100)), "exit=stop_loss level=100 price=100"),
        (Exits(take_profit=D(99)), "exit=take_profit level=99 price=100"),
        (Exits(stop_loss=D(0)), "exit=stop_loss level=0 price=100"),
    ],
)
def test_exits_on_the_wrong_side_of_a_long(exits: Exits, words: str):
    assert refusal(buy("1", exits=exits)) == f"EXITS_ON_WRONG_SIDE {words}"


def test_exits_of_a_short_are_mirrored():
    good = Exits(stop_loss=D(110), take_profit=D(90))
    assert ask(sell("1", exits=good)).denials == ()
    assert refusal(sell("1", exits=Exits(stop_loss=D(90)))).startswith("EXITS_ON_WRONG_SIDE")


def test_an_exit_out_of_any_range():
    words = "EXITS_OUT_OF_RANGE exit=take_profit level=10001 max=10000"
    assert refusal(buy("1", exits=Exits(take_profit=D(10001)))) == words


def test_all_rules_are_told_even_when_the_first_fails():
    outcome = ask(buy("200", leverage=30))
    failed = [check.rule.value for check in outcome.checks if not check.passed]
    assert failed[0] == "LEVERAGE_ABOVE_LIMIT"
    assert outcome.denials[0].code == "LEVERAGE_ABOVE_LIMIT"
    assert {"POSITION_SHARE_ABOVE_LIMIT", "INSUFFICIENT_MARGIN"} <= {
        check.rule.value for check in outcome.checks
    }


def test_waiting_orders_of_one_side_are_counted_as_filled():
    # Long 10 at 1x. A first sell of 15 opens 5 short (500 + fee .75 less the 1000 it frees: reserve 0).
    # A second sell of 10 can close nothing more: it opens 10 short, 1000 and a fee of .5.
    state = ask(sell("15"), state=long_position()).state
    outcome = step(state, OrderAsked(T0, "o2", sell("10"), quote("100")), RULES)
    assert outcome.orders[0].reserved == D("1000.5")
