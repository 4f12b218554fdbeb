"""What an order that would rest is refused for, and how it is put on tick and step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.builders import D, buy, funded, make_rules, quote, sell, spec
from tests.trading.resting import holding, rest
from trading.domain.intents import Exits, OrderKind, Side, TimeInForce
from trading.domain.margin import account_figures
from trading.domain.resting.arrival import arrival_report
from trading.domain.resting.asking import check_resting
from trading.domain.risk import check_order
from trading.domain.sizing import smallest_order

RULES = make_rules(slippage_bps=D(10), fee_bps_maker=D(2))
WIDE = quote("100", spread="0.2")
LIMIT, STOP = OrderKind.LIMIT, OrderKind.STOP_MARKET
TARGET, TRAIL = OrderKind.TAKE_PROFIT_MARKET, OrderKind.TRAILING_STOP


def refusal(intent, state=None, market=WIDE) -> str:
    _, verdict = check_resting(state or funded(RULES), intent, market, RULES)
    assert verdict.denial is not None
    assert not all(check.passed for check in verdict.checks)
    return str(verdict.denial)


def fields(kind: OrderKind, price: str | None = None, **more) -> dict:
    name = "limit_price" if kind is LIMIT else "trigger_price"
    return {"kind": kind, **({} if price is None else {name: D(price)}), **more}


@pytest.mark.parametrize(
    ("intent", "words"),
    [
        (buy("1", **fields(LIMIT)), "INVALID_ORDER field=limit_price found=None"),
        (buy("1", **fields(LIMIT, "NaN")), "INVALID_ORDER field=limit_price found=NaN"),
        (buy("1", **fields(LIMIT, "-1")), "INVALID_ORDER field=limit_price found=-1"),
        (buy("1", **fields(LIMIT, "10001")), "INVALID_ORDER field=limit_price found=10001"),
        (buy("1", **fields(LIMIT, "9", trigger_price=D(1))), "INVALID_ORDER field=trigger_price"),
        (buy("1", **fields(STOP)), "INVALID_ORDER field=trigger_price found=None"),
        (buy("1", **fields(STOP, "Infinity")), "INVALID_ORDER field=trigger_price found=Infinity"),
        (buy("1", **fields(TRAIL)), "INVALID_ORDER field=callback_rate found=None"),
        (sell("1", **fields(TRAIL, callback_rate=D(21))), "INVALID_ORDER field=callback_rate"),
        (sell("1", **fields(TRAIL, callback_rate=D("NaN"))), "INVALID_ORDER field=callback_rate"),
        (
            buy("1", **fields(STOP, "110", time_in_force=TimeInForce.IOC)),
            "INVALID_ORDER field=time_in_force found=IOC wanted=none without a limit price",
        ),
        (buy("1", **fields(LIMIT, "9", close_position=True)), "INVALID_ORDER field=close_position"),
        (buy("NaN", **fields(LIMIT, "9")), "INVALID_SIZE field=quantity found=NaN"),
        (buy("1E+40", **fields(LIMIT, "9")), "INVALID_SIZE field=quantity found=1E+40"),
        (buy("0.0001", **fields(LIMIT, "99")), "QUANTITY_BELOW_STEP"),
        (buy("0.01", **fields(LIMIT, "99")), "BELOW_MIN_NOTIONAL min=5 notional=0.99"),
        (buy("0.01", **fields(STOP, "110")), "BELOW_MIN_NOTIONAL min=5 notional=1.10"),
        (buy("1", leverage=1000, **fields(STOP, "110")), "LEVERAGE_ABOVE_LIMIT"),
        (buy("101.5", **fields(LIMIT, "99")), "INSUFFICIENT_MARGIN free=10000.00"),
        (
            buy("1", **fields(LIMIT, "100.1", time_in_force=TimeInForce.POST_ONLY)),
            "POST_ONLY_WOULD_TAKE limit=100.1 price=100.1",
        ),
        (buy("1", **fields(STOP, "100.1")), "TRIGGER_WOULD_FIRE_AT_ONCE price=100.1 trigger=100.1"),
        (sell("1", **fields(STOP, "99.9")), "TRIGGER_WOULD_FIRE_AT_ONCE price=99.9 trigger=99.9"),
        (buy("1", **fields(TARGET, "101")), "TRIGGER_WOULD_FIRE_AT_ONCE price=100.1 trigger=101"),
        (sell("1", **fields(TARGET, "99")), "TRIGGER_WOULD_FIRE_AT_ONCE price=99.9 trigger=99"),
        (
            sell("1", **fields(TRAIL, callback_rate=D(1), activation_price=D(99))),
            "TRIGGER_WOULD_FIRE_AT_ONCE price=99.9 trigger=99",
        ),
        (sell("1", reduce_only=True, **fields(STOP, "90")), "NO_POSITION symbol=XUSDT"),
        (sell("1", reduce_only=True, **fields(LIMIT, "110")), "NO_POSITION symbol=XUSDT"),
        (sell("0", **fields(STOP, "90", close_position=True)), "NO_POSITION symbol=XUSDT"),
        (
            buy("1", exits=Exits(stop_loss=D(120)), **fields(STOP, "110")),
            "EXITS_ON_WRONG_SIDE exit=stop_loss level=120 price=110",
        ),
        (
            buy("1", exits=Exits(stop_loss=D("99.5")), **fields(LIMIT, "99")),
            "EXITS_ON_WRONG_SIDE exit=stop_loss level=99.5 price=99",
        ),
        (
            buy("1", exits=Exits(callback_rate=D("0.05")), **fields(LIMIT, "99")),
            "EXITS_OUT_OF_RANGE exit=callback_rate level=0.05 max=20 min=0.1",
        ),
        (buy("1", "NOPE", **fields(LIMIT, "9")), "UNKNOWN_SYMBOL"),
    ],
)
def test_refusals(intent, words):
    assert refusal(intent).startswith(words)


def test_a_symbol_without_a_quote():
    assert refusal(buy("1", **fields(LIMIT, "9")), market=None) == "NO_QUOTE symbol=XUSDT"


def test_prices_go_on_the_tick_away_from_aggression_and_quantities_down():
    bought, _ = check_resting(funded(RULES), buy("1.0009", **fields(LIMIT, "98.019")), WIDE, RULES)
    sold, _ = check_resting(funded(RULES), sell("1", **fields(LIMIT, "102.011")), WIDE, RULES)
    stop, _ = check_resting(funded(RULES), sell("1", **fields(STOP, "95.016")), WIDE, RULES)

    assert (bought.limit_price, bought.quantity) == (D("98.01"), D("1.000"))
    assert sold.limit_price == D("102.02")
    assert stop.trigger_price == D("95.02")


def test_a_limit_order_sets_aside_its_margin_at_its_limit_and_the_takers_fee():
    state = rest(funded(RULES), buy("10", leverage=5, **fields(LIMIT, "90")), RULES)
    # 10 * 90 / 5 = 180 and .0005 * 900 = .45; the gain from 100 down to 90 does not count.
    assert state.orders["o1"].reserved == D("180.45")


def test_orders_that_wait_for_a_trigger_set_nothing_aside_and_hinder_no_other():
    state = holding(RULES, "10", symbol="XUSDT")
    for number, price in enumerate(("90", "91")):
        stop = sell("10", reduce_only=True, **fields(STOP, price))
        state = rest(state, stop, RULES, order_id=f"s{number}")
    before = account_figures(holding(RULES, "10"))

    assert account_figures(state) == before
    fitted, verdict = check_resting(
        state, sell("10", reduce_only=True, **fields(LIMIT, "110")), WIDE, RULES
    )
    assert verdict.denial is None
    assert fitted.quantity == D(10)


def test_close_position_takes_no_size_of_its_own():
    fitted, verdict = check_resting(
        holding(RULES, "7"), sell("0", **fields(STOP, "90", close_position=True)), WIDE, RULES
    )
    assert verdict.denial is None
    assert (fitted.quantity, fitted.reduce_only) == (D(7), True)


@pytest.mark.parametrize(
    ("intent", "price", "quantity", "is_final"),
    [
        # Ask 100.1 and 10 bps make 100.2001, up to 100.21; the limit caps what is paid.
        (buy("1"), "100.21", "1", True),
        (buy("1", **fields(LIMIT, "101")), "100.21", "1", True),
        (buy("1", **fields(LIMIT, "100.15")), "100.15", "1", True),
        (buy("1", **fields(LIMIT, "100.1", time_in_force=TimeInForce.IOC)), "100.1", "1", True),
        (sell("1", **fields(LIMIT, "99.85")), "99.85", "1", True),
        (buy("1", **fields(LIMIT, "100.09")), "100", "0", False),
        (buy("1", **fields(LIMIT, "100.09", time_in_force=TimeInForce.IOC)), "100", "0", True),
        (sell("1", **fields(STOP, "90")), "100", "0", False),
    ],
)
def test_what_the_paper_venue_says_on_arrival(intent, price, quantity, is_final):
    report = arrival_report("o1", intent, WIDE, RULES)
    assert (report.price, report.quantity, report.is_final) == (D(price), D(quantity), is_final)
    assert not report.is_maker
    assert report.fee == (D(quantity) * D(price) * D("0.0005")).quantize(D("1E-8"))


@given(
    price=st.integers(1, 10_000_000).map(lambda n: D(n) / 100),
    step=st.sampled_from(["0.001", "0.1", "1", "10"]),
    least=st.sampled_from(["0.001", "0.5", "3"]),
    value=st.sampled_from(["0", "5", "20", "100"]),
    side=st.sampled_from(list(Side)),
)
def test_the_smallest_order_passes_and_one_step_less_does_not(price, step, least, value, side):
    symbol = spec(step=D(step), min_quantity=D(least), min_notional=D(value))
    rules = make_rules(instruments=(symbol,), slippage_bps=D(10))
    market = quote(price)

    smallest = smallest_order(symbol, market, rules, side=side)

    def broken(quantity) -> set[str]:
        order = buy if side is Side.BUY else sell
        checks = check_order(
            funded(rules, "1000000000"), order(str(quantity)), market, rules
        ).checks
        about_size = {"QUANTITY_BELOW_STEP", "BELOW_MIN_QUANTITY", "BELOW_MIN_NOTIONAL"}
        return {check.rule.value for check in checks if not check.passed} & about_size

    assert broken(smallest.quantity) == set()
    assert broken(smallest.quantity - symbol.step) != set()


def test_the_smallest_order_of_the_venues_bitcoin():
    symbol = spec("BTCUSDT", tick=D("0.1"), min_notional=D(100))
    rules = make_rules(instruments=(symbol,))
    smallest = smallest_order(symbol, quote("60000", "BTCUSDT"), rules)
    assert (smallest.quantity, smallest.notional) == (D("0.002"), D(120))
