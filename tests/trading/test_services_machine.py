"""The services as two operators, a crashing worker and a repeating venue use them, in any order; every row is looked at in the end."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from marketdata.domain.facts import Quote
from tests.trading.builders import T0, D, at, make_rules, quote
from tests.trading.ledger import accept, account_of, make_book, order_fields, place
from trading import services
from trading.domain.events import EndStatus, VenueReport
from trading.domain.intents import Side, Wish, WishAction
from trading.models import Account, Book, Fill, OperatorAct, Order
from trading.models.books import ActKind, BookState
from trading.models.orders import OrderStatus
from trading.selectors import check_invariants, open_positions
from trading.venues import open_venue

SYMBOLS = ("XUSDT", "YUSDT")
OPERATORS = ("ada", "bob")

symbols = st.sampled_from(SYMBOLS)
prices = st.integers(2_000, 20_000).map(lambda n: D(n) / 100)
opens = st.sampled_from([WishAction.OPEN_LONG, WishAction.OPEN_SHORT])
leaves = st.sampled_from([WishAction.CLOSE, WishAction.REDUCE])
numbers = st.integers(0, 10**6)


class ServicesMachine(RuleBasedStateMachine):
    """A worker may stop after any step; what it left is found and gone on with, by it or by another."""

    book_rules = make_rules(slippage_bps=D(1))

    def __init__(self):
        super().__init__()
        self.outer = transaction.atomic()
        self.outer.__enter__()
        # As in a test's own transaction: sending is refused inside any other.
        self.outer._from_testcase = True

    def teardown(self):
        try:
            if hasattr(self, "book"):
                self.book.refresh_from_db()
                assert check_invariants(self.book) == []
                self.check_reductions()
        finally:
            transaction.set_rollback(True)
            self.outer.__exit__(None, None, None)

    @initialize()
    def open_book(self):
        self.book: Book = make_book(accounts=2, rules=self.book_rules)
        self.accounts = list(Account.objects.filter(book=self.book).order_by("ordinal"))
        self.prices = dict.fromkeys(SYMBOLS, D(100))
        self.reports: list[tuple[Order, VenueReport]] = []
        self.asked: dict[str, tuple[Account, Wish, dict]] = {}
        self.clock = 0

    def quote(self, symbol: str) -> Quote:
        price = self.prices[symbol]
        return Quote(symbol, at(self.clock), price - D("0.01"), price + D("0.01"), price)

    def call(self, service, name: str) -> Order:
        """Ask as a turn does; the same name asks for the same thing again."""
        account, wish, slip = self.asked[name]
        marks = self.prices
        return service(account.pk, wish, self.quote(wish.symbol), marks=marks, **slip)

    def wish(self, ordinal: int, wish: Wish) -> str:
        self.clock += 1
        account = self.accounts[ordinal]
        slip = order_fields(account, market_at=at(self.clock), now=at(self.clock))
        name = slip["client_order_id"]
        self.asked[name] = (account, wish, slip)
        return name

    @rule(symbol=symbols, price=prices)
    def move(self, symbol, price):
        self.prices[symbol] = price

    @rule(
        ordinal=st.integers(0, 1),
        symbol=symbols,
        action=opens,
        quantity=st.integers(1, 120),
        goes_on=st.booleans(),
    )
    def open(self, ordinal, symbol, action, quantity, goes_on):
        """Open; or accept the order and crash before it is sent."""
        before = self.book_state()
        name = self.wish(
            ordinal, Wish(action=action, symbol=symbol, quantity=D(quantity), leverage=2)
        )
        order = self.call(services.place_order if goes_on else services.accept_order, name)
        if before != BookState.RUNNING:
            assert order.status == OrderStatus.DENIED

    @rule(
        ordinal=st.integers(0, 1),
        symbol=symbols,
        action=leaves,
        quantity=st.integers(1, 60),
        goes_on=st.booleans(),
    )
    def leave(self, ordinal, symbol, action, quantity, goes_on):
        size = D(quantity) if action is WishAction.REDUCE else None
        name = self.wish(ordinal, Wish(action=action, symbol=symbol, quantity=size))
        self.call(services.place_order if goes_on else services.accept_order, name)

    @precondition(lambda self: self.asked)
    @rule(pick=numbers)
    def ask_again(self, pick):
        """A task is delivered twice: the order that is there goes on where it stopped."""
        name = sorted(self.asked)[pick % len(self.asked)]
        fills = Fill.objects.filter(order__client_order_id=name).count()
        order = self.call(services.place_order, name)
        assert Order.objects.filter(client_order_id=name).count() == 1
        assert order.status != OrderStatus.SUBMITTING
        assert Fill.objects.filter(order=order).count() >= fills

    @precondition(lambda self: Order.objects.filter(status=OrderStatus.SUBMITTING).exists())
    @rule(pick=numbers)
    def send_and_crash(self, pick):
        """The venue fills, the worker is gone before it books; the report lies there."""
        unsent = Order.objects.filter(status=OrderStatus.SUBMITTING)
        waiting = list(unsent.order_by("client_order_id"))
        order = waiting[pick % len(waiting)]
        report = open_venue(self.book.venue).send(
            order, self.quote(order.symbol), self.book.frozen_rules()
        )
        self.reports.append((order, report))

    @precondition(lambda self: self.reports)
    @rule(pick=numbers, is_last=st.booleans())
    def deliver(self, pick, is_last):
        """A report arrives, out of order, some of them again and again."""
        index = pick % len(self.reports)
        order, report = self.reports.pop(index) if is_last else self.reports[index]
        services.apply_report(order.pk, report, tape_position=0, now=at(self.clock))
        assert Fill.objects.filter(order=order, trade_id=report.trade_id).count() <= 1

    @precondition(lambda self: Order.objects.unfinished().exists())
    @rule(pick=numbers, status=st.sampled_from(list(EndStatus)))
    def end(self, pick, status):
        waiting = list(Order.objects.unfinished().order_by("client_order_id"))
        order = waiting[pick % len(waiting)]
        services.end_order(order.pk, status, market_at=at(self.clock), now=at(self.clock))

    @rule(
        actor=st.sampled_from(OPERATORS),
        to=st.sampled_from([BookState.PAUSED, BookState.RUNNING, BookState.REDUCING]),
    )
    def operate(self, actor, to):
        """Either operator changes the state; what is impossible says so and changes nothing."""
        kind = ActKind.RESUME if to == BookState.RUNNING else ActKind.PAUSE
        before = (self.book_state(), OperatorAct.objects.filter(book=self.book).count())
        try:
            with transaction.atomic():
                services.change_state(
                    self.book.pk, to=to, kind=kind, actor=actor, market_at=T0, now=at(self.clock)
                )
        except services.BookStateError:
            assert before == (
                self.book_state(),
                OperatorAct.objects.filter(book=self.book).count(),
            )
        else:
            assert self.book_state() == to

    @rule(actor=st.sampled_from(OPERATORS), twice=st.booleans())
    def close_all(self, actor, twice):
        """An emergency close leaves nothing open and nothing waiting; a second one finds nothing to do."""
        quotes = {symbol: self.quote(symbol) for symbol in SYMBOLS}
        moment = {"market_at": at(self.clock), "now": at(self.clock)}
        services.close_all(self.book.pk, quotes, actor=actor, **moment)
        assert not open_positions(self.book).exists()
        assert not Order.objects.unfinished().filter(account__book=self.book).exists()
        assert self.book_state() == BookState.HALTED
        if twice:
            assert services.close_all(self.book.pk, quotes, actor="bob", **moment) == []

    def check_reductions(self):
        """No fill of a reduce-only order opens or grows a position, or turns it round."""
        held: dict[tuple, Decimal] = defaultdict(Decimal)
        fills = Fill.objects.filter(account__in=self.accounts).select_related("order")
        for fill in fills.order_by("account", "seq"):
            key = (fill.account_id, fill.symbol)
            before = held[key]
            held[key] += fill.quantity if fill.side == Side.BUY else -fill.quantity
            if fill.order.reduce_only:
                assert held[key] * before >= 0
                assert abs(held[key]) < abs(before)

    def book_state(self) -> str:
        return Book.objects.values_list("state", flat=True).get(pk=self.book.pk)


@pytest.mark.django_db
def test_the_services_keep_the_books_whatever_happens():
    examples = max(settings().max_examples // 2, 10)

    run_state_machine_as_test(
        ServicesMachine, settings=settings(max_examples=examples, stateful_step_count=20)
    )


@pytest.mark.django_db
def test_a_reduction_that_was_overtaken_opens_nothing():
    book = make_book()
    account = account_of(book)
    place(account, "OPEN_LONG", quantity=D(5))
    late = accept(account, "CLOSE", slip={"client_order_id": "late"})
    place(account, "OPEN_SHORT", quantity=D(5))
    assert not open_positions(book).exists()

    report = open_venue(book.venue).send(late, quote("100"), book.frozen_rules())
    services.apply_report(late.pk, report, tape_position=0, now=T0)

    assert not open_positions(book).exists()
