"""Many threads at one account and one book, on a database that lets them run at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection, connections, transaction

from tests.trading.builders import T0, D, at, make_rules, quote
from tests.trading.ledger import MARKS, account_of, make_book, order_fields, place
from trading import services
from trading.domain.intents import OrderKind, Wish, WishAction
from trading.domain.margin import account_figures
from trading.models import Fill, OperatorAct, Order
from trading.models.books import ActKind, BookState
from trading.models.orders import OrderStatus
from trading.selectors import check_invariants, open_positions
from trading.services import orders
from trading.services.accounts import load_state

THREADS = 20
# In one test alone: two at once would take all of a server's usual hundred connections.
MOST_THREADS = 50

pytestmark = [
    pytest.mark.services,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer anyway"),
]


def ask(account, number: int, **fields) -> Callable[[], Order]:
    """Return a call that buys 15 at 100, 1x: 1500.75 of 10000, so that six fit."""
    slip = order_fields(account, client_order_id=f"race-{number}", **fields)
    wish = Wish(action=WishAction.OPEN_LONG, symbol="XUSDT", quantity=D(15), leverage=1)
    return lambda: services.place_order(account.pk, wish, quote("100"), marks=MARKS, **slip)


def test_fifty_threads_never_overspend_one_margin(together):
    book = make_book()
    account = account_of(book)
    placed = together([ask(account, number) for number in range(MOST_THREADS)])
    filled = [order for order in placed if order.status == OrderStatus.FILLED]
    assert len(filled) == 6
    assert {order.denial_code for order in placed if order not in filled} == {"INSUFFICIENT_MARGIN"}
    account.refresh_from_db()
    figures = account_figures(load_state(account, MARKS))
    assert figures.free_margin == D("995.5")  # 10000 - 6 * 1500.75
    assert check_invariants(book) == []


def test_one_order_from_twenty_threads_is_one_order(together):
    book = make_book()
    account = account_of(book)
    placed = together([ask(account, 1) for _ in range(THREADS)])
    assert len({order.pk for order in placed}) == 1
    assert Fill.objects.count() == 1
    assert check_invariants(book) == []


def test_nothing_opens_after_a_pause_was_acknowledged(together):
    book = make_book(accounts=THREADS)
    acknowledged = threading.Event()
    late: list[Order] = []

    def pause() -> None:
        services.change_state(
            book.pk, to=BookState.PAUSED, kind=ActKind.PAUSE, actor="op", market_at=T0, now=T0
        )
        acknowledged.set()

    def trade(account) -> Callable[[], None]:
        def go() -> None:
            for number in range(6):
                if number == 5:
                    # However fast this machine trades, the last one comes after the pause.
                    acknowledged.wait(30)
                is_late = acknowledged.is_set()
                order = ask(account, account.ordinal * 10 + number)()
                if is_late and order.status != OrderStatus.DENIED:
                    late.append(order)

        return go

    together([pause, *(trade(account) for account in book.accounts.all())])
    assert late == []
    assert Order.objects.filter(denial_code="BOOK_NOT_RUNNING").exists()
    assert check_invariants(book) == []


def test_a_pause_waits_for_the_order_that_is_being_accepted(monkeypatch):
    book = make_book()
    account = account_of(book)
    looked_at_state, may_go_on = threading.Event(), threading.Event()
    real = orders.load_state

    def slow(*given, **named):
        looked_at_state.set()
        assert may_go_on.wait(10)
        return real(*given, **named)

    def in_thread(call: Callable[[], object]) -> threading.Thread:
        def go() -> None:
            call()
            connections.close_all()

        thread = threading.Thread(target=go)
        thread.start()
        return thread

    monkeypatch.setattr(orders, "load_state", slow)
    trading = in_thread(ask(account, 1))
    assert looked_at_state.wait(10)
    pausing = in_thread(
        lambda: services.change_state(
            book.pk, to=BookState.PAUSED, kind=ActKind.PAUSE, actor="op", market_at=T0, now=T0
        )
    )
    pausing.join(0.5)
    assert pausing.is_alive()
    may_go_on.set()
    trading.join(10)
    pausing.join(10)
    assert not pausing.is_alive()
    assert Order.objects.get().status == OrderStatus.FILLED


def test_two_emergency_closes_at_once_are_one(together):
    book = make_book(accounts=4)
    for account in book.accounts.all():
        place(account, "OPEN_LONG", quantity=D(2))
        place(account, "OPEN_SHORT", symbol="YUSDT", quantity=D(1))
    quotes = {symbol: quote("100", symbol) for symbol in MARKS}

    def close() -> list[services.CloseResult]:
        return services.close_all(book.pk, quotes, actor="op", market_at=at(1), now=at(1))

    results = together([close, close, close])
    assert all(line.is_closed for lines in results for line in lines)
    assert not open_positions(book).exists()
    assert Fill.objects.count() == 16
    assert OperatorAct.objects.count() == 1
    assert check_invariants(book) == []


def test_equity_is_recorded_while_accounts_trade(together):
    book = make_book(accounts=8)
    marks = {"XUSDT": D(101)}

    def record(number: int) -> Callable[[], object]:
        return lambda: services.record_equity(
            book.pk, number=number, at=at(number), marks=marks, now=T0
        )

    trades = [ask(account, account.ordinal) for account in book.accounts.all()]
    together([*trades, record(1), record(1), *trades])
    services.record_equity(book.pk, number=2, at=at(2), marks=marks, now=T0)
    assert Fill.objects.count() == 8
    assert check_invariants(book) == []


@pytest.mark.parametrize("attempt", range(5))
def test_a_pause_among_orders_that_come_to_rest_leaves_none_that_would_open(together, attempt: int):
    book = make_book(accounts=3, rules=make_rules(resting_orders=True))
    accounts = [account_of(book, ordinal) for ordinal in (1, 2, 3)]

    def rest(number: int) -> Callable[[], Order]:
        account = accounts[number % 3]
        slip = order_fields(account, client_order_id=f"rest-{attempt}-{number}")
        wish = Wish(
            action=WishAction.OPEN_LONG,
            symbol="XUSDT",
            quantity=D(1),
            kind=OrderKind.LIMIT,
            # Every other one takes at once: its postings name the book that the pause holds.
            limit_price=D(90 if number % 2 else 100),
        )
        return lambda: services.place_order(account.pk, wish, quote("100"), marks=MARKS, **slip)

    def pause() -> list[str]:
        with transaction.atomic():
            services.change_state(
                book.pk,
                to=BookState.PAUSED,
                kind=ActKind.PAUSE,
                actor="ada",
                market_at=T0,
                now=T0,
            )
            return services.cancel_stranded(book.pk, market_at=T0, now=T0)

    together([*(rest(number) for number in range(12)), pause])
    ended = set(Order.objects.values_list("status", flat=True))
    assert ended <= {OrderStatus.CANCELLED, OrderStatus.DENIED, OrderStatus.FILLED}
    assert check_invariants(book) == []
