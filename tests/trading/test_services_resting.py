"""Orders that rest, through the services: what is written of them, and what ends them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from tests.trading.builders import T0, D, at, make_rules, quote
from tests.trading.ledger import MARKS, accept, account_of, make_book, order_fields, place, tell
from trading import services
from trading.domain.intents import OrderKind, TimeInForce, Wish, WishAction
from trading.models import Account, Book, Fill, Order, Position
from trading.models.books import ActKind, BookState
from trading.models.orders import OrderStatus
from trading.selectors import check_invariants
from trading.services.accounts import load_state
from trading.venues import open_venue

pytestmark = pytest.mark.django_db

LIMIT, STOP = OrderKind.LIMIT, OrderKind.STOP_MARKET
TARGET, TRAIL = OrderKind.TAKE_PROFIT_MARKET, OrderKind.TRAILING_STOP
GTC, IOC, POST = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.POST_ONLY


def resting_book(**changes: Any) -> Book:
    return make_book(rules=make_rules(resting_orders=True, **changes))


def change(book: Book, to: BookState, kind: ActKind = ActKind.PAUSE) -> None:
    services.change_state(book.pk, to=to, kind=kind, actor="ada", market_at=T0, now=T0)


def statuses(account: Account) -> dict[str, str]:
    return {f"{row.kind} {row.symbol}": row.status for row in Order.objects.filter(account=account)}


def test_a_limit_order_waits_as_the_engine_fitted_it():
    account = account_of(resting_book())
    order = place(
        account,
        "OPEN_LONG",
        kind=LIMIT,
        limit_price=D("90.009"),
        quantity=D("2.0007"),
        leverage=5,
        time_in_force=GTC,
        stop_loss=D("80.004"),
        exit_callback_rate=D("1.5"),
        exit_activation_price=D("120.001"),
    )
    order = Order.objects.get(pk=order.pk)
    assert (order.status, order.kind, order.time_in_force) == (OrderStatus.OPEN, "LIMIT", "GTC")
    assert (order.limit_price, order.quantity, order.stop_loss) == (D("90"), D(2), D(80))
    assert (order.exit_callback_rate, order.exit_activation_price) == (D("1.5"), D(120))
    # 180 / 5 and a fee of .09
    assert (order.reserved, order.expected_price) == (D("36.09"), D(90))
    assert Fill.objects.count() == 0
    state = load_state(account, {})
    assert state.orders[order.client_order_id].intent == order.intent()
    assert check_invariants(account.book) == []


def test_a_limit_order_that_meets_the_market_takes():
    account = account_of(resting_book())
    order = place(
        account, "OPEN_LONG", kind=LIMIT, limit_price=D("100.50"), quantity=D(2), stop_loss=D(90)
    )
    assert (order.status, order.filled_quantity) == (OrderStatus.FILLED, D(2))
    assert (Fill.objects.get().price, Fill.objects.get().is_maker) == (D(100), False)
    assert Position.objects.get().stop_loss == D(90)
    assert check_invariants(account.book) == []


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"limit_price": D(90), "time_in_force": IOC}, OrderStatus.EXPIRED, ""),
        ({"limit_price": D(100), "time_in_force": IOC}, OrderStatus.FILLED, ""),
        ({"limit_price": D(90), "time_in_force": POST}, OrderStatus.OPEN, ""),
        (
            {"limit_price": D(100), "time_in_force": POST},
            OrderStatus.DENIED,
            "POST_ONLY_WOULD_TAKE",
        ),
        ({"kind": STOP, "trigger_price": D(110)}, OrderStatus.OPEN, ""),
        ({"kind": STOP, "trigger_price": D(90)}, OrderStatus.DENIED, "TRIGGER_WOULD_FIRE_AT_ONCE"),
        ({"kind": TARGET, "trigger_price": D(90)}, OrderStatus.OPEN, ""),
        ({"kind": TRAIL, "callback_rate": D(1), "activation_price": D(95)}, OrderStatus.OPEN, ""),
        ({"limit_price": None}, OrderStatus.DENIED, "INVALID_ORDER"),
    ],
)
def test_what_becomes_of_an_order_at_once(fields: dict, status: str, code: str):
    account = account_of(resting_book())
    order = place(account, "OPEN_LONG", quantity=D(2), **{"kind": LIMIT, **fields})
    order.refresh_from_db()
    assert (order.status, order.denial_code) == (status, code)
    assert order.kind == fields.get("kind", LIMIT)
    if status == OrderStatus.EXPIRED:
        assert order.reserved == 0
    assert check_invariants(account.book) == []


def test_a_book_without_resting_orders_refuses_them():
    account = account_of(make_book())
    order = place(account, "OPEN_LONG", quantity=D(2), kind=LIMIT, limit_price=D(90))
    assert str(order.denial_code) == "RESTING_ORDERS_NOT_ALLOWED"
    assert order.denial_context == {"kind": "LIMIT"}


def test_an_order_that_waits_is_not_sent_again():
    account = account_of(resting_book())
    slip = {"client_order_id": "same"}
    fields = {"kind": LIMIT, "limit_price": D(90), "quantity": D(2), "slip": slip}
    place(account, "OPEN_LONG", **fields)
    again = place(account, "OPEN_LONG", quote("80"), **fields)
    assert (again.status, Fill.objects.count()) == (OrderStatus.OPEN, 0)


def test_closing_a_position_ends_the_orders_that_could_only_reduce_it():
    account = account_of(resting_book())
    place(account, "OPEN_LONG", quantity=D(2))
    place(account, "CLOSE", kind=STOP, trigger_price=D(90))
    place(account, "REDUCE", kind=TARGET, trigger_price=D(120), quantity=D(1))
    place(account, "OPEN_LONG", kind=LIMIT, limit_price=D(80), quantity=D(1))
    stop = Order.objects.get(kind=STOP)
    assert (stop.close_position, stop.reduce_only, stop.quantity) == (True, True, D(2))
    place(account, "CLOSE")
    assert statuses(account) == {
        "MARKET XUSDT": OrderStatus.FILLED,
        "STOP_MARKET XUSDT": OrderStatus.CANCELLED,
        "TAKE_PROFIT_MARKET XUSDT": OrderStatus.CANCELLED,
        "LIMIT XUSDT": OrderStatus.OPEN,
    }
    assert check_invariants(account.book) == []


def test_an_owner_cancels_by_symbol_or_all():
    book = make_book(accounts=2, rules=make_rules(resting_orders=True))
    account = account_of(book)
    for symbol in ("XUSDT", "YUSDT", "ZUSDT"):
        place(account, "OPEN_LONG", symbol=symbol, kind=LIMIT, limit_price=D(90), quantity=D(1))
    other = place(account_of(book, 2), "OPEN_LONG", kind=LIMIT, limit_price=D(90), quantity=D(1))
    cancel = {"market_at": T0, "now": at(1)}
    assert services.cancel_orders(account.pk, "YUSDT", **cancel).denial is None
    assert statuses(account) == {
        "LIMIT XUSDT": OrderStatus.OPEN,
        "LIMIT YUSDT": OrderStatus.CANCELLED,
        "LIMIT ZUSDT": OrderStatus.OPEN,
    }
    assert services.cancel_orders(account.pk, "", **cancel).denial is None
    assert services.cancel_orders(account.pk, "", **cancel).denial is None
    assert set(statuses(account).values()) == {OrderStatus.CANCELLED}
    assert all(order.reserved == 0 for order in Order.objects.filter(account=account))
    other.refresh_from_db()
    assert other.status == OrderStatus.OPEN
    denial = services.cancel_orders(account.pk, "PEPE", **cancel).denial
    assert str(denial) == "UNKNOWN_SYMBOL known=XUSDT,YUSDT,ZUSDT symbol=PEPE"


def waiting_account() -> Account:
    """Return an account with a position, a stop for it, and orders that would open more."""
    account = account_of(resting_book())
    # Where orders rest, what an account is worth is read off the tape.
    tell(account.book, quote("100"))
    place(account, "OPEN_LONG", quantity=D(2), stop_loss=D(80))
    place(account, "CLOSE", kind=STOP, trigger_price=D(90))
    place(account, "OPEN_LONG", symbol="YUSDT", kind=LIMIT, limit_price=D(90), quantity=D(1))
    place(account, "OPEN_LONG", symbol="ZUSDT", kind=STOP, trigger_price=D(110), quantity=D(1))
    return account


def test_a_paused_book_keeps_what_reduces_and_ends_what_would_open():
    account = waiting_account()
    stranded = {"market_at": T0, "now": at(1)}
    assert services.cancel_stranded(account.book_id, **stranded) == []
    change(account.book, BookState.PAUSED)
    gone = services.cancel_stranded(account.book_id, **stranded)
    rows = Order.objects.in_bulk(gone, field_name="client_order_id").values()
    assert sorted(row.symbol for row in rows) == ["YUSDT", "ZUSDT"]
    assert statuses(account) == {
        "MARKET XUSDT": OrderStatus.FILLED,
        "STOP_MARKET XUSDT": OrderStatus.OPEN,
        "LIMIT YUSDT": OrderStatus.CANCELLED,
        "STOP_MARKET ZUSDT": OrderStatus.CANCELLED,
    }
    assert Position.objects.get().stop_loss == D(80)
    assert services.cancel_stranded(account.book_id, **stranded) == []
    assert check_invariants(account.book) == []


def test_a_book_that_has_ended_keeps_no_order():
    account = waiting_account()
    change(account.book, BookState.ENDED, ActKind.STOP)
    assert len(services.cancel_stranded(account.book_id, market_at=T0, now=T0)) == 3
    assert not Order.objects.unfinished().exists()


def test_an_emergency_close_ends_all_that_waits():
    account = waiting_account()
    marks = {symbol: quote("100", symbol) for symbol in MARKS}
    results = services.close_all(account.book_id, marks, actor="ada", market_at=T0, now=T0)
    assert [result.is_closed for result in results] == [True]
    assert not Order.objects.unfinished().exists()
    assert check_invariants(account.book) == []


@pytest.mark.parametrize("limit", ["90", "100"])
def test_an_order_on_its_way_at_a_pause_ends_with_it(limit: str):
    account = account_of(resting_book())
    order = accept(account, "OPEN_LONG", kind=LIMIT, limit_price=D(limit), quantity=D(1))
    change(account.book, BookState.PAUSED)
    gone = services.cancel_stranded(account.book_id, market_at=T0, now=T0)
    assert gone == [order.client_order_id]
    change(account.book, BookState.RUNNING, ActKind.RESUME)
    report = open_venue(account.book.venue).send(order, quote("100"), account.book.frozen_rules())
    assert services.apply_report(order.pk, report, tape_position=0, now=T0) is None
    order.refresh_from_db()
    assert (order.status, order.reserved) == (OrderStatus.CANCELLED, 0)
    assert check_invariants(account.book) == []


def test_a_paused_book_takes_a_stop_for_a_position_but_no_limit_that_opens():
    account = waiting_account()
    change(account.book, BookState.PAUSED)
    opening = place(account, "OPEN_LONG", kind=LIMIT, limit_price=D(90), quantity=D(1))
    assert opening.denial_code == "BOOK_NOT_RUNNING"
    target = place(account, "CLOSE", kind=TARGET, trigger_price=D(120))
    assert target.status == OrderStatus.OPEN


# --- anything at all ----------------------------------------------------------------------------

ODD = st.sampled_from(
    [
        *("NaN", "sNaN", "-NaN", "Infinity", "-Infinity", "0", "-0", "-1", "1E+40", "1E-40"),
        *("9" * 40, "0." + "9" * 40, "1E+999999", "1E-999999", "100", "99.999", "0.001", "10001"),
    ]
).map(Decimal)
NUMBERS = ODD | st.integers(1, 20_000).map(lambda n: Decimal(n) / 100)
MAYBE = st.none() | NUMBERS
WISHES = st.builds(
    Wish,
    action=st.sampled_from(
        [WishAction.OPEN_LONG, WishAction.OPEN_SHORT, WishAction.REDUCE, WishAction.CLOSE]
    ),
    symbol=st.sampled_from(["XUSDT", "YUSDT", "PEPE", "", "X" * 300]),
    quantity=MAYBE,
    notional=st.none() | st.none() | NUMBERS,
    margin_fraction=st.none() | st.none() | NUMBERS,
    leverage=st.sampled_from([None, None, 0, -1, 1, 2, 20, 21, 1000, 10**12]),
    stop_loss=st.none() | MAYBE,
    take_profit=st.none() | MAYBE,
    kind=st.sampled_from(list(OrderKind)),
    limit_price=MAYBE,
    trigger_price=MAYBE,
    callback_rate=st.none() | NUMBERS,
    activation_price=st.none() | NUMBERS,
    time_in_force=st.sampled_from([None, None, *TimeInForce]),
    exit_callback_rate=st.none() | st.none() | NUMBERS,
    exit_activation_price=st.none() | st.none() | NUMBERS,
)
# What is well formed is rare among the above.
SOUND = st.one_of(
    st.builds(
        Wish,
        action=st.sampled_from([WishAction.OPEN_LONG, WishAction.OPEN_SHORT]),
        symbol=st.sampled_from(["XUSDT", "YUSDT"]),
        quantity=NUMBERS,
        kind=st.just(LIMIT),
        limit_price=NUMBERS,
        time_in_force=st.sampled_from([None, *TimeInForce]),
    ),
    st.builds(
        Wish,
        action=st.just(WishAction.CLOSE),
        symbol=st.just("XUSDT"),
        kind=st.sampled_from([STOP, TARGET]),
        trigger_price=NUMBERS,
    ),
    st.builds(
        Wish,
        action=st.sampled_from([WishAction.OPEN_LONG, WishAction.OPEN_SHORT]),
        symbol=st.just("XUSDT"),
        quantity=st.just(D(1)),
        kind=st.just(TRAIL),
        callback_rate=NUMBERS,
        activation_price=MAYBE,
    ),
)


class TestAnythingAtAll(TestCase):
    """Whatever is wished, there is an order or a refusal with figures; never an exception, never money moved by a refusal."""

    @given(wishes=st.lists(WISHES | SOUND, min_size=1, max_size=4))
    def test_a_wish(self, wishes: list[Wish]):
        with transaction.atomic():
            # As in a test's own transaction: sending is refused inside any other.
            transaction.get_connection().atomic_blocks[-1]._from_testcase = True
            account = account_of(resting_book())
            place(account, "OPEN_LONG", quantity=D(3))
            for wish in wishes:
                self.look_at(account, wish)
            problems = check_invariants(account.book)
            transaction.set_rollback(True)
        assert problems == []

    def look_at(self, account: Account, wish: Wish) -> None:
        before = account_of(account.book).wallet
        market = None if wish.symbol not in MARKS else quote("100", wish.symbol)
        order = services.place_order(account.pk, wish, market, marks=MARKS, **order_fields(account))
        order.refresh_from_db()
        if order.status == OrderStatus.DENIED:
            assert order.denial_code
            assert order.denial_context
            assert order.reserved == 0
        else:
            assert order.denial_code == ""
            assert order.status in {OrderStatus.OPEN, OrderStatus.FILLED, OrderStatus.EXPIRED}
        if order.status != OrderStatus.FILLED:
            assert account_of(account.book).wallet == before

    @given(
        wish=st.builds(
            Wish,
            action=st.just(WishAction.SET_EXITS),
            symbol=st.sampled_from(["XUSDT", "YUSDT", "PEPE"]),
            stop_loss=MAYBE,
            take_profit=st.none() | MAYBE,
            exit_callback_rate=MAYBE,
            exit_activation_price=MAYBE,
        )
    )
    def test_exits(self, wish: Wish):
        with transaction.atomic():
            transaction.get_connection().atomic_blocks[-1]._from_testcase = True
            account = account_of(resting_book())
            place(account, "OPEN_LONG", quantity=D(3))
            denial = services.set_exits(account.pk, wish, quote("100"), market_at=T0).denial
            held = Position.objects.get()
            assert denial is None or denial.context
            if denial is None:
                assert held.callback_rate == wish.exit_callback_rate
            transaction.set_rollback(True)
