"""From what somebody wishes to a stepped quantity."""

from __future__ import annotations

import pytest

from tests.trading.builders import T0, D, buy, funded, make_rules, play, quote, sell
from trading.domain.denials import Denial
from trading.domain.engine import step
from trading.domain.events import OrderAsked
from trading.domain.intents import OrderIntent, OrderKind, Side, TimeInForce, Wish, WishAction
from trading.domain.sizing import size_instruction

RULES = make_rules(default_leverage=2)


def wish(action: str = "OPEN_LONG", **fields) -> Wish:
    return Wish(action=WishAction(action), symbol="XUSDT", **fields)


def sized(uttered: Wish, *, state=None, market=None, rules=RULES) -> OrderIntent:
    found = size_instruction(state or funded(rules), uttered, market or quote("100"), rules)
    assert isinstance(found, OrderIntent), str(found)
    return found


def refused(uttered: Wish, **given) -> str:
    found = size_instruction(
        given.get("state") or funded(RULES), uttered, given.get("market") or quote("100"), RULES
    )
    assert isinstance(found, Denial)
    return str(found)


def test_a_quantity_is_rounded_down_to_the_step():
    order = sized(wish(quantity=D("1.2349"), leverage=5))
    assert (order.side, order.quantity, order.leverage) == (Side.BUY, D("1.234"), 5)


def test_a_notional_is_divided_by_the_expected_price():
    # A buyer pays 100.50: 1000 / 100.50 = 9.9502…
    order = sized(wish(notional=D(1000)), market=quote("100", spread="1"))
    assert order.quantity == D("9.950")
    # A seller gets 99.50: 10.0502…
    order = sized(wish("OPEN_SHORT", notional=D(1000)), market=quote("100", spread="1"))
    assert (order.side, order.quantity) == (Side.SELL, D("10.050"))


def test_a_margin_fraction_takes_its_part_of_the_free_margin_with_fee_and_spread():
    # One unit takes 100/2 margin + .5 spread + 100.5 * .0005 fee = 50.55025; 10000 / 50.55025 = 197.823…
    order = sized(wish(margin_fraction=D(1)), market=quote("100", spread="1"))
    assert order.quantity == D("197.822")
    half = sized(wish(margin_fraction=D("0.5")), market=quote("100", spread="1"))
    assert half.quantity == D("98.911")


@pytest.mark.parametrize("leverage", [1, 3, 20])
@pytest.mark.parametrize("buffer", ["1", "1.2"])
def test_the_whole_free_margin_fits(leverage: int, buffer: str):
    rules = make_rules(margin_buffer=D(buffer))
    market = quote("100", spread="1")
    order = sized(wish(margin_fraction=D(1), leverage=leverage), market=market, rules=rules)
    outcome = step(funded(rules), OrderAsked(T0, "o1", order, market), rules)
    assert outcome.denials == ()


def test_leverage_not_named_is_the_books_default_or_the_positions():
    assert sized(wish(quantity=D(1))).leverage == 2
    held, _ = play(funded(RULES), RULES, (buy("1", leverage=7), quote("100")))
    assert sized(wish(quantity=D(1)), state=held).leverage == 7
    assert sized(wish("OPEN_SHORT", quantity=D(1)), state=held).leverage == 2


def test_a_close_takes_the_whole_position_and_a_reduce_a_part():
    held, _ = play(funded(RULES), RULES, (sell("3", leverage=7), quote("100")))
    close = sized(wish("CLOSE"), state=held)
    assert (close.side, close.quantity, close.leverage, close.reduce_only) == (
        Side.BUY,
        D(3),
        7,
        True,
    )
    assert sized(wish("REDUCE", quantity=D("1.0007")), state=held).quantity == D("1")
    assert sized(wish("REDUCE", notional=D(150)), state=held).quantity == D("1.5")


def test_closing_nothing():
    assert refused(wish("CLOSE")) == "NO_POSITION symbol=XUSDT"
    assert refused(wish("REDUCE", quantity=D(1))) == "NO_POSITION symbol=XUSDT"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "found=nothing wanted=exactly one of quantity, notional, margin_fraction"),
        (
            {"quantity": D(1), "notional": D(1)},
            "found=quantity,notional wanted=exactly one of quantity, notional, margin_fraction",
        ),
        ({"quantity": D(0)}, "quantity=0 wanted=above 0"),
        ({"quantity": D(-1)}, "quantity=-1 wanted=above 0"),
        ({"notional": D("-0.5")}, "notional=-0.5 wanted=above 0"),
        ({"quantity": D("NaN")}, "quantity=NaN wanted=above 0"),
        ({"quantity": D("1e40")}, "quantity=1.00000000000E+40 wanted=above 0"),
        ({"margin_fraction": D(0)}, "margin_fraction=0 wanted=above 0 up to 1"),
        ({"margin_fraction": D("1.01")}, "margin_fraction=1.01 wanted=above 0 up to 1"),
    ],
)
def test_sizes_that_are_none(fields: dict, words: str):
    assert refused(wish(**fields)) == f"INVALID_SIZE {words}"


def test_a_reduce_without_a_size_is_not_guessed():
    held, _ = play(funded(RULES), RULES, (buy("3"), quote("100")))
    assert refused(wish("REDUCE"), state=held).startswith("INVALID_SIZE found=nothing")
    words = "INVALID_SIZE found=margin_fraction wanted=quantity or notional"
    assert refused(wish("REDUCE", margin_fraction=D("0.5")), state=held) == words


def test_less_than_a_step_is_refused_not_rounded_up():
    assert refused(wish(quantity=D("0.0009"))) == "QUANTITY_BELOW_STEP asked=0.0009 step=0.001"
    assert refused(wish(notional=D("0.07"))) == "QUANTITY_BELOW_STEP asked=0.0007 step=0.001"


def test_exits_are_put_on_the_tick():
    order = sized(wish(quantity=D(1), stop_loss=D("90.006"), take_profit=D("110.004")))
    assert (order.exits.stop_loss, order.exits.take_profit) == (D("90.01"), D("110.00"))


LIMIT, STOP = OrderKind.LIMIT, OrderKind.STOP_MARKET
TARGET, TRAIL = OrderKind.TAKE_PROFIT_MARKET, OrderKind.TRAILING_STOP
RESTING = make_rules(resting_orders=True, default_leverage=2, slippage_bps=D(100))


def test_a_resting_open_is_counted_at_the_price_that_it_waits_for():
    # 1000 / 80 = 12.5
    order = sized(wish(notional=D(1000), kind=LIMIT, limit_price=D("80.009")), rules=RESTING)
    assert (order.kind, order.quantity, order.limit_price) == (LIMIT, D("12.5"), D("80.009"))
    # A stop at 110 is bought at 111.10 with 1 % of slippage: 1000 / 111.1 = 9.0009.
    stop = sized(wish(notional=D(1000), kind=STOP, trigger_price=D(110)), rules=RESTING)
    assert (stop.kind, stop.quantity, stop.trigger_price) == (STOP, D("9.000"), D(110))
    # A trailing stop without an activation price follows from now on: 1000 / 101.
    trail = sized(wish(notional=D(1000), kind=TRAIL, callback_rate=D(1)), rules=RESTING)
    assert (trail.quantity, trail.callback_rate) == (D("9.900"), D(1))


def test_a_limit_that_takes_at_once_is_counted_as_a_taker():
    # The ask is 100.50, 101.51 with slippage and tick; never worse than the limit.
    market = quote("100", spread="1")
    order = sized(
        wish(notional=D(1000), kind=LIMIT, limit_price=D(110)), rules=RESTING, market=market
    )
    assert order.quantity == D("9.851")
    near = sized(
        wish(notional=D(1000), kind=LIMIT, limit_price=D("100.50")), rules=RESTING, market=market
    )
    assert near.quantity == D("9.950")


@pytest.mark.parametrize("leverage", [1, 3, 20])
@pytest.mark.parametrize("price", ["70", "99.995", "100.2", "130"])
@pytest.mark.parametrize("action", ["OPEN_LONG", "OPEN_SHORT"])
def test_the_whole_free_margin_fits_a_limit_order_too(action: str, price: str, leverage: int):
    rules = make_rules(resting_orders=True, slippage_bps=D(10), margin_buffer=D("1.2"))
    state = funded(rules)
    market = quote("100", spread="0.3")
    uttered = wish(
        action, margin_fraction=D(1), leverage=leverage, kind=LIMIT, limit_price=D(price)
    )
    order = sized(uttered, state=state, market=market, rules=rules)
    asked = step(state, OrderAsked(T0, "o1", order, market), rules)
    assert asked.denials == (), str(asked.denials)


def test_a_close_with_a_trigger_takes_whatever_is_held_then():
    state, _ = play(funded(RESTING), RESTING, (buy("4"), quote("100")))
    stop = sized(wish("CLOSE", kind=STOP, trigger_price=D(90)), state=state, rules=RESTING)
    assert (stop.side, stop.reduce_only, stop.close_position) == (Side.SELL, True, True)
    limit = sized(
        wish("CLOSE", kind=LIMIT, limit_price=D(120), time_in_force=TimeInForce.POST_ONLY),
        state=state,
        rules=RESTING,
    )
    assert (limit.quantity, limit.close_position, limit.time_in_force) == (
        D(4),
        False,
        TimeInForce.POST_ONLY,
    )
    # 240 at a target of 120 is 2, less 1 % of slippage: 240 / 118.80.
    part = sized(
        wish("REDUCE", notional=D(240), kind=TARGET, trigger_price=D(120)),
        state=state,
        rules=RESTING,
    )
    assert (part.quantity, part.reduce_only, part.close_position) == (D("2.020"), True, False)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"limit_price": D(90)}, "INVALID_ORDER field=limit_price found=90 wanted=none for MARKET"),
        ({"callback_rate": D(1)}, "INVALID_ORDER field=callback_rate found=1"),
        ({"time_in_force": TimeInForce.IOC}, "INVALID_ORDER field=time_in_force found=IOC"),
        ({"stop_loss": D("NaN")}, "EXITS_OUT_OF_RANGE exit=stop_loss level=NaN"),
        (
            {"exit_callback_rate": D(1), "exit_activation_price": D("-Infinity")},
            "EXITS_OUT_OF_RANGE exit=activation_price level=-Infinity",
        ),
    ],
)
def test_a_market_order_waits_for_nothing(fields: dict, words: str):
    assert refused(wish(quantity=D(1), **fields)).startswith(words)


@pytest.mark.parametrize("level", ["NaN", "sNaN", "-1", "0", "Infinity", "1E+40", "10001"])
@pytest.mark.parametrize("size", ["quantity", "notional", "margin_fraction"])
def test_a_price_that_is_none_is_left_to_the_rules(level: str, size: str):
    order = sized(
        wish(**{size: D("0.5") if size != "notional" else D(50)}, kind=LIMIT, limit_price=D(level)),
        rules=RESTING,
    )
    asked = step(funded(RESTING), OrderAsked(T0, "o1", order, quote("100")), RESTING)
    assert str(asked.denials[0]).startswith("INVALID_ORDER field=limit_price")
