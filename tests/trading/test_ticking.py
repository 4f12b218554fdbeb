"""A tick leaves out no account of which it would change more than the marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from marketdata.domain.facts import Quote
from tests.trading.builders import (
    D,
    account,
    at,
    buy,
    holding,
    make_rules,
    quote,
    sell,
    spec,
    tier_table,
)
from trading.domain.intents import Exits, OrderIntent, OrderKind, Side
from trading.domain.liquidation import liquidate
from trading.domain.maintenance import account_health
from trading.domain.outcome import Outcome
from trading.domain.resting.quotes import walk_quote
from trading.domain.rules import BookRules, MarginMode, MarginModel, StopOutBasis
from trading.domain.state import AccountState, OrderState, PositionState
from trading.domain.ticking import Tick, may_act

SYMBOLS = ("XUSDT", "YUSDT", "ZUSDT")
UNIT = D("0.00000001")


def ticking(*, resting: bool = True, **changes: object) -> BookRules:
    """Return rules under which a position of Y at 5x needs a tenth of its value, and X has two tiers."""
    specs = (spec("XUSDT"), spec("YUSDT", max_leverage=5), spec("ZUSDT"))
    table = tier_table((0, 2000, "0.01", 0, 20), (2000, None, "0.1", 180, 10))
    fields = {"acts_between_rounds": True, "instruments": specs, "tiers": (table,), **changes}
    return make_rules(slippage_bps=D(7), resting_orders=resting, **fields)


def full_walk(
    state: AccountState, quotes: Mapping[str, Quote], rules: BookRules
) -> tuple[bool, AccountState]:
    """Return whether the engine would write down anything, and the account after it: all marks first, then symbol by symbol."""

    def taken(now: AccountState, moment: object) -> Outcome | None:
        return liquidate(now, rules, at=at(0)) if rules.acts_between_rounds else None

    plain = replace(rules, resting_orders=False)
    state = state.with_marks({symbol: seen.mark for symbol, seen in quotes.items()})
    if not rules.resting_orders:
        outcome = taken(state, None) or Outcome(state=state)
        return writes(outcome), outcome.state
    acts = False
    for seen in quotes.values():
        outcome = walk_quote(state, seen, plain, liquidate=taken)
        acts, state = acts or writes(outcome), outcome.state
    return acts, state


def writes(outcome: Outcome) -> bool:
    return bool(outcome.fills or outcome.postings or outcome.orders or outcome.positions)


# --- any account, any quotes --------------------------------------------------------------------

# Few different prices, so that levels are often met exactly.
prices = st.integers(92, 108).map(D) | st.integers(9_000, 11_000).map(lambda n: D(n) / 100)
far_prices = st.sampled_from([50, 80, 120, 200]).map(D) | prices
rates = st.sampled_from(["0.5", "1", "5"]).map(D)


@st.composite
def exits(draw: st.DrawFn) -> Exits:
    rate = draw(st.none() | rates)
    return Exits(
        stop_loss=draw(st.none() | far_prices),
        take_profit=draw(st.none() | far_prices),
        callback_rate=rate,
        activation_price=None if rate is None else draw(st.none() | prices),
    )


@st.composite
def positions(draw: st.DrawFn, symbol: str, seq: int) -> PositionState:
    size = draw(st.sampled_from(["1", "10", "-10", "-1", "25.5", "-33.333"]))
    leverage = draw(st.sampled_from([1, 3, 10, 20]))
    held = holding(size, draw(prices), symbol, leverage=leverage, seq=seq)
    wanted = draw(exits())
    extreme = draw(st.none() | prices) if wanted.trails else None
    return replace(held, exits=wanted, trail_extreme=extreme)


@st.composite
def orders(draw: st.DrawFn, name: str) -> OrderState:
    kind = draw(st.sampled_from(list(OrderKind)))
    trails, limits = kind is OrderKind.TRAILING_STOP, kind is OrderKind.LIMIT
    wakes = kind in {OrderKind.STOP_MARKET, OrderKind.TAKE_PROFIT_MARKET}
    intent = OrderIntent(
        symbol=draw(st.sampled_from(SYMBOLS)),
        side=draw(st.sampled_from(list(Side))),
        quantity=D(draw(st.integers(1, 30))),
        leverage=1,
        reduce_only=draw(st.booleans()),
        kind=kind,
        limit_price=draw(far_prices) if limits else None,
        trigger_price=draw(far_prices) if wakes else None,
        callback_rate=draw(rates) if trails else None,
        activation_price=draw(st.none() | prices) if trails else None,
        close_position=wakes and draw(st.booleans()),
    )
    extreme = draw(st.none() | prices) if trails else None
    reserved = D(0) if intent.kind.waits_for_trigger else D(5)
    return OrderState(
        client_order_id=name,
        intent=intent,
        reserved=reserved,
        expected_price=D(100),
        trail_extreme=extreme,
    )


@st.composite
def books(draw: st.DrawFn) -> BookRules:
    perpetual = [(MarginModel.PERPETUAL, mode) for mode in MarginMode]
    model, mode = draw(st.sampled_from([*perpetual, (MarginModel.CFD, MarginMode.CROSS)]))
    return ticking(
        resting=draw(st.booleans()),
        acts_between_rounds=draw(st.sampled_from([True, True, False])),
        margin_model=model,
        margin_mode=mode,
        stop_out_basis=draw(st.sampled_from(list(StopOutBasis))),
    )


@st.composite
def ticks(draw: st.DrawFn) -> dict[str, Quote]:
    seen = draw(st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True))
    spreads = st.sampled_from(["0", "0.02", "2"])
    return {symbol: quote(draw(prices), symbol, spread=draw(spreads)) for symbol in seen}


@st.composite
def accounts(draw: st.DrawFn, rules: BookRules, quotes: Mapping[str, Quote]) -> AccountState:
    held = draw(st.lists(st.sampled_from(SYMBOLS), unique=True))
    owned = [draw(positions(symbol, seq)) for seq, symbol in enumerate(held, start=1)]
    count = draw(st.integers(0, 3))
    waiting = [draw(orders(f"o{number}")) for number in range(count)]
    wallet = D(draw(st.sampled_from([-50, 0, 20, 300, 3000, 100_000])))
    state = account(wallet, *owned, marks={symbol: draw(prices) for symbol in SYMBOLS})
    state = replace(state, orders={order.client_order_id: order for order in waiting})
    if owned and draw(st.booleans()):
        # On the very edge of its cover, and one unit to both sides.
        marked = state.with_marks({symbol: seen.mark for symbol, seen in quotes.items()})
        health = account_health(marked, rules)
        off = draw(st.sampled_from([-1, 0, 1])) * UNIT
        state = replace(state, wallet=wallet + health.maintenance - health.balance + off)
    return state


@settings(max_examples=300, deadline=None)
@given(data=st.data(), rules=books(), quotes=ticks())
def test_what_a_tick_leaves_out_the_engine_would_only_have_marked(data, rules, quotes):
    """The other way round as well, unless the walk does not come to an account: flat, or holding what was not quoted."""
    state = data.draw(accounts(rules, quotes))

    acts, after = full_walk(state, quotes, rules)
    told = may_act(state, quotes, rules)

    event(f"acts {acts}, told {told}")
    assert told or not acts
    if not acts:
        assert (after.wallet, after.positions, after.orders) == (
            state.wallet,
            state.positions,
            state.orders,
        )
    if state.positions and state.positions.keys() <= quotes.keys():
        assert told == acts


# --- by hand ------------------------------------------------------------------------------------

LONG = replace(holding("10", "100"), exits=Exits(stop_loss=D(95), take_profit=D(105)))
SHORT = replace(holding("-10", "100"), exits=Exits(stop_loss=D(105), take_profit=D(95)))


@pytest.mark.parametrize(
    ("held", "bid_ask", "expected"),
    [
        (LONG, "95.01 104.99", False),
        (LONG, "95 95.5", True),
        (LONG, "94 96", True),
        (LONG, "104.99 105", False),
        (LONG, "105 105.5", True),
        (SHORT, "95.01 104.99", False),
        (SHORT, "95 95.01", False),
        (SHORT, "94.5 95", True),
        (SHORT, "104.5 105", True),
    ],
)
def test_longs_leave_at_the_bid_and_shorts_at_the_ask(held, bid_ask, expected):
    bid, ask = map(D, bid_ask.split())
    seen = Quote("XUSDT", at(0), bid, ask, D(100))

    assert may_act(account("10000", held), {"XUSDT": seen}, ticking()) is expected
    assert not may_act(account("10000", held), {"XUSDT": seen}, ticking(resting=False))


def waiting(intent: OrderIntent, **more: Decimal) -> AccountState:
    order = OrderState(
        client_order_id="o1", intent=intent, reserved=D(0), expected_price=D(100), **more
    )
    return replace(account("10000"), orders={"o1": order})


TRAIL = sell("1", kind=OrderKind.TRAILING_STOP, callback_rate=D(5))


@pytest.mark.parametrize(
    ("state", "price", "expected"),
    [
        (waiting(buy("1", kind=OrderKind.LIMIT, limit_price=D(98))), "98", False),
        (waiting(buy("1", kind=OrderKind.LIMIT, limit_price=D(98))), "97.99", True),
        (waiting(buy("1", kind=OrderKind.STOP_MARKET, trigger_price=D(102))), "102", True),
        (waiting(sell("1", kind=OrderKind.STOP_MARKET, trigger_price=D(98))), "98.01", False),
        (waiting(sell("1", kind=OrderKind.TAKE_PROFIT_MARKET, trigger_price=D(98))), "98", True),
        # Active at once, so that it begins to follow; 5 % behind 102 is 96.90.
        (waiting(TRAIL), "102", True),
        (waiting(TRAIL, trail_extreme=D(102)), "102", False),
        (waiting(TRAIL, trail_extreme=D(102)), "96.91", False),
        (waiting(TRAIL, trail_extreme=D(102)), "96.9", True),
        (waiting(TRAIL, trail_extreme=D(102)), "102.01", True),
        (waiting(replace(TRAIL, activation_price=D(103))), "102", False),
        (waiting(sell("1")), "1", False),
    ],
)
def test_what_wakes_an_order(state, price, expected):
    assert may_act(state, {"XUSDT": quote(price)}, ticking()) is expected
    other = {"YUSDT": quote(price, "YUSDT")}
    assert not may_act(state, other, ticking())


# Ten bought at 100 with 10x, one tenth of the value to be covered: 100 put up, at 100 just as much wanted.
@pytest.mark.parametrize(
    ("model", "mode", "wallet", "mark", "expected"),
    [
        ("perpetual", "isolated", "500", "100", True),
        ("perpetual", "isolated", "500", "100.01", False),
        ("perpetual", "cross", "100", "100", True),
        ("perpetual", "cross", "100.00000001", "100", False),
        ("cfd", "cross", "50", "100", False),
        ("cfd", "cross", "49.99999999", "100", True),
    ],
)
def test_cover_gives_out_exactly_where_the_engine_says(model, mode, wallet, mark, expected):
    rules = ticking(margin_model=MarginModel(model), margin_mode=MarginMode(mode))
    state = account(wallet, holding("10", "100", "YUSDT", leverage=10))

    assert may_act(state, {"YUSDT": quote(mark, "YUSDT")}, rules) is expected

    idle = ticking(margin_model=MarginModel(model), margin_mode=mode, acts_between_rounds=False)
    assert not may_act(state, {"YUSDT": quote(mark, "YUSDT")}, idle)


def test_an_account_without_a_mark_is_left_to_the_engine_which_names_it():
    state = account("100000", holding("10", "100"), holding("10", "100", "YUSDT", seq=2))
    quotes = {"XUSDT": quote("100")}

    assert may_act(state, quotes, ticking())
    with pytest.raises(KeyError, match="YUSDT"):
        liquidate(state.with_marks({"XUSDT": D(100)}), ticking(), at=at(0))


def test_one_tick_tells_of_many_accounts():
    tick = Tick({"XUSDT": quote("95")}, ticking())

    states = [account("10000", LONG), account("10000", SHORT), account("10000"), account("-1")]
    assert [tick.may_act(state) for state in states] == [True, True, False, True]
