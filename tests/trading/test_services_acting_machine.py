"""The services of a book that acts: the market is shown to it between orders, again and again, by workers that crash."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from marketdata.domain.facts import Timeframe
from tests.trading.builders import D, at, make_rules
from tests.trading.ledger import tell
from tests.trading.resting import candle
from tests.trading.test_services_machine import (
    OPERATORS,
    SYMBOLS,
    ServicesMachine,
    numbers,
    opens,
    symbols,
)
from trading import services
from trading.domain.acting import Bars, Fact, Funding, Ticks
from trading.domain.intents import OrderKind, Wish
from trading.models import (
    Account,
    Book,
    EquityPoint,
    Fill,
    Order,
    Position,
    Posting,
    Standing,
    TapeSegment,
)
from trading.models.orders import OrderStatus
from trading.selectors import check_invariants
from trading.services import advancing

# Percent of the last price: exits and orders lie near enough to be reached.
away = st.integers(1, 12)
exits = st.none() | st.none() | away
moves = st.integers(-8, 8) | st.integers(-8, 8) | st.integers(-40, 60)
# At which account that acts the first worker crashes; 0 for not at all.
crashes = st.integers(0, 2)


class CrashError(RuntimeError):
    """The worker is gone."""


class ActingServicesMachine(ServicesMachine):
    """What a repeated or broken-off call leaves is what one whole call leaves."""

    book_rules = make_rules(
        slippage_bps=D(1),
        acts_between_rounds=True,
        resting_orders=True,
        clearance_fee_bps=D(50),
    )

    def __init__(self):
        super().__init__()
        self.shown: list[list[Fact]] = []

    @initialize(
        start=st.lists(
            st.tuples(st.integers(0, 1), symbols, opens, st.integers(50, 900), exits, exits),
            min_size=2,
            max_size=5,
        )
    )
    def open_book(self, start):
        """Open a book with something at stake in it."""
        super().open_book()
        for trade in start:
            self.open_with_exits(*trade)
            self.leave_waiting(*trade[:3], OrderKind.LIMIT, trade[4] or 5, 10, True)

    def call(self, service, name: str) -> Order:
        """Ask as a round does: its quotes are on the tape first."""
        tell(self.book, *(self.quote(symbol) for symbol in SYMBOLS))
        return super().call(service, name)

    def moved(self, symbol: str, percent: int):
        return (self.prices[symbol] * (100 + percent) / 100).quantize(D("0.01"))

    @rule(
        ordinal=st.integers(0, 1),
        symbol=symbols,
        action=opens,
        quantity=st.integers(5, 900),
        stop=exits,
        goal=exits,
    )
    def open_with_exits(self, ordinal, symbol, action, quantity, stop, goal):
        sign = 1 if action == "OPEN_LONG" else -1
        wish = Wish(
            action=action,
            symbol=symbol,
            quantity=D(quantity),
            leverage=20,
            stop_loss=None if stop is None else self.moved(symbol, -sign * stop),
            take_profit=None if goal is None else self.moved(symbol, sign * goal),
        )
        self.call(services.place_order, self.wish(ordinal, wish))

    @rule(
        ordinal=st.integers(0, 1),
        symbol=symbols,
        action=opens,
        kind=st.sampled_from([OrderKind.LIMIT, OrderKind.STOP_MARKET]),
        percent=away,
        quantity=st.integers(1, 120),
        goes_on=st.booleans(),
    )
    def leave_waiting(self, ordinal, symbol, action, kind, percent, quantity, goes_on):
        """Let an order wait; or accept it and crash before it is sent."""
        sign = 1 if (action == "OPEN_LONG") == (kind is OrderKind.STOP_MARKET) else -1
        price = self.moved(symbol, sign * percent)
        wish = Wish(
            action=action,
            symbol=symbol,
            quantity=D(quantity),
            leverage=20,
            kind=kind,
            limit_price=price if kind is OrderKind.LIMIT else None,
            trigger_price=price if kind is OrderKind.STOP_MARKET else None,
        )
        name = self.wish(ordinal, wish)
        order = self.call(services.place_order if goes_on else services.accept_order, name)
        if order.status == OrderStatus.OPEN:
            event("an order waits")

    @rule(
        changes=st.lists(st.dictionaries(symbols, moves, min_size=1), min_size=1, max_size=3),
        crash=crashes,
    )
    def tick(self, changes, crash):
        """Some ticks at once, as after a pause of the worker."""
        told = []
        for change in changes:
            self.clock += 1
            self.prices |= {
                symbol: self.moved(symbol, percent) for symbol, percent in change.items()
            }
            told.append(Ticks(at(self.clock), {symbol: self.quote(symbol) for symbol in change}))
        self.show(told, crash)

    @rule(
        symbol=symbols,
        walk=st.lists(st.tuples(moves, moves, moves), min_size=1, max_size=3),
        crash=crashes,
    )
    def bars(self, symbol, walk, crash):
        """Some minutes of candles; each opens where the one before closed."""
        since, candles = self.clock, []
        for percents in walk:
            first = self.prices[symbol]
            reached = [self.moved(symbol, percent) for percent in percents]
            self.prices[symbol] = reached[-1]
            told = (first, max(first, *reached), min(first, *reached), reached[-1])
            candles.append(candle(" ".join(map(str, told)), minutes=self.clock))
            self.clock += 1
        self.show([Bars(at(since), at(self.clock), {symbol: (Timeframe.M1, candles)})], crash)

    @rule(
        symbol=symbols,
        rate=st.integers(-200, 200),
        ago=st.integers(0, 3),
        crash=crashes,
    )
    def fund(self, symbol, rate, ago, crash):
        """A stamp of now, or one that is told late."""
        self.clock += 1
        mark = self.prices[symbol]
        stamp = Funding(at(max(self.clock - ago, 0)), symbol, D(rate) / 10_000, mark)
        self.show([stamp], crash)

    @precondition(lambda self: len(self.shown) > 2)
    @rule(actor=st.sampled_from(OPERATORS), twice=st.booleans())
    def close_all(self, actor, twice):
        """Only late: in a halted book nothing moves any more."""
        super().close_all(actor, twice)

    @precondition(lambda self: self.shown)
    @rule(pick=numbers)
    def show_again(self, pick):
        """The other operator's worker comes late with what was shown long ago."""
        self.show_once_more(self.shown[pick % len(self.shown)])

    def show(self, facts: list[Fact], crash: int):
        """Show the facts: by a worker that crashes at its ``crash``-th account if there are as many, then by two that do not."""
        tell(self.book, *(self.quote(symbol) for symbol in SYMBOLS))
        if crash:
            self.show_and_crash(facts, crash)
        happenings = self.advance(facts)
        for happening in happenings:
            for fill in happening.fills:
                event(f"a fill of {fill.cause.value}")
        self.show_once_more(facts)
        if happenings or not isinstance(facts[0], Ticks):
            # Ticks that changed nothing leave no trace, so they may act when they come again.
            self.shown.append(facts)

    def show_once_more(self, facts: list[Fact]):
        before = self.rows()
        assert self.advance(facts) == []
        assert self.rows() == before

    def show_and_crash(self, facts: list[Fact], crash: int):
        before, saved = self.rows(), []
        save = advancing._save

        def save_some(*args: Any, **kwargs: Any) -> None:
            save(*args, **kwargs)
            saved.append(args)
            if len(saved) == crash:
                raise CrashError

        with mock.patch.object(advancing, "_save", save_some):
            try:
                self.advance(facts)
            except CrashError:
                event("a worker crashed")
            else:
                return
        assert self.rows() == before
        assert check_invariants(self.book) == []

    def advance(self, facts: list[Fact]) -> list[services.Happening]:
        return services.advance_book(self.book.pk, facts, until=facts[-1].at, now=at(self.clock))

    def rows(self) -> list[Any]:
        """Return every row of the book that the market may change."""
        accounts = Account.objects.filter(book=self.book)
        tables = (
            Book.objects.filter(pk=self.book.pk),
            accounts,
            Fill.objects.filter(account__in=accounts),
            Order.objects.filter(account__in=accounts),
            Posting.objects.filter(book=self.book),
            Position.objects.filter(account__in=accounts),
            Standing.objects.filter(account__in=accounts),
            EquityPoint.objects.filter(account__in=accounts),
            TapeSegment.objects.filter(book=self.book),
        )
        return [list(rows.order_by("pk").values()) for rows in tables]


@pytest.mark.django_db
def test_the_services_keep_a_book_that_acts_whatever_happens():
    examples = max(settings().max_examples // 5, 20)

    run_state_machine_as_test(
        ActingServicesMachine, settings=settings(max_examples=examples, stateful_step_count=20)
    )
