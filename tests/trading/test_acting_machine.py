"""A book that acts between rounds, and the naive model of one, side by side: whatever happens, they agree on every figure."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from marketdata.domain.facts import Quote
from tests.trading import model
from tests.trading.builders import D, at, buy, funded, make_rules, report_of, sell, spec, tier_table
from tests.trading.model_acting import ActingAccount, ActingTerms, Order
from tests.trading.test_engine_machine import fraction, terms_of
from trading.domain.acting import Funding, Ticks, act_on
from trading.domain.engine import step
from trading.domain.events import EndStatus, ExitsSet, OrderAsked, OrderEnded
from trading.domain.intents import Exits, OrderIntent, OrderKind, Side, TimeInForce
from trading.domain.maintenance import liquidation_price
from trading.domain.margin import account_figures
from trading.domain.outcome import FillCause, House, Outcome
from trading.domain.resting.arrival import arrival_report
from trading.domain.rules import BookRules, MarginMode
from trading.domain.state import AccountState
from trading.domain.ticking import may_act
from trading.domain.tiers import TierTable

SYMBOLS = ("XUSDT", "YUSDT", "ZUSDT")
CAPITAL = "10000"
TICK = D("0.01")
KINDS = {
    OrderKind.MARKET: "MARKET",
    OrderKind.LIMIT: "LIMIT",
    OrderKind.STOP_MARKET: "STOP",
    OrderKind.TAKE_PROFIT_MARKET: "TARGET",
}
HOUSES = (House.FEES, House.FUNDING, House.INSURANCE, House.CLEARING)

symbols = st.sampled_from(SYMBOLS)
sides = st.sampled_from(list(Side))
# A few leverages, so that adding to a position is often possible.
leverages = st.sampled_from([5, 5, 5, 20, 20, 50])
# Mostly what the account can hold beside others; sometimes all that it can at its highest leverage, and more.
small = st.integers(10, 4_000).map(lambda n: D(n) / 100)
quantities = small | small | st.integers(1, 30).map(lambda n: D(n) * 50)
# Hundredths of a percent of the mark, so that histories go on wherever prices are.
moves = st.integers(-800, 800) | st.integers(-200, 200)
gaps = st.integers(1, 60_000).map(lambda n: D(n) / 100)
# How far an exit lies away, on its right side unless it is negative.
exits = st.none() | st.none() | st.integers(1, 500) | st.integers(-50, 2_000)
# A limit or trigger: how far on the side on which it waits, and how far off the tick, but never half way.
levels = st.tuples(
    st.integers(1, 400) | st.integers(1, 400) | st.integers(-300, 1_500),
    st.sampled_from(["0", "0", "0.003", "-0.004"]),
)
# Up to a tenth of the notional: wallets must come near zero by it.
rates = st.integers(-1_000, 1_000).map(lambda n: D(n) / 10_000)


@st.composite
def tables(draw, symbol: str) -> TierTable:
    """Draw any valid table that accounts of this size get to the tiers of."""
    count = draw(st.integers(1, 4))
    caps = sorted(draw(st.sets(st.integers(50, 3_000), min_size=count, max_size=count)))
    rates = sorted(draw(st.sets(st.integers(5, 40), min_size=count, max_size=count)))
    floor = amount = below = D(0)
    tiers = []
    for cap, thousandths in zip(caps, rates, strict=True):
        rate = D(thousandths) / 1000
        amount += floor * (rate - below)
        tiers.append((floor, D(cap) * 100, rate, amount, max(1000 // thousandths // 2, 1)))
        floor, below = D(cap) * 100, rate
    if draw(st.booleans()):
        tiers[-1] = (tiers[-1][0], None, *tiers[-1][2:])
    return tier_table(*tiers, symbol=symbol)


def acting_terms(rules: BookRules) -> ActingTerms:
    """Return the contract as the model wants it."""
    tables = {
        symbol: [
            model.Tier(
                Fraction(tier.floor),
                Fraction(tier.rate),
                Fraction(tier.amount),
                fraction(tier.cap),
                tier.max_leverage,
            )
            for tier in rules.tier_table(symbol).tiers
        ]
        for symbol in rules.symbols
    }
    return ActingTerms(
        **asdict(terms_of(rules)),
        maker=Fraction(rules.fee_bps_maker) / 10_000,
        clearance=Fraction(rules.clearance_fee_bps) / 10_000,
        isolated=rules.margin_mode is MarginMode.ISOLATED,
        tables=tables,
    )


def prices_of(quote: Quote) -> tuple[Fraction, Fraction, Fraction]:
    return Fraction(quote.bid), Fraction(quote.ask), Fraction(quote.mark)


class ActingEngineAndModel(RuleBasedStateMachine):
    """Orders of all kinds but trailing ones, exits, ticks with gaps and funding go to both."""

    @initialize(
        fees=st.sampled_from([("0", "0"), ("5", "2"), ("7.5", "-1")]),
        slippage=st.sampled_from(["0", "1.7", "10"]),
        spread=st.sampled_from(["0", "0.02"]),
        buffer=st.sampled_from(["1", "1.2"]),
        share=st.sampled_from(["100", "100", "60"]),
        clearance=st.sampled_from(["0", "50", "125"]),
        mode=st.sampled_from(MarginMode),
        shorts=st.sampled_from([True, True, True, False]),
        most=st.sampled_from([None, D(300)]),
        tiers=st.tuples(*(st.none() | tables(symbol) for symbol in SYMBOLS)),
        start=st.tuples(*(st.integers(-700, 700) for _ in SYMBOLS)),
    )
    def fund(
        self, fees, slippage, spread, buffer, share, clearance, mode, shorts, most, tiers, start
    ):
        self.rules = make_rules(
            acts_between_rounds=True,
            resting_orders=True,
            margin_mode=mode,
            fee_bps_taker=D(fees[0]),
            fee_bps_maker=D(fees[1]),
            slippage_bps=D(slippage),
            margin_buffer=D(buffer),
            max_position_size_pct=D(share),
            clearance_fee_bps=D(clearance),
            allow_short=shorts,
            max_leverage=50,
            tiers=tuple(table for table in tiers if table),
            instruments=tuple(
                spec(symbol, tick=TICK, step=D("0.01"), max_quantity=most) for symbol in SYMBOLS
            ),
        )
        self.spread = D(spread)
        self.state: AccountState = funded(self.rules, CAPITAL)
        self.model = ActingAccount(acting_terms(self.rules), wallet=Fraction(CAPITAL))
        self.house: Counter[str] = Counter()
        self.causes: set[str] = set()
        self.trades: set[str] = set()
        self.moves: list[tuple[int, str, Decimal]] = []
        self.stamps: list[Funding] = []
        self.clock = 0
        self.show(dict.fromkeys(SYMBOLS, D(100)))
        for symbol, size in zip(SYMBOLS, start, strict=True):
            order = buy if size > 0 else sell
            self.ask(order(str(abs(size)), symbol, leverage=20))

    def moved(self, symbol: str, bps: int) -> Decimal:
        """Return a price that far from the symbol's mark, on its tick."""
        return max((self.state.marks[symbol] * (10_000 + bps) / 10_000).quantize(TICK), TICK)

    def price_at(self, symbol: str, side: Side, kind: OrderKind, level: tuple[int, str]) -> Decimal:
        """Return the price of an order that waits."""
        up = side.sign if kind is OrderKind.STOP_MARKET else -side.sign
        return self.moved(symbol, up * level[0]) + D(level[1])

    def exits_at(self, symbol: str, sign: int, stop: int | None, goal: int | None) -> Exits:
        return Exits(
            None if stop is None else self.moved(symbol, -sign * stop),
            None if goal is None else self.moved(symbol, sign * goal),
        )

    def later(self):
        self.clock += 1
        self.model.now = self.clock

    def quote(self, symbol: str, mark: Decimal | None = None) -> Quote:
        mark = self.state.marks[symbol] if mark is None else mark
        bid = max(mark - self.spread, TICK)
        return Quote(symbol, at(self.clock), bid, mark + self.spread, mark)

    def take(self, outcome: Outcome):
        """Take the engine's outcome over; each posting group balances and has a cause of its own."""
        groups: Counter[str] = Counter()
        for line in outcome.postings:
            groups[line.cause_id] += line.amount
            if line.house:
                self.house[line.house.value] += Fraction(line.amount)
        assert not any(groups.values())
        assert not groups.keys() & self.causes
        self.causes |= groups.keys()
        for fill in outcome.fills:
            event(f"a fill of {fill.cause.value} {fill.exit_name or ''}")
            assert fill.trade_id not in self.trades
            self.trades.add(fill.trade_id)
            self.moves.append((self.clock, fill.symbol, fill.quantity * fill.side.sign))
        own = sum((line.amount for line in outcome.postings if line.house is None), D(0))
        assert outcome.state.wallet == self.state.wallet + own
        self.state = outcome.state

    def show(self, marks: dict[str, Decimal]):
        """Show one instant; what the engine says may be left alone is left alone."""
        self.later()
        quotes = {symbol: self.quote(symbol, mark) for symbol, mark in marks.items()}
        before = self.state
        outcome = act_on(before, Ticks(at(self.clock), quotes), self.rules)
        if not may_act(before, quotes, self.rules):
            assert outcome == Outcome(state=before.with_marks(marks))
        self.model.show({symbol: prices_of(quote) for symbol, quote in quotes.items()})
        rejected = [change for change in outcome.orders if change.denial]
        if rejected:
            event("an order is rejected at its trigger")
        self.take(outcome)
        assert self.state.positions or self.state.wallet >= 0
        taken = any(fill.cause is FillCause.LIQUIDATION for fill in outcome.fills)
        if taken and self.rules.margin_mode is MarginMode.CROSS:
            assert account_figures(self.state).equity >= 0
            assert self.state.positions or self.state.wallet >= 0

    def ask(self, intent: OrderIntent) -> bool:
        """Ask both and let the order arrive at the market; return whether it was taken."""
        self.later()
        name, market = f"o{self.clock}", self.quote(intent.symbol)
        before = self.state
        outcome = step(before, OrderAsked(at(self.clock), name, intent, market), self.rules)
        wanted = Order(
            symbol=intent.symbol,
            sign=intent.side.sign,
            quantity=Fraction(intent.quantity),
            leverage=intent.leverage,
            reduce_only=intent.reduce_only,
            stop=fraction(intent.exits.stop_loss),
            target=fraction(intent.exits.take_profit),
            kind=KINDS[intent.kind],
            level=Fraction(intent.limit_price or intent.trigger_price or 0),
            force="GTC" if intent.time_in_force is None else intent.time_in_force.value,
            whole=intent.close_position,
        )
        bid, ask, _ = prices_of(market)
        broken = self.model.ask(name, wanted, bid, ask)
        found = {denial.code.value for denial in outcome.denials}
        assert bool(found) == bool(broken), f"the engine says {found or 'yes'}, the model {broken}"
        assert found <= broken
        self.take(outcome)
        if found:
            assert self.state == before
            return False
        self.arrive(name, market)
        return True

    def arrive(self, name: str, market: Quote):
        fitted = self.state.orders[name].intent
        told = report_of if fitted.kind is OrderKind.MARKET else None
        report = (
            told(fitted, market, self.rules, name)
            if told
            else arrival_report(name, fitted, market, self.rules)
        )
        bid, ask, _ = prices_of(market)
        price = self.model.arrive(name, bid, ask)
        outcome = step(self.state, report, self.rules)
        assert [Fraction(fill.price) for fill in outcome.fills] == [price] * (price is not None)
        self.take(outcome)

    @rule(
        symbol=symbols,
        side=sides,
        quantity=quantities,
        leverage=leverages,
        stop=exits,
        goal=exits,
    )
    def trade(self, symbol, side, quantity, leverage, stop, goal):
        """Buy or sell at market; what grows exposure leaves free margin."""
        held = self.state.quantity(symbol)
        intent = OrderIntent(
            symbol=symbol,
            side=side,
            quantity=quantity,
            leverage=leverage,
            exits=self.exits_at(symbol, side.sign, stop, goal),
        )
        if self.ask(intent) and self.state.quantity(symbol) * side.sign > max(held * side.sign, 0):
            assert account_figures(self.state, self.rules).free_margin >= 0

    @rule(
        symbol=symbols,
        side=sides,
        quantity=quantities,
        leverage=leverages,
        level=levels,
        reduce=st.sampled_from([False, False, False, True]),
        stop=exits,
        goal=exits,
        force=st.none() | st.none() | st.sampled_from(TimeInForce),
    )
    def rest(self, symbol, side, quantity, leverage, level, reduce, stop, goal, force):
        self.ask(
            OrderIntent(
                symbol=symbol,
                side=side,
                quantity=quantity,
                leverage=leverage,
                reduce_only=reduce,
                kind=OrderKind.LIMIT,
                limit_price=self.price_at(symbol, side, OrderKind.LIMIT, level),
                exits=self.exits_at(symbol, side.sign, stop, goal),
                time_in_force=force,
            )
        )

    @rule(
        symbol=symbols,
        side=sides,
        quantity=quantities,
        leverage=leverages,
        kind=st.sampled_from([OrderKind.STOP_MARKET, OrderKind.TAKE_PROFIT_MARKET]),
        level=levels,
        stop=exits,
        goal=exits,
    )
    def wait_for_trigger(self, symbol, side, quantity, leverage, kind, level, stop, goal):
        self.ask(
            OrderIntent(
                symbol=symbol,
                side=side,
                quantity=quantity,
                leverage=leverage,
                kind=kind,
                trigger_price=self.price_at(symbol, side, kind, level),
                exits=self.exits_at(symbol, side.sign, stop, goal),
            )
        )

    @precondition(lambda self: self.state.positions)
    @rule(
        data=st.data(),
        share=st.integers(1, 5),
        kind=st.sampled_from(list(KINDS)),
        level=levels,
        whole=st.booleans(),
    )
    def reduce(self, data, share, kind, level, whole):
        """Close a part of what is held, or more than that; now or when prices come to a level."""
        symbol = data.draw(st.sampled_from(sorted(self.state.positions)))
        held = self.state.positions[symbol]
        side, sleeps = Side.closing(held.quantity), kind.waits_for_trigger
        price = self.price_at(symbol, side, kind, level)
        self.ask(
            OrderIntent(
                symbol=symbol,
                side=side,
                quantity=max(abs(held.quantity) * share / 4 // TICK * TICK, TICK),
                leverage=held.leverage,
                reduce_only=True,
                kind=kind,
                limit_price=price if kind is OrderKind.LIMIT else None,
                trigger_price=price if sleeps else None,
                close_position=whole and sleeps,
            )
        )

    @rule(changes=st.fixed_dictionaries(dict.fromkeys(SYMBOLS, moves)))
    def tick(self, changes):
        self.show({symbol: self.moved(symbol, bps) for symbol, bps in changes.items()})

    @rule(changes=st.dictionaries(symbols, moves, min_size=1, max_size=2))
    def tick_some(self, changes):
        self.show({symbol: self.moved(symbol, bps) for symbol, bps in changes.items()})

    def touchable(self) -> list[tuple[str, Side, Decimal]]:
        """Return every level that waits, with the side that it trades on."""
        found = []
        for order in self.state.orders.values():
            level = order.intent.limit_price or order.intent.trigger_price
            found.append((order.symbol, order.side, level))
        for symbol, held in sorted(self.state.positions.items()):
            side, exits = Side.closing(held.quantity), held.exits
            price = liquidation_price(self.state, symbol, self.rules)
            levels = (exits.stop_loss, exits.take_profit, price)
            found += [(symbol, side, level.quantize(TICK)) for level in levels if level is not None]
        return found

    @precondition(lambda self: self.touchable())
    @rule(data=st.data(), ticks=st.sampled_from([0, 0, 1, -1]))
    def touch(self, data, ticks):
        """Prices come to exactly a level that waits, or a tick beside it."""
        symbol, side, level = data.draw(st.sampled_from(self.touchable()))
        mark = level - side.sign * self.spread + ticks * TICK
        self.show({symbol: max(mark, TICK)})

    @rule(marks=st.dictionaries(symbols, gaps, min_size=1))
    def gap(self, marks):
        self.show(marks)

    @rule(
        symbol=symbols,
        rate=rates,
        move=st.just(0) | moves,
        ago=st.sampled_from([0, 0, 0, 1, 2, 5]),
    )
    def settle(self, symbol, rate, move, ago):
        """A stamp of now or of some minutes ago, as the services tell it: with what was held then, where fills came later."""
        self.later()
        stamp = Funding(at(self.clock - ago), symbol, rate, self.moved(symbol, move))
        self.fund_at(stamp, self.clock - ago)
        self.stamps.append(stamp)

    @precondition(lambda self: self.state.positions)
    @rule(data=st.data(), share=st.integers(60, 105))
    def drain(self, data, share):
        """Funding takes most of the wallet, or all of it: what was put up for a position is then no longer there."""
        self.later()
        symbol = data.draw(st.sampled_from(sorted(self.state.positions)))
        held, mark = self.state.positions[symbol], self.state.marks[symbol]
        rate = self.state.wallet * share / 100 / (held.quantity * mark)
        stamp = Funding(at(self.clock), symbol, rate.quantize(D("1E-8")), mark)
        self.fund_at(stamp, self.clock)

    @precondition(lambda self: self.stamps)
    @rule(data=st.data())
    def settle_again(self, data):
        """A stamp that was told already changes nothing."""
        stamp = data.draw(st.sampled_from(self.stamps))
        self.later()
        assert act_on(self.state, stamp, self.rules) == Outcome(state=self.state)

    def fund_at(self, stamp: Funding, minute: int):
        later = [size for when, name, size in self.moves if name == stamp.symbol and when > minute]
        held = self.state.quantity(stamp.symbol) - sum(later) if later else None
        self.take(act_on(self.state, stamp, self.rules, held=held))
        self.model.settle(stamp.symbol, minute, Fraction(stamp.rate), Fraction(stamp.mark))

    @rule(symbol=symbols, stop=exits, goal=exits)
    def set_exits(self, symbol, stop, goal):
        exits = self.exits_at(symbol, 1 if self.state.quantity(symbol) > 0 else -1, stop, goal)
        outcome = step(self.state, ExitsSet(at(self.clock), symbol, exits), self.rules)
        broken = self.model.set_exits(
            symbol, fraction(exits.stop_loss), fraction(exits.take_profit)
        )
        found = {denial.code.value for denial in outcome.denials}
        assert bool(found) == bool(broken)
        assert found <= broken
        self.take(outcome)

    @precondition(lambda self: self.state.orders)
    @rule(data=st.data())
    def cancel(self, data):
        name = data.draw(st.sampled_from(sorted(self.state.orders)))
        self.take(
            step(self.state, OrderEnded(at(self.clock), name, EndStatus.CANCELLED), self.rules)
        )
        self.model.end(name)
        with pytest.raises(ValueError, match=name):
            step(self.state, OrderEnded(at(self.clock), name, EndStatus.CANCELLED), self.rules)

    @invariant()
    def the_figures_agree(self):
        if not hasattr(self, "state"):
            return
        figures = account_figures(self.state, self.rules)
        assert Fraction(self.state.wallet) == self.model.wallet
        assert Fraction(figures.equity) == self.model.equity
        assert Fraction(figures.used_margin) == self.model.used
        for house in HOUSES:
            assert self.house[house.value] == self.model.house[house.value], house
        # All the money there is: the start capital, the account, and the house's other accounts.
        assert self.model.wallet + sum(self.house.values()) == Fraction(CAPITAL)

    @invariant()
    def the_holdings_agree(self):
        if not hasattr(self, "state"):
            return
        assert set(self.state.positions) == set(self.model.held)
        for symbol, held in self.state.positions.items():
            other = self.model.held[symbol]
            assert Fraction(held.quantity) == other.size * other.sign
            assert Fraction(held.entry_cost) == other.cost
            assert Fraction(held.realised) == other.realised
            assert Fraction(held.fees) == other.fees
            assert Fraction(held.funding) == other.funding
            assert (held.seq, held.leverage) == (other.number, other.leverage)
            assert fraction(held.exits.stop_loss) == other.stop
            assert fraction(held.exits.take_profit) == other.target

    @invariant()
    def the_orders_agree(self):
        if not hasattr(self, "state"):
            return
        assert list(self.state.orders) == list(self.model.waiting)
        for name, order in self.state.orders.items():
            other = self.model.waiting[name]
            assert Fraction(order.remaining) == other.left
            assert Fraction(order.reserved) == other.aside


TestActingEngineAndModel = ActingEngineAndModel.TestCase
TestActingEngineAndModel.settings = settings(stateful_step_count=40)
