"""From what somebody wishes to a stepped quantity."""

from __future__ import annotations

import pytest

from tests.trading.builders import T0, D, buy, funded, make_rules, play, quote, sell
from trading.domain.denials import Denial
from trading.domain.engine import step
from trading.domain.events import OrderAsked
from trading.domain.intents import OrderIntent, Side, Wish, WishAction
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
