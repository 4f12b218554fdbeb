"""What holds for the engine whatever happens: random orders, fills in any order, any prices."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from marketdata.domain.facts import Quote
from tests.trading.builders import T0, D, at, funded, make_rules, quote, report_of, spec, trade
from trading.domain.engine import step
from trading.domain.events import EndStatus, MarksSeen, OrderAsked, OrderEnded, VenueReport
from trading.domain.intents import OrderIntent, Side
from trading.domain.margin import account_figures, initial_margin
from trading.domain.outcome import Outcome
from trading.domain.rules import HUNDRED, BookRules
from trading.domain.state import AccountState

SYMBOLS = ("XUSDT", "YUSDT", "ZUSDT")
CAPITAL = D(10000)


def rules_of(fee: str, share: str, usage: str, buffer: str, most: int) -> BookRules:
    return make_rules(
        fee_bps_taker=D(fee),
        slippage_bps=D("1.7"),
        max_position_size_pct=D(share),
        max_margin_usage_pct=D(usage),
        margin_buffer=D(buffer),
        max_open_positions=most,
        instruments=tuple(
            spec(symbol, tick=D("0.0001"), step=D("0.01"), max_quantity=D(500))
            for symbol in SYMBOLS
        ),
    )


quantities = st.integers(1, 60_000).map(lambda n: D(n) / 100)
prices = st.integers(1_000, 10_000_000).map(lambda n: D(n) / 10_000)
symbols = st.sampled_from(SYMBOLS)
sides = st.sampled_from(list(Side))
leverages = st.integers(1, 20)


class AccountMachine(RuleBasedStateMachine):
    """One account, with every posting, fill and report that ever happened kept beside it."""

    @initialize(
        fee=st.sampled_from(["0", "5", "7.5"]),
        share=st.sampled_from(["100", "30"]),
        usage=st.sampled_from(["100", "80"]),
        buffer=st.sampled_from(["1", "1.2"]),
        most=st.integers(1, 3),
        start=st.lists(prices, min_size=3, max_size=3),
    )
    def fund(self, fee, share, usage, buffer, most, start):
        self.rules = rules_of(fee, share, usage, buffer, most)
        self.state: AccountState = funded(self.rules)
        self.prices = dict(zip(SYMBOLS, start, strict=True))
        self.wallet = CAPITAL
        self.house: dict[str, Decimal] = defaultdict(Decimal)
        self.filled: dict[str, Decimal] = defaultdict(Decimal)
        self.cash = CAPITAL
        self.clock = 0
        self.refresh()

    def refresh(self):
        self.take(step(self.state, MarksSeen(at(self.clock), self.prices), self.rules))

    def quote(self, symbol: str) -> Quote:
        price = self.prices[symbol]
        return Quote(symbol, at(self.clock), price - D("0.0005"), price + D("0.0005"), price)

    def take(self, outcome: Outcome):
        groups: dict[str, Decimal] = defaultdict(Decimal)
        for line in outcome.postings:
            groups[line.cause_id] += line.amount
            assert line.amount != 0
            if line.house is None:
                self.wallet += line.amount
            else:
                self.house[line.house.value] += line.amount
        assert not any(groups.values())
        for fill in outcome.fills:
            moved = fill.quantity * fill.side.sign
            self.filled[fill.symbol] += moved
            self.cash -= moved * fill.price + fill.fee
        self.state = outcome.state

    def ask(self, order: OrderIntent) -> str | None:
        self.clock += 1
        order_id = f"o{self.clock}"
        event = OrderAsked(at(self.clock), order_id, order, self.quote(order.symbol))
        outcome = step(self.state, event, self.rules)
        self.take(outcome)
        return None if outcome.denials else order_id

    @rule(changes=st.dictionaries(symbols, prices, min_size=1))
    def move_prices(self, changes):
        self.clock += 1
        self.prices |= changes
        self.refresh()

    @rule(symbol=symbols, side=sides, quantity=quantities, leverage=leverages)
    def trade(self, symbol, side, quantity, leverage):
        """Ask and fill at once, as the paper venue does; what opens must leave free margin and keep every limit."""
        held = self.state.quantity(symbol)
        order = OrderIntent(symbol=symbol, side=side, quantity=quantity, leverage=leverage)
        order_id = self.ask(order)
        if order_id is None:
            return
        report = report_of(order, self.quote(symbol), self.rules, order_id)
        before = len(self.state.orders)
        self.take(step(self.state, report, self.rules))
        assert len(self.state.orders) == before - 1
        if abs(held + quantity * side.sign) > abs(held) or held * side.sign >= 0:
            self.check_limits(symbol)

    def check_limits(self, symbol: str):
        figures = account_figures(self.state)
        assert figures.free_margin >= 0
        assert figures.used_margin * HUNDRED <= self.rules.max_margin_usage_pct * figures.equity
        position = self.state.positions[symbol]
        margin = initial_margin(position.quantity, self.prices[symbol], leverage=position.leverage)
        assert margin * HUNDRED <= self.rules.max_position_size_pct * figures.equity
        assert len(self.state.positions) <= self.rules.max_open_positions
        assert position.leverage <= self.rules.max_leverage

    @rule(symbol=symbols, side=sides, quantity=quantities, leverage=leverages, reduce=st.booleans())
    def leave_waiting(self, symbol, side, quantity, leverage, reduce):
        free = account_figures(self.state).free_margin
        order_id = self.ask(
            OrderIntent(
                symbol=symbol, side=side, quantity=quantity, leverage=leverage, reduce_only=reduce
            )
        )
        if order_id and self.state.orders[order_id].reserved:
            assert account_figures(self.state).free_margin >= 0
            assert free >= self.state.orders[order_id].reserved

    @precondition(lambda self: self.state.orders)
    @rule(data=st.data(), part=st.integers(1, 4), is_final=st.booleans())
    def report(self, data, part, is_final):
        """Fill a part or all of a waiting order; reports come in any order."""
        order = self.state.orders[data.draw(st.sampled_from(sorted(self.state.orders)))]
        piece = max(order.remaining * part / 4 // D("0.01") * D("0.01"), D("0.01"))
        if order.intent.reduce_only:
            held = self.state.quantity(order.symbol)
            if held * order.side.sign >= 0 or piece > abs(held):
                return
        intent = OrderIntent(
            symbol=order.symbol, side=order.side, quantity=piece, leverage=order.intent.leverage
        )
        told = report_of(intent, self.quote(order.symbol), self.rules, order.client_order_id)
        told = VenueReport(
            told.at,
            told.client_order_id,
            f"{order.client_order_id}:{self.clock}",
            told.quantity,
            told.price,
            told.fee,
            told.reference_price,
            is_final=is_final,
        )
        self.take(step(self.state, told, self.rules))

    @precondition(lambda self: self.state.orders)
    @rule(data=st.data(), status=st.sampled_from(list(EndStatus)))
    def end(self, data, status):
        order_id = data.draw(st.sampled_from(sorted(self.state.orders)))
        self.take(step(self.state, OrderEnded(T0, order_id, status), self.rules))

    @invariant()
    def postings_make_the_wallet(self):
        if not hasattr(self, "state"):
            return
        assert self.state.wallet == self.wallet
        assert self.house["CLEARING"] + self.house["FEES"] == CAPITAL - self.wallet

    @invariant()
    def positions_are_the_sum_of_their_fills(self):
        if not hasattr(self, "state"):
            return
        for symbol in SYMBOLS:
            assert self.state.quantity(symbol) == self.filled[symbol]
        for position in self.state.positions.values():
            assert position.is_long == (position.quantity > 0)
            assert position.entered_quantity - position.exited_quantity == abs(position.quantity)
            assert position.entry_cost >= 0

    @invariant()
    def equity_is_cash_and_goods(self):
        """Money paid and received for everything ever traded, plus what is held at the mark, is the equity; to 1e-8 a booking."""
        if not hasattr(self, "state"):
            return
        goods = sum(self.filled[symbol] * self.prices[symbol] for symbol in SYMBOLS)
        slack = D("0.00000001") * (2 * self.state.next_fill + 3)
        assert abs(account_figures(self.state).equity - self.cash - goods) <= slack


# One symbol mostly and large sizes, so that orders get in each other's way.
entries = st.tuples(
    st.sampled_from(("XUSDT", "XUSDT", "XUSDT", "YUSDT")),
    sides,
    st.integers(1, 5).map(lambda n: D(100 * n)),
    st.just(5),
)


@settings(max_examples=400, deadline=None)
@given(
    held=st.lists(entries, max_size=2),
    waiting=st.lists(entries, min_size=2, max_size=5),
    data=st.data(),
)
def test_orders_that_wait_together_never_overspend(held, waiting, data):
    """Accepted one by one and filled in any order, some not at all: the free margin stays at or above zero."""
    rules = rules_of("5", "100", "100", "1", 3)
    quotes = {symbol: quote("100", symbol, spread="0.02") for symbol in SYMBOLS}
    state = funded(rules)
    for entry in held:
        _, booked = trade(state, order_of(entry), quotes[entry[0]], rules)
        state = booked.state
    accepted = {}
    for number, entry in enumerate(waiting):
        event = OrderAsked(T0, f"o{number}", order_of(entry), quotes[entry[0]])
        outcome = step(state, event, rules)
        state = outcome.state
        if not outcome.denials:
            accepted[f"o{number}"] = order_of(entry)
    assert account_figures(state).free_margin >= 0
    for order_id in data.draw(st.permutations(sorted(accepted))):
        order = accepted[order_id]
        if data.draw(st.integers(0, 4)):
            report = report_of(order, quotes[order.symbol], rules, order_id)
            state = step(state, report, rules).state
        else:
            state = step(state, OrderEnded(T0, order_id, EndStatus.CANCELLED), rules).state
        assert account_figures(state).free_margin >= 0


def order_of(entry) -> OrderIntent:
    symbol, side, quantity, leverage = entry
    return OrderIntent(symbol=symbol, side=side, quantity=quantity, leverage=leverage)


TestAccount = AccountMachine.TestCase
TestAccount.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
