"""What holds for exits and waiting orders whatever the market does."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.domain.facts import Candle, Timeframe
from tests.trading.builders import D, at, buy, funded, make_rules, sell
from tests.trading.resting import holding, try_rest
from trading.domain.acting import Bars, act_on
from trading.domain.denials import Denial
from trading.domain.events import BarClosed, FundingSettled
from trading.domain.funding import settle_funding
from trading.domain.intents import Exits, OrderIntent, OrderKind, Side
from trading.domain.margin import account_figures
from trading.domain.outcome import ExitName, Outcome
from trading.domain.resting.bars import walk_bar
from trading.domain.resting.triggers import Trail, followed, trail_trigger
from trading.domain.state import AccountState

RULES = make_rules(slippage_bps=D(7), fee_bps_maker=D(2))
SPEC = RULES.spec("XUSDT")
SYMBOLS = ("XUSDT", "YUSDT", "ZUSDT")

prices = st.integers(5_000, 20_000).map(lambda n: D(n) / 100)
sides = st.sampled_from(list(Side))
rates = st.integers(1, 200).map(lambda n: D(n) / 10)


@st.composite
def candles(draw, minutes: int = 1) -> Candle:
    first, last, *others = (draw(prices) for _ in range(4))
    reached = (first, last, *others)
    return Candle(at(minutes), first, max(reached), min(reached), last, D(0))


@st.composite
def waiting(draw) -> OrderIntent:
    kind = draw(st.sampled_from([kind for kind in OrderKind if kind is not OrderKind.MARKET]))
    trails, limits = kind is OrderKind.TRAILING_STOP, kind is OrderKind.LIMIT
    price = draw(prices)
    return OrderIntent(
        symbol=draw(st.sampled_from(SYMBOLS)),
        side=draw(sides),
        quantity=D(draw(st.integers(1, 40))),
        leverage=1,
        reduce_only=draw(st.booleans()),
        kind=kind,
        exits=Exits(stop_loss=draw(st.none() | prices)),
        limit_price=price if limits else None,
        trigger_price=None if trails or limits else price,
        callback_rate=draw(rates) if trails else None,
    )


@settings(max_examples=300, deadline=None)
@given(
    orders=st.lists(waiting(), max_size=8),
    held=st.dictionaries(
        st.sampled_from(SYMBOLS),
        st.tuples(st.sampled_from(["10", "-10"]), st.none() | rates),
    ),
    walk=st.lists(st.tuples(st.sampled_from(SYMBOLS), candles()), max_size=8),
)
def test_an_account_adds_up_whatever_waits_in_it(orders, held, walk):
    """Postings balance and make the wallet, reduce-only never opens or flips, equity is cash and goods; ids are used once."""
    state = funded(RULES, "100000")
    for symbol, (quantity, rate) in held.items():
        exits = {} if rate is None else {"callback_rate": str(rate)}
        state = holding(RULES, quantity, symbol=symbol, state=state, **exits)
    state = state.with_marks(dict.fromkeys(SYMBOLS, D(100)))
    for number, intent in enumerate(orders):
        state = accepted(state, intent, f"o{number}")
    reducing = {key for key, order in state.orders.items() if order.intent.reduce_only}
    causes: set[str] = set()
    trades: set[str] = set()

    for minute, (symbol, candle) in enumerate(walk):
        event = BarClosed(symbol, replace(candle, open_at=at(minute + 1)))
        before, outcome = state, walk_bar(state, event, RULES)
        state = outcome.state

        check_books(before, outcome)
        new = {line.cause_id for line in outcome.postings}
        assert not new & causes
        causes |= new
        for fill in outcome.fills:
            assert fill.trade_id not in trades
            trades.add(fill.trade_id)
        check_reducing(before, outcome, reducing)
        assert all(position.quantity for position in state.positions.values())


def accepted(state: AccountState, intent: OrderIntent, order_id: str) -> AccountState:
    """Return the account with the order waiting, if it is not refused."""
    waiting = try_rest(state, intent, RULES, order_id=order_id)
    return state if isinstance(waiting, Denial) else waiting


def check_books(before: AccountState, outcome: Outcome) -> None:
    groups: dict[str, Decimal] = defaultdict(Decimal)
    for line in outcome.postings:
        groups[line.cause_id] += line.amount
    assert not any(groups.values())
    own = sum(line.amount for line in outcome.postings if line.house is None)
    assert outcome.state.wallet - before.wallet == own
    # Cash and goods: at the new marks, what was held before and every fill since explain the equity.
    marks = outcome.state.marks
    start = account_figures(before.with_marks(marks)).equity
    traded = sum(
        (marks[fill.symbol] - fill.price) * fill.quantity * fill.side.sign - fill.fee
        for fill in outcome.fills
    )
    figures = account_figures(outcome.state)
    assert figures.equity == outcome.state.wallet + figures.unrealised
    assert abs(figures.equity - start - traded) <= D("0.000001")


def check_reducing(before: AccountState, outcome: Outcome, reducing: set[str]) -> None:
    quantities = {symbol: before.quantity(symbol) for symbol in SYMBOLS}
    for fill in outcome.fills:
        held = quantities[fill.symbol]
        moved = held + fill.quantity * fill.side.sign
        quantities[fill.symbol] = moved
        if fill.client_order_id in reducing or not fill.client_order_id:
            assert abs(moved) < abs(held)
            assert moved * held >= 0
    assert all(outcome.state.quantity(symbol) == quantities[symbol] for symbol in SYMBOLS)


@given(side=sides, level=prices, candle=candles(), slippage=st.sampled_from(["0", "7", "100"]))
def test_a_stop_never_fills_better_than_its_trigger(side, level, candle, slippage):
    """Worse by slippage and one tick at most, unless the bar opened beyond it: then by those from the open."""
    rules = make_rules(slippage_bps=D(slippage))
    quantity = "10" if side is Side.SELL else "-10"
    state = holding(rules, quantity, state=funded(rules, "100000"))
    held = replace(state.positions["XUSDT"], exits=Exits(stop_loss=level))

    outcome = walk_bar(state.with_position(held), BarClosed("XUSDT", candle), rules)

    reached = candle.low <= level if side is Side.SELL else candle.high >= level
    assert bool(outcome.fills) == reached
    for fill in outcome.fills:
        from_price = (min if side is Side.SELL else max)(level, candle.open)
        worst = from_price * D(slippage) / 10_000 + SPEC.tick
        assert (fill.price - level) * side.sign >= 0
        assert 0 <= (fill.price - from_price) * side.sign <= worst


@given(side=sides, level=prices, candle=candles())
def test_a_limit_order_fills_at_its_price_and_only_when_it_was_traded_through(side, level, candle):
    state = accepted(
        funded(RULES, "100000"),
        OrderIntent(
            symbol="XUSDT",
            side=side,
            quantity=D(1),
            leverage=1,
            kind=OrderKind.LIMIT,
            limit_price=level,
        ),
        "o1",
    )
    outcome = walk_bar(state, BarClosed("XUSDT", candle), RULES)
    through = candle.low < level if side is Side.BUY else candle.high > level
    assert [fill.price for fill in outcome.fills] == [level] * through


@given(
    side=sides,
    rate=rates,
    activation=st.none() | prices,
    seen=st.lists(prices, min_size=2, max_size=30),
)
def test_a_trailing_stop_never_loosens(side, rate, activation, seen):
    trail = Trail(side, rate, activation)
    extreme, triggers = None, []
    for price in seen:
        extreme = followed(trail, extreme, price)
        if extreme is not None:
            triggers.append(trail_trigger(trail, extreme, SPEC))
    assert triggers == sorted(triggers, reverse=side is Side.BUY)
    reached = activation is None or any((price - activation) * side.sign <= 0 for price in seen)
    assert bool(triggers) == reached


@settings(deadline=None)
@given(rate=rates, walk=st.lists(candles(), min_size=1, max_size=10))
def test_a_trailing_exit_fires_no_lower_than_any_bar_before_allowed(rate, walk):
    state = holding(make_rules(), "10", callback_rate=str(rate))
    floor = D(0)
    for minute, candle in enumerate(walk):
        event = BarClosed("XUSDT", replace(candle, open_at=at(minute)))
        outcome = walk_bar(state, event, make_rules())
        if outcome.fills:
            assert outcome.fills[0].exit_name is ExitName.TRAILING
            assert outcome.fills[0].price >= min(floor, candle.open)
            return
        state = outcome.state
        extreme = state.positions["XUSDT"].trail_extreme
        assert extreme is not None
        trigger = trail_trigger(Trail(Side.SELL, rate), extreme, SPEC)
        assert trigger >= floor
        floor = trigger


@settings(deadline=None)
@given(
    bars=st.fixed_dictionaries({symbol: candles() for symbol in SYMBOLS}),
    stops=st.fixed_dictionaries({symbol: st.integers(80, 99) for symbol in SYMBOLS}),
    order=st.permutations(SYMBOLS),
)
def test_equal_events_of_different_symbols_may_come_in_any_order(bars, stops, order):
    state = funded(RULES, "100000")
    for symbol in SYMBOLS:
        state = holding(RULES, "10", symbol=symbol, state=state, stop_loss=str(stops[symbol]))
    events = {symbol: BarClosed(symbol, bars[symbol]) for symbol in SYMBOLS}

    resting = replace(RULES, resting_orders=True)
    first, second = (
        act_on(
            state,
            Bars(at(1), at(9), {symbol: (Timeframe.M1, [bars[symbol]]) for symbol in symbols}),
            resting,
        )
        for symbols in (order, SYMBOLS)
    )
    assert first == second

    def one_by_one(symbols) -> AccountState:
        reached = state
        for symbol in symbols:
            reached = walk_bar(reached, events[symbol], RULES).state
            funding = FundingSettled(at(5), symbol, D("0.0001"), D(100))
            reached = settle_funding(reached, funding).state
        return reached

    assert one_by_one(order) == one_by_one(SYMBOLS)


@given(quantity=st.integers(1, 20), extra=st.integers(0, 20), side=sides)
def test_a_reduce_only_order_never_flips(quantity, extra, side):
    closing = sell if side is Side.BUY else buy
    state = holding(RULES, f"{'-' if side is Side.SELL else ''}{quantity}")
    level = D(90) if side is Side.BUY else D(110)
    order = closing(
        str(quantity + extra), kind=OrderKind.STOP_MARKET, trigger_price=level, reduce_only=True
    )
    state = accepted(state, order, "o1")

    outcome = walk_bar(
        state, BarClosed("XUSDT", Candle(at(1), level, level, level, level, D(0))), RULES
    )

    assert [fill.quantity for fill in outcome.fills] == [D(quantity)]
    assert outcome.state.positions == {}
