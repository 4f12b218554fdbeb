"""The engine and the naive model side by side: whatever happens, they agree on every figure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from marketdata.domain.facts import Quote
from tests.trading import model
from tests.trading.builders import T0, D, at, buy, funded, make_rules, report_of, spec
from trading.domain.denials import Denial
from trading.domain.engine import step
from trading.domain.events import (
    Act,
    ActTaken,
    EndStatus,
    ExitsSet,
    MarksSeen,
    OrderAsked,
    OrderEnded,
    QuoteSeen,
    VenueReport,
)
from trading.domain.intents import Exits, OrderIntent, Side, Wish, WishAction
from trading.domain.margin import account_figures
from trading.domain.outcome import Outcome
from trading.domain.rules import BookRules
from trading.domain.sizing import size_instruction
from trading.domain.state import AccountState

SYMBOLS = ("XUSDT", "YUSDT", "ZUSDT")
CAPITAL = "10000"
STEP = D("0.01")

symbols = st.sampled_from(SYMBOLS)
sides = st.sampled_from(list(Side))
# Mostly what an account of 10000 can bear, so that histories grow; sometimes far too much.
leverages = st.sampled_from([5, 5, 5, 5, 1, 20])
sizes = st.integers(1, 4_000).map(lambda n: D(n) / 100)
quantities = sizes | sizes | st.integers(1, 60_000).map(lambda n: D(n) / 100)
# Gaps included: from one to a hundred million ticks.
prices = st.integers(1, 100_000_000).map(lambda n: D(n) / 10_000)
ordinary_prices = st.integers(500_000, 2_000_000).map(lambda n: D(n) / 10_000)
levels = st.none() | st.none() | st.none() | ordinary_prices | prices
odd_quantities = st.sampled_from(
    ["0", "-0", "-1", "0.001", "0.0100000000001", "1E-40", "1E+15", "1E+40", "9" * 40]
).map(Decimal)
odd_leverages = st.sampled_from([-1, 0, 21, 50, 51, 1000, 10**30])
junk = st.sampled_from(
    ["NaN", "sNaN", "Infinity", "-Infinity", "0", "-1", "1E+999", "1E-999", "9" * 40]
)


def terms_of(rules: BookRules) -> model.Terms:
    """Return the contract as the model wants it; all symbols have the same limits here."""
    limits = rules.instruments[0]
    return model.Terms(
        fee=Fraction(rules.fee_bps_taker) / 10_000,
        slippage=Fraction(rules.slippage_bps) / 10_000,
        buffer=Fraction(rules.margin_buffer),
        share=Fraction(rules.max_position_size_pct) / 100,
        usage=Fraction(rules.max_margin_usage_pct) / 100,
        most_leverage=min(rules.max_leverage, limits.max_leverage),
        most_positions=rules.max_open_positions,
        shorts=rules.allow_short,
        pyramids=rules.allow_pyramiding,
        tick=Fraction(limits.tick),
        step=Fraction(limits.step),
        least=Fraction(limits.min_quantity),
        most=None if limits.max_quantity is None else Fraction(limits.max_quantity),
        least_notional=Fraction(limits.min_notional),
        symbols=rules.symbols,
    )


def fraction(level: Decimal | None) -> Fraction | None:
    return None if level is None else Fraction(level)


class EngineAndModel(RuleBasedStateMachine):
    """Every event goes to both; reports wait in a bag and are delivered in any order, some twice, some never."""

    @initialize(
        fee=st.sampled_from(["0", "5", "7.5"]),
        slippage=st.sampled_from(["0", "1.7"]),
        share=st.sampled_from(["100", "30"]),
        usage=st.sampled_from(["100", "80"]),
        buffer=st.sampled_from(["1", "1.2"]),
        most=st.sampled_from([3, 2, 1]),
        shorts=st.sampled_from([True, True, True, False]),
        pyramids=st.sampled_from([True, True, True, False]),
        start=st.lists(ordinary_prices, min_size=3, max_size=3),
    )
    def fund(self, fee, slippage, share, usage, buffer, most, shorts, pyramids, start):
        self.rules = make_rules(
            fee_bps_taker=D(fee),
            slippage_bps=D(slippage),
            max_position_size_pct=D(share),
            max_margin_usage_pct=D(usage),
            margin_buffer=D(buffer),
            max_open_positions=most,
            allow_short=shorts,
            allow_pyramiding=pyramids,
            instruments=tuple(
                spec(symbol, tick=D("0.0001"), step=STEP, max_quantity=D(500)) for symbol in SYMBOLS
            ),
        )
        self.state: AccountState = funded(self.rules, CAPITAL)
        self.model = model.Account(terms_of(self.rules), wallet=Fraction(CAPITAL))
        self.house = -Fraction(CAPITAL)
        self.net = dict.fromkeys(SYMBOLS, Decimal(0))
        self.bag: list[VenueReport] = []
        self.booked: set[str] = set()
        self.causes: set[str] = set()
        self.clock = 0
        self.see(dict(zip(SYMBOLS, start, strict=True)))

    def see(self, marks: dict[str, Decimal]):
        self.take(step(self.state, MarksSeen(at(self.clock), marks), self.rules))
        self.model.marks |= {symbol: Fraction(mark) for symbol, mark in marks.items()}

    def take(self, outcome: Outcome):
        """Take the engine's outcome over; each posting group balances and has a cause of its own."""
        total = sum((line.amount for line in outcome.postings), Decimal(0))
        assert total == 0
        causes = {line.cause_id for line in outcome.postings}
        assert not causes & self.causes
        self.causes |= causes
        self.house += sum(Fraction(line.amount) for line in outcome.postings if line.house)
        for fill in outcome.fills:
            self.net[fill.symbol] += fill.quantity * fill.side.sign
        self.state = outcome.state

    def market(self, symbol: str) -> Quote:
        mark = self.state.marks[symbol]
        return Quote(symbol, at(self.clock), mark, mark + D("0.0003"), mark)

    def ask(self, intent: OrderIntent) -> str | None:
        """Ask both; they must agree whether the order is taken, and the engine's refusal must be one that the model has too."""
        self.clock += 1
        name, market = f"o{self.clock}", self.market(intent.symbol)
        before = self.state
        outcome = step(self.state, OrderAsked(at(self.clock), name, intent, market), self.rules)
        wanted = model.Wanted(
            symbol=intent.symbol,
            sign=intent.side.sign,
            quantity=Fraction(intent.quantity),
            leverage=intent.leverage,
            reduce_only=intent.reduce_only,
            stop=fraction(intent.exits.stop_loss),
            target=fraction(intent.exits.take_profit),
        )
        broken = self.model.ask(name, wanted, Fraction(market.bid), Fraction(market.ask))
        found = {denial.code.value for denial in outcome.denials}
        assert bool(found) == bool(broken), f"the engine says {found or 'yes'}, the model {broken}"
        assert found <= broken
        self.take(outcome)
        if found:
            assert self.state == before
            return None
        return name

    def report_for(self, name: str, part: int, is_final: bool) -> VenueReport:
        """Return the execution of a part, in quarters, of what is left of a waiting order, at the market."""
        order = self.state.orders[name]
        piece = max(order.remaining * part / 4 // STEP * STEP, STEP)
        intent = replace(order.intent, quantity=piece)
        told = report_of(intent, self.market(order.symbol), self.rules, name)
        self.clock += 1
        return replace(told, trade_id=f"{name}:{self.clock}", is_final=is_final)

    def deliver(self, report: VenueReport):
        """Book a report on both as the services do: once a trade, nothing for an order that has ended, no reduction beyond the position."""
        name = report.client_order_id
        order = self.state.orders.get(name)
        if order is None or report.quantity > order.remaining:
            with pytest.raises(ValueError, match=name):
                step(self.state, report, self.rules)
            return
        if report.trade_id in self.booked:
            return
        held = self.state.quantity(order.symbol)
        beyond = report.quantity > max(-held * order.side.sign, 0)
        if order.intent.reduce_only and beyond:
            return
        outcome = step(self.state, report, self.rules)
        profit = self.model.report(
            name,
            Fraction(report.quantity),
            Fraction(report.price),
            Fraction(report.fee),
            is_final=report.is_final,
        )
        self.booked.add(report.trade_id)
        self.take(outcome)
        if outcome.fills:
            assert Fraction(outcome.fills[0].realised) == profit
            assert Fraction(outcome.fills[0].fee) == Fraction(report.fee)
        if order.intent.reduce_only:
            assert self.state.quantity(order.symbol) * held >= 0

    @rule(changes=st.dictionaries(symbols, ordinary_prices, min_size=1))
    def move(self, changes):
        self.clock += 1
        self.see(changes)

    @rule(symbol=symbols, price=prices)
    def gap(self, symbol, price):
        self.clock += 1
        seen = QuoteSeen(Quote(symbol, at(self.clock), price, price, price))
        self.take(step(self.state, seen, self.rules))
        self.model.marks[symbol] = Fraction(price)

    @rule(symbol=symbols, side=sides, quantity=quantities, leverage=leverages)
    def trade(self, symbol, side, quantity, leverage):
        """Ask and fill at once; what grows exposure leaves free margin."""
        held = self.state.quantity(symbol)
        intent = OrderIntent(symbol=symbol, side=side, quantity=quantity, leverage=leverage)
        name = self.ask(intent)
        if name is None:
            return
        self.deliver(self.report_for(name, 4, True))
        assert name not in self.state.orders
        if self.state.quantity(symbol) * side.sign > max(held * side.sign, 0):
            assert account_figures(self.state).free_margin >= 0

    @rule(
        symbol=symbols,
        side=sides,
        quantity=quantities,
        leverage=leverages,
        stop=levels,
        goal=levels,
    )
    def leave_waiting(self, symbol, side, quantity, leverage, stop, goal):
        exits = Exits(stop, goal)
        self.ask(
            OrderIntent(symbol=symbol, side=side, quantity=quantity, leverage=leverage, exits=exits)
        )

    @rule(
        symbol=symbols,
        side=sides,
        quantity=quantities | odd_quantities,
        leverage=leverages | odd_leverages,
        reduce=st.booleans(),
    )
    def ask_nonsense(self, symbol, side, quantity, leverage, reduce):
        self.ask(
            OrderIntent(
                symbol=symbol,
                side=side,
                quantity=quantity,
                leverage=leverage,
                reduce_only=reduce,
            )
        )

    @precondition(lambda self: self.state.positions)
    @rule(data=st.data(), share=st.integers(1, 4))
    def reduce(self, data, share):
        symbol = data.draw(st.sampled_from(sorted(self.state.positions)))
        held = self.state.positions[symbol]
        size = max(abs(held.quantity) * share / 4 // STEP * STEP, STEP)
        name = self.ask(
            OrderIntent(
                symbol=symbol,
                side=Side.closing(held.quantity),
                quantity=size,
                leverage=held.leverage,
                reduce_only=True,
            )
        )
        if name:
            self.deliver(self.report_for(name, 4, True))

    @precondition(lambda self: self.state.orders)
    @rule(
        data=st.data(),
        parts=st.lists(st.sampled_from([1, 2, 2, 3, 4]), min_size=1, max_size=3),
        is_final=st.sampled_from([False, False, False, True]),
        at_once=st.booleans(),
    )
    def execute(self, data, parts, is_final, at_once):
        """The venue executes an order in pieces; its reports arrive at once, or later and in any order."""
        name = data.draw(st.sampled_from(sorted(self.state.orders)))
        for part in parts:
            if name not in self.state.orders:
                break
            report = self.report_for(name, part, is_final)
            self.bag.append(report)
            if at_once:
                self.deliver(report)

    @precondition(lambda self: self.bag)
    @rule(data=st.data(), is_lost=st.booleans())
    def arrive(self, data, is_lost):
        """Any report in the bag arrives; half of them stay there, to arrive again."""
        index = data.draw(st.integers(0, len(self.bag) - 1))
        report = self.bag.pop(index) if is_lost else self.bag[index]
        self.deliver(report)

    @precondition(lambda self: self.state.orders)
    @rule(data=st.data(), status=st.sampled_from(list(EndStatus)))
    def end(self, data, status):
        name = data.draw(st.sampled_from(sorted(self.state.orders)))
        self.take(step(self.state, OrderEnded(T0, name, status), self.rules))
        self.model.end(name)

    @precondition(lambda self: self.state.orders)
    @rule(data=st.data())
    def end_without_execution(self, data):
        name = data.draw(st.sampled_from(sorted(self.state.orders)))
        market = self.market(self.state.orders[name].symbol)
        report = report_of(
            replace(buy("1", market.symbol), quantity=D(0)), market, self.rules, name
        )
        self.clock += 1
        self.deliver(replace(report, trade_id=f"{name}:{self.clock}"))
        assert name not in self.state.orders

    @rule(symbol=symbols, stop=levels, goal=levels)
    def set_exits(self, symbol, stop, goal):
        outcome = step(self.state, ExitsSet(T0, symbol, Exits(stop, goal)), self.rules)
        broken = self.model.set_exits(symbol, fraction(stop), fraction(goal))
        found = {denial.code.value for denial in outcome.denials}
        assert bool(found) == bool(broken)
        assert found <= broken
        self.take(outcome)

    @rule(
        symbol=symbols,
        action=st.sampled_from([WishAction.OPEN_LONG, WishAction.OPEN_SHORT, WishAction.REDUCE]),
        size=st.sampled_from(["quantity", "notional", "margin_fraction"]),
        value=junk | quantities.map(str),
        leverage=st.none() | leverages | odd_leverages,
    )
    def wish(self, symbol, action, size, value, leverage):
        """A wish of any size is a refusal with figures or an order that both judge alike; never an error."""
        wanted = Wish(action=action, symbol=symbol, leverage=leverage, **{size: Decimal(value)})
        intent = size_instruction(self.state, wanted, self.market(symbol), self.rules)
        if isinstance(intent, Denial):
            assert intent.context
            assert str(intent)
        else:
            self.ask(intent)

    @rule()
    def close_everything(self):
        """An emergency close: what waits is cancelled, and the act's own orders leave nothing open."""
        for name in sorted(self.state.orders):
            self.take(step(self.state, OrderEnded(T0, name, EndStatus.CANCELLED), self.rules))
            self.model.end(name)
        outcome = step(self.state, ActTaken(T0, Act.EMERGENCY_CLOSE), self.rules)
        for intent in outcome.intents:
            name = self.ask(intent)
            assert name is not None
            self.deliver(self.report_for(name, 4, True))
        assert not self.state.positions
        assert account_figures(self.state).free_margin == self.state.wallet

    @invariant()
    def the_figures_agree(self):
        if not hasattr(self, "state"):
            return
        figures = account_figures(self.state)
        assert Fraction(self.state.wallet) == self.model.wallet == -self.house
        assert Fraction(figures.equity) == self.model.equity
        assert Fraction(figures.used_margin) == self.model.used
        assert Fraction(figures.free_margin) == self.model.free
        worths = [h.worth(self.model.marks[s]) * h.sign for s, h in self.model.held.items()]
        assert Fraction(figures.exposure) == sum(worths)
        assert Fraction(figures.gross_exposure) == sum(map(abs, worths))

    @invariant()
    def the_holdings_agree(self):
        if not hasattr(self, "state"):
            return
        assert set(self.state.positions) == set(self.model.held)
        for symbol, held in self.state.positions.items():
            other = self.model.held[symbol]
            assert held.quantity == self.net[symbol]
            assert Fraction(held.quantity) == other.size * other.sign
            assert Fraction(held.entry_cost) == other.cost
            assert Fraction(held.realised) == other.realised
            assert Fraction(held.fees) == other.fees
            assert (held.seq, held.leverage) == (other.number, other.leverage)
            assert fraction(held.exits.stop_loss) == other.stop
            assert fraction(held.exits.take_profit) == other.target
            assert held.is_long == (held.quantity > 0)

    @invariant()
    def the_orders_agree(self):
        if not hasattr(self, "state"):
            return
        assert set(self.state.orders) == set(self.model.waiting)
        for name, order in self.state.orders.items():
            assert 0 < order.remaining <= order.intent.quantity
            assert Fraction(order.remaining) == self.model.waiting[name].left
            assert Fraction(order.reserved) == self.model.waiting[name].aside


TestEngineAndModel = EngineAndModel.TestCase
# As many examples as the profile says; each is long, since most errors need a history.
TestEngineAndModel.settings = settings(stateful_step_count=50)
