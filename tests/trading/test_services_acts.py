"""What operators do to a book: states, epochs, and the emergency close."""

from __future__ import annotations

import pytest
from django.db import transaction

from tests.trading.builders import T0, D, at, make_rules, quote, spec
from tests.trading.ledger import accept, account_of, make_book, place, tell
from trading import services
from trading.models import Book, Fill, OperatorAct, Order, Position
from trading.models.books import ActKind, BookState
from trading.models.orders import OrderCause, OrderStatus
from trading.selectors import check_invariants, open_positions
from trading.services import BookStateError, closing

pytestmark = pytest.mark.django_db

QUOTES = {symbol: quote("100", symbol, minutes=9) for symbol in ("XUSDT", "YUSDT", "ZUSDT")}


def change(book: Book, to: BookState, kind: ActKind, **fields) -> OperatorAct:
    return services.change_state(
        book.pk, to=to, kind=kind, actor="op", market_at=T0, now=at(1), **fields
    )


def close(book: Book, quotes=QUOTES):
    return services.close_all(
        book.pk, quotes, actor="op", reason="drill", market_at=at(9), after_round=4, now=at(10)
    )


def test_every_change_is_an_act_and_a_new_epoch():
    book = make_book()
    tell(book, quote("100"))
    act = change(book, BookState.PAUSED, ActKind.PAUSE, reason="lunch", after_round=3)
    assert (act.seq, act.kind, act.actor, act.reason) == (1, ActKind.PAUSE, "op", "lunch")
    assert (act.after_round, act.tape_position, act.market_at, act.at) == (3, 1, T0, at(1))
    change(book, BookState.RUNNING, ActKind.RESUME)
    book.refresh_from_db()
    assert (book.state, book.epoch, book.acts) == (BookState.RUNNING, 2, 2)


def test_a_start_finds_the_book_running():
    book = make_book()
    change(book, BookState.RUNNING, ActKind.START)
    book.refresh_from_db()
    assert (book.state, book.epoch, book.acts) == (BookState.RUNNING, 1, 1)


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        (BookState.PAUSED, BookState.PAUSED, "is PAUSED and can become ENDED, HALTED, REDUCING"),
        (BookState.ENDED, BookState.RUNNING, "is ENDED and can become nothing any more, not"),
    ],
)
def test_impossible_moves_are_refused(first: BookState, then: BookState, words: str):
    book = make_book()
    change(book, first, ActKind.STOP)
    with pytest.raises(BookStateError, match=words):
        change(book, then, ActKind.RESUME)
    book.refresh_from_db()
    assert (book.state, book.epoch, book.acts) == (first, 1, 1)


def test_acts_never_change():
    change(make_book(), BookState.PAUSED, ActKind.PAUSE)
    with pytest.raises(Exception, match="append-only, UPDATE refused"), transaction.atomic():
        OperatorAct.objects.update(reason="another")


def test_an_emergency_close_halts_and_flattens():
    book = make_book(accounts=2)
    place(account_of(book, 1), "OPEN_LONG", quantity=D(2))
    place(account_of(book, 1), "OPEN_SHORT", symbol="YUSDT", quantity=D(1))
    place(account_of(book, 2), "OPEN_LONG", quantity=D(3))
    results = close(book)
    assert [
        (line.ordinal, line.symbol, line.quantity, line.filled, line.is_closed, line.message)
        for line in results
    ] == [
        (1, "XUSDT", D(2), D(2), True, ""),
        (1, "YUSDT", D(-1), D(1), True, ""),
        (2, "XUSDT", D(3), D(3), True, ""),
    ]
    book.refresh_from_db()
    assert (book.state, book.epoch, book.acts) == (BookState.HALTED, 1, 1)
    assert not open_positions(book).exists()
    orders = Order.objects.filter(cause=OrderCause.OPERATOR).order_by("client_order_id")
    assert [order.client_order_id for order in orders] == [
        f"a{book.code}-x1-1-1.1",
        f"a{book.code}-x1-1-2.1",
        f"a{book.code}-x1-2-1.1",
    ]
    act = OperatorAct.objects.get()
    assert (act.kind, act.reason, act.after_round) == (ActKind.EMERGENCY_CLOSE, "drill", 4)
    assert len(act.digest) == 64
    assert check_invariants(book) == []


def test_the_digest_of_a_close_follows_from_what_it_moved():
    digests = set()
    for quantity in ("2", "2", "3"):
        book = make_book()
        place(account_of(book), "OPEN_LONG", quantity=D(quantity))
        close(book)
        digests.add(OperatorAct.objects.get(book=book).digest)
    assert len(digests) == 2


def test_a_close_of_nothing_is_on_record_once():
    book = make_book()
    assert close(book) == []
    assert close(book) == []
    act = OperatorAct.objects.get()
    assert act.digest == ""
    book.refresh_from_db()
    assert (book.state, book.acts) == (BookState.HALTED, 1)


def test_a_second_close_does_nothing():
    book = make_book()
    place(account_of(book), "OPEN_LONG", quantity=D(2))
    close(book)
    assert close(book) == []
    assert Fill.objects.count() == 2
    assert OperatorAct.objects.count() == 1


def test_a_position_without_a_quote_stays_open_and_says_so():
    book = make_book()
    place(account_of(book), "OPEN_LONG", quantity=D(2))
    place(account_of(book), "OPEN_LONG", symbol="YUSDT", quantity=D(1))
    results = close(book, {"YUSDT": QUOTES["YUSDT"]})
    assert [(line.symbol, line.filled, line.is_closed, line.message) for line in results] == [
        ("XUSDT", D(0), False, "no quote of XUSDT, still open"),
        ("YUSDT", D(1), True, ""),
    ]
    # The next run closes the rest, as an act of its own.
    assert [(line.symbol, line.filled) for line in close(book)] == [("XUSDT", D(2))]
    assert [act.seq for act in OperatorAct.objects.order_by("seq")] == [1, 2]
    assert check_invariants(book) == []


def test_orders_that_wait_are_cancelled_first():
    book = make_book(accounts=2)
    waiting = accept(account_of(book, 1), "OPEN_LONG", quantity=D(2))
    assert close(book) == []
    waiting.refresh_from_db()
    assert (waiting.status, waiting.reserved) == (OrderStatus.CANCELLED, D(0))


def test_a_large_position_is_closed_in_pieces():
    rules = make_rules(instruments=(spec(max_quantity=D(3)),))
    book = make_book(rules=rules)
    for quantity in (3, 3, 1):
        place(account_of(book), "OPEN_LONG", quantity=D(quantity))
    assert [(line.quantity, line.filled) for line in close(book)] == [(D(7), D(7))]
    orders = Order.objects.filter(cause=OrderCause.OPERATOR).order_by("client_order_id")
    assert [order.quantity for order in orders] == [D(3), D(3), D(1)]


def test_a_close_that_was_interrupted_is_finished_under_its_number(monkeypatch):
    book = make_book(accounts=2)
    place(account_of(book, 1), "OPEN_LONG", quantity=D(2))
    place(account_of(book, 2), "OPEN_LONG", quantity=D(3))
    real = closing._close

    def dies_at_the_second(act, position):
        if position.account.ordinal == 2:
            raise SystemExit("killed")
        return real(act, position)

    monkeypatch.setattr(closing, "_close", dies_at_the_second)
    with pytest.raises(SystemExit):
        close(book)
    assert OperatorAct.objects.count() == 0
    monkeypatch.undo()
    # Another act in between gets another number.
    change(book, BookState.ENDED, ActKind.STOP)
    results = close(book)
    assert [(line.ordinal, line.message) for line in results] == [
        (2, "still open: BOOK_NOT_RUNNING state=ENDED")
    ]


def test_a_close_that_was_interrupted_goes_on(monkeypatch):
    book = make_book(accounts=2)
    place(account_of(book, 1), "OPEN_LONG", quantity=D(2))
    place(account_of(book, 2), "OPEN_LONG", quantity=D(3))

    def dies(*args, **kwargs):
        raise SystemExit("killed")

    # Killed after an order was accepted, before it was filled.
    monkeypatch.setattr("trading.services.orders.apply_report", dies)
    with pytest.raises(SystemExit):
        close(book)
    monkeypatch.undo()
    assert Order.objects.filter(status=OrderStatus.SUBMITTING).count() == 1
    assert [(line.ordinal, line.filled) for line in close(book)] == [(1, D(2)), (2, D(3))]
    act = OperatorAct.objects.get()
    assert (act.seq, len(act.digest)) == (1, 64)
    assert Order.objects.filter(cause=OrderCause.OPERATOR).count() == 2
    assert not Position.objects.open().exists()
    assert check_invariants(book) == []


def test_a_book_that_has_ended_closes_nothing():
    book = make_book()
    change(book, BookState.ENDED, ActKind.FINISH)
    with pytest.raises(BookStateError, match="is ENDED"):
        close(book)


def test_halting_first_and_closing_later_is_one_act():
    book = make_book()
    place(account_of(book), "OPEN_LONG", quantity=D(2))
    assert services.halt_book(book.pk, now=T0) == 1
    assert services.halt_book(book.pk, now=T0) == 1
    refused = place(account_of(book), "CLOSE")
    assert refused.denial_context == {"state": "HALTED"}
    assert [line.is_closed for line in close(book)] == [True]
    assert OperatorAct.objects.get().seq == 1
    book.refresh_from_db()
    assert book.epoch == 1
