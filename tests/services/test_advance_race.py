"""The market shown to a book's accounts while they trade, are valued, and operators act, on a database that lets all run at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from random import Random

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from marketdata.domain.facts import Timeframe
from tests.trading.builders import T0, D, at, make_rules, quote
from tests.trading.ledger import MARKS, account_of, make_book, order_fields, place, tell
from tests.trading.resting import candle
from trading import services
from trading.domain.acting import Bars, Fact, Funding, Ticks
from trading.domain.intents import OrderKind, Wish, WishAction
from trading.domain.rules import MarginMode
from trading.domain.tape import TapeEvent
from trading.models import Account, Book, EquityPoint, Fill, Order, Position, Posting
from trading.models.books import ActKind, BookState
from trading.models.orders import OrderCause, OrderStatus
from trading.selectors import check_invariants, tape_events
from trading.services.locks import lock_book

pytestmark = [
    pytest.mark.services,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer anyway"),
]

ORDERS = 24
TICKS = 40
SECONDS = 30


def acting_book(accounts: int, **changes) -> Book:
    rules = make_rules(acts_between_rounds=True, resting_orders=True, **changes)
    return make_book(accounts=accounts, rules=rules)


def show(book: Book, *facts: Fact) -> list[services.Happening]:
    return services.advance_book(
        book.pk, list(facts), until=max(fact.at for fact in facts), now=timezone.now()
    )


def tick(book: Book, minutes: int, **prices: str) -> list[services.Happening]:
    """Show quotes by symbol (``x`` is XUSDT) as of that minute."""
    told = {
        f"{name.upper()}USDT": quote(price, f"{name.upper()}USDT", minutes=minutes)
        for name, price in prices.items()
    }
    return show(book, Ticks(at(minutes), told))


def assert_adds_up(book: Book) -> None:
    """Assert the invariants, and that no account went back on the tape."""
    assert check_invariants(book) == []
    for account in book.accounts.all():
        places = list(
            Fill.objects.filter(account=account)
            .order_by("seq")
            .values_list("tape_position", flat=True)
        )
        assert all(before <= after for before, after in pairwise(places)), places
        paid = Posting.objects.filter(account=account).aggregate(sum=Sum("amount"))["sum"]
        assert account.wallet == paid
    for fill in Fill.objects.select_related("order"):
        assert fill.order.tape_position <= fill.tape_position


# --- trading, the market and the marks at once --------------------------------------------------


def trader(account: Account, number: int) -> Callable[[], list[Order]]:
    """Return a call that opens with exits, rests and closes, drawn from its number."""
    draws = Random(number)

    def wishes() -> Iterator[Wish]:
        for _ in range(ORDERS):
            symbol = draws.choice(["XUSDT", "YUSDT"])
            is_long = draws.random() < 0.5
            action = WishAction.OPEN_LONG if is_long else WishAction.OPEN_SHORT
            near = D(99 if is_long else 101)
            stop = draws.choice([None, D(98 if is_long else 102)])
            size = {"symbol": symbol, "quantity": D(draws.randint(1, 9)), "leverage": 20}
            yield draws.choice(
                [
                    Wish(action=action, stop_loss=stop, **size),
                    Wish(action=action, kind=OrderKind.LIMIT, limit_price=near, **size),
                    Wish(action=WishAction.CLOSE, symbol=symbol),
                ]
            )

    def go() -> list[Order]:
        placed = []
        for place_, wish in enumerate(wishes()):
            told = quote("100", wish.symbol)
            slip = order_fields(account, client_order_id=f"race-{number}-{place_}")
            placed.append(services.place_order(account.pk, wish, told, marks=MARKS, **slip))
        return placed

    return go


def test_accounts_trade_while_the_market_acts_on_them_and_they_are_valued(together):
    book = acting_book(4, margin_mode=MarginMode.ISOLATED)
    tell(book, quote("100"), quote("100", "YUSDT"))
    traders = [trader(account_of(book, 1 + number % 4), number) for number in range(8)]
    done: list[int] = []
    is_over = threading.Event()
    began = time.monotonic()
    longest = 0.0

    def market() -> int:
        nonlocal longest
        acted = 0
        try:
            for minute in count(1):
                if minute > TICKS and len(done) == len(traders):
                    break
                # Every fourth one is beyond what 20x can bear.
                x, y = [("97", "103"), ("101", "99"), ("103", "95"), ("60", "150")][minute % 4]
                shown_at = time.monotonic()
                acted += len(tick(book, minute, x=x, y=y))
                longest = max(longest, time.monotonic() - shown_at)
        finally:
            is_over.set()
        return acted

    def value() -> int:
        number = 0
        while not is_over.wait(0.02):
            number += 1
            with transaction.atomic():
                # As a round closes: no tick comes between the marks and what accounts are worth.
                lock_book(book.pk)
                marks = TapeEvent.of_marks(at(number), MARKS)
                services.append_tape(book.pk, [marks], now=T0)
                services.record_equity(
                    book.pk, number=number, at=at(number), marks=MARKS, now=timezone.now()
                )
        return number

    def noted(go: Callable[[], list[Order]]) -> Callable[[], list[Order]]:
        def call() -> list[Order]:
            try:
                return go()
            finally:
                done.append(1)

        return call

    *placed, acted, valued = together([*map(noted, traders), market, value])

    orders = [order for some in placed for order in some]
    assert len(orders) == Order.objects.filter(cause=OrderCause.INSTRUCTION).count() == 8 * ORDERS
    assert not Order.objects.filter(status=OrderStatus.SUBMITTING).exists()
    causes = set(Fill.objects.filter(by_market=True).values_list("order__cause", flat=True))
    assert causes == {OrderCause.EXIT, OrderCause.LIQUIDATION, OrderCause.INSTRUCTION}
    assert acted >= 10
    assert EquityPoint.objects.filter(number__gt=0).count() == 4 * valued
    # A tick waits for the orders that are in the book, and not for as long as there are some.
    assert longest < (time.monotonic() - began) / 3
    assert_adds_up(book)


def test_valuing_without_the_book_locks_nobody_out(together):
    book = acting_book(4)
    tell(book, quote("100"), quote("100", "YUSDT"))
    traders = [trader(account_of(book, 1 + number % 4), number) for number in range(4)]

    def market() -> None:
        for minute in range(1, TICKS + 1):
            tick(book, minute, x=("95", "105")[minute % 2], y="100")

    def value() -> None:
        for number in range(1, TICKS + 1):
            services.record_equity(book.pk, number=number, at=at(number), marks=MARKS, now=T0)

    together([*traders, market, value])

    assert_adds_up(book)


# --- two that show the same market --------------------------------------------------------------


def test_of_two_feeds_that_show_the_same_market_one_acts(together):
    book = acting_book(3)
    tell(book, quote("100"))
    for ordinal in (1, 2, 3):
        place(account_of(book, ordinal), "OPEN_LONG", quantity=D(10), stop_loss=D(80 + 5 * ordinal))
    bars = (Timeframe.M1, [candle("96 96 89 95", minutes=61)])
    steps: list[Fact] = [
        Funding(at(60), "XUSDT", D("0.0001"), D(100)),
        # 95 is the third's stop, 90 the second's, 85 the first's.
        Ticks(at(61), {"XUSDT": quote("95", minutes=61)}),
        Bars(at(61), at(62), {"XUSDT": bars}),
        Ticks(at(63), {"XUSDT": quote("84", minutes=63)}),
    ]

    acted = [together([lambda fact=fact: show(book, fact)] * 2) for fact in steps]

    assert [sorted(len(told) for told in both) for both in acted] == [
        [0, 3],
        [0, 1],
        [0, 1],
        [0, 1],
    ]
    # 10 x 100 x 0.01 % of each, then each stop once.
    paid = Posting.objects.filter(kind="FUNDING", house="").values_list("amount", flat=True)
    assert list(paid) == [D("-0.1")] * 3
    ends = Fill.objects.filter(by_market=True).order_by("seq", "account__ordinal")
    assert [(fill.account.ordinal, fill.price) for fill in ends] == [(1, 84), (2, 90), (3, 95)]
    kinds = [event.kind for event in tape_events(book.pk)]
    assert kinds == ["quote", "funding", "ticks", "bars", "ticks"]
    assert_adds_up(book)


# --- an operator acts while the market does ------------------------------------------------------

ACCOUNTS = 6


def book_in_a_falling_market() -> Book:
    """Return a book whose accounts hold X with a stop each tick further down, and wait for Y at such prices too."""
    book = acting_book(ACCOUNTS)
    tell(book, *(quote("100", symbol) for symbol in MARKS))
    for account in book.accounts.all():
        level = D(100 - 2 * account.ordinal)
        place(account, "OPEN_LONG", quantity=D(10), stop_loss=level)
        waits = {"kind": OrderKind.LIMIT, "limit_price": level}
        place(account, "OPEN_LONG", quote("100", "YUSDT"), symbol="YUSDT", quantity=D(1), **waits)
    return book


def act(book: Book, to: str) -> int:
    """Change the book's state as an operator does and return how long the tape was then."""
    with transaction.atomic():
        if to == BookState.HALTED:
            services.halt_book(book.pk, now=T0)
        else:
            kind = ActKind.PAUSE if to == BookState.PAUSED else ActKind.STOP
            services.change_state(
                book.pk, to=BookState(to), kind=kind, actor="ada", market_at=T0, now=T0
            )
            services.cancel_stranded(book.pk, market_at=T0, now=T0)
        return Book.objects.get(pk=book.pk).tape_position


@pytest.mark.parametrize("before", [0, 3, 6])
@pytest.mark.parametrize("to", [BookState.PAUSED, BookState.HALTED, BookState.ENDED])
def test_nothing_opens_after_an_act_and_stops_act_in_a_paused_book_alone(together, to, before):
    book = book_in_a_falling_market()
    has_come = threading.Event()

    def market() -> None:
        try:
            for minute in range(1, 14):
                if minute > before:
                    has_come.set()
                price = str(100 - minute)
                tick(book, minute, x=price, y=price)
        finally:
            has_come.set()

    def operator() -> int:
        assert has_come.wait(SECONDS)
        return act(book, to)

    def late(account: Account) -> Callable[[], Order]:
        slip = order_fields(account, client_order_id=f"late-{account.ordinal}")
        wish = Wish(action=WishAction.OPEN_LONG, symbol="ZUSDT", quantity=D(1))

        def go() -> Order:
            assert has_come.wait(SECONDS)
            return services.place_order(account.pk, wish, quote("100", "ZUSDT"), **slip)

        return go

    _, length, *placed = together([market, operator, *map(late, book.accounts.all())])

    after = Fill.objects.filter(by_market=True, tape_position__gt=length)
    assert not after.filter(order__reduce_only=False).exists()
    for order in placed:
        order.refresh_from_db()
        assert (order.status == OrderStatus.FILLED) != (order.denial_code == "BOOK_NOT_RUNNING")
        assert order.status == OrderStatus.DENIED or order.tape_position <= length
    stopped = Order.objects.filter(cause=OrderCause.EXIT).count()
    if to == BookState.PAUSED:
        assert stopped == ACCOUNTS
        assert not Order.objects.unfinished().exists()
    else:
        assert not after.exists()
        assert Position.objects.open().filter(symbol="XUSDT").count() == ACCOUNTS - stopped
    assert_adds_up(book)
