"""Orders through their three steps: what is written, and that nothing is written twice."""

from __future__ import annotations

import random
import uuid

import pytest
from django.db import IntegrityError, transaction

from marketdata.domain.facts import Quote
from tests.trading.builders import T0, D, at, make_rules, quote, spec
from tests.trading.ledger import accept, account_of, make_book, order_fields, place, tell
from trading import services
from trading.domain.events import EndStatus
from trading.domain.intents import Wish, WishAction
from trading.models import Account, Fill, Order, Position, Posting
from trading.models.accounts import AccountStatus
from trading.models.books import ActKind, BookState, Venue
from trading.models.orders import OrderStatus
from trading.selectors import check_invariants, house_balances
from trading.venues import VenueError, open_venue

pytestmark = pytest.mark.django_db


def report_for(order: Order, market=None):
    market = market or quote("100", order.symbol)
    return open_venue(Venue.PAPER).send(order, market, order.account.book.frozen_rules())


def test_a_book_opens_with_funded_accounts():
    book = make_book(accounts=3, capital="2500")
    assert [account.wallet for account in book.accounts.order_by("ordinal")] == [D(2500)] * 3
    assert house_balances(book)["CAPITAL"] == D(-7500)
    assert set(Posting.objects.values_list("cause_id", flat=True)) == {
        "deposit:1",
        "deposit:2",
        "deposit:3",
    }
    point = account_of(book).equity_points.get()
    assert (point.number, point.equity, point.unrealised) == (0, D(2500), D(0))
    assert account_of(book).standing.peak == D(2500)
    assert check_invariants(book) == []


@pytest.mark.parametrize("roster", [[], [0, 1], [1, 1]])
def test_a_roster_that_is_none(roster: list[int]):
    with pytest.raises(ValueError, match="a roster of different ordinals from 1 is wanted"):
        services.open_book(
            venue=Venue.PAPER,
            rules=make_rules(),
            roster=roster,
            capital=D(1),
            market_at=T0,
            now=T0,
        )


def test_an_order_is_filled_and_booked():
    book = make_book()
    # 2 @ 100 at 5x: fee .1; margin 40
    order = place(account_of(book), "OPEN_LONG", quantity=D(2), leverage=5, stop_loss=D(90))
    assert order.status == OrderStatus.FILLED
    assert (order.filled_quantity, order.reserved, order.expected_price) == (D(2), D(0), D(100))
    assert all(check["passed"] for check in order.checks)
    fill = order.fills.get()
    assert (fill.seq, fill.trade_id, fill.price, fill.fee) == (
        1,
        f"{order.client_order_id}:1",
        D(100),
        D("0.1"),
    )
    held = Position.objects.get()
    assert (held.quantity, held.entry_cost, held.leverage, held.stop_loss) == (
        D(2),
        D(200),
        5,
        D(90),
    )
    assert account_of(book).wallet == D("9999.9")
    assert [(row.account_id is None, row.amount) for row in fill.postings.order_by("line")] == [
        (False, D("-0.1")),
        (True, D("0.1")),
    ]
    standing = account_of(book).standing
    assert (standing.fills, standing.fees, standing.wallet) == (1, D("0.1"), D("9999.9"))
    assert check_invariants(book) == []


def test_a_round_trip_is_a_trade_and_a_win_only_after_fees():
    book = make_book()
    account = account_of(book)
    place(account, "OPEN_LONG", quantity=D(2))
    place(account, "CLOSE", quote("100.05"))  # +.10 against fees of .1 + .10005
    place(account, "OPEN_SHORT", quantity=D(2))
    place(account, "CLOSE", quote("90"))  # +20
    standing = account_of(book).standing
    assert (standing.trades, standing.wins, standing.fills) == (2, 1, 4)
    assert standing.realised == D("20.1")
    assert check_invariants(book) == []


def test_a_flip_closes_one_holding_and_opens_the_next():
    book = make_book()
    account = account_of(book)
    place(account, "OPEN_LONG", quantity=D(2))
    place(account, "OPEN_SHORT", quote("120"), quantity=D(5))
    assert list(
        Position.objects.order_by("seq").values_list("seq", "status", "quantity", "is_long")
    ) == [(1, "CLOSED", D(0), True), (2, "OPEN", D(-3), False)]
    assert account_of(book).wallet == D("10039.6")
    assert check_invariants(book) == []


def test_a_refused_order_is_kept_with_its_figures():
    book = make_book()
    order = place(account_of(book), "OPEN_LONG", quantity=D(200), leverage=2)
    order = Order.objects.get(pk=order.pk)
    assert (order.status, order.denial_code) == (OrderStatus.DENIED, "INSUFFICIENT_MARGIN")
    assert order.denial_context == {"free": "10000.00", "needed": "10010.00"}
    assert {"rule": "LEVERAGE_ABOVE_LIMIT", "limit": "20", "value": "2", "passed": True} in (
        order.checks
    )
    assert account_of(book).standing.denials == 1
    assert Fill.objects.count() == 0
    assert check_invariants(book) == []


def test_wishes_that_no_column_holds_are_refused_and_kept():
    account = account_of(make_book())
    order = place(
        account,
        "OPEN_LONG",
        quantity=D(1),
        leverage=10**12,
        take_profit=D("9" * 30 + "e12"),
        invalidation="x" * 900,
    )
    assert order.denial_code == "LEVERAGE_ABOVE_LIMIT"
    assert order.denial_context["asked"] == str(10**12)
    order.refresh_from_db()
    assert (order.leverage, order.take_profit, len(order.invalidation)) == (32767, None, 500)
    far = place(account, "OPEN_LONG", quantity=D(1), take_profit=D("9" * 30 + "e12"))
    assert far.denial_code == "EXITS_OUT_OF_RANGE"
    huge = place(account, "OPEN_LONG", quantity=D("9" * 30 + "e12"))
    assert huge.denial_code == "INVALID_SIZE"
    symbol = place(account, "OPEN_LONG", symbol="X" * 40, quantity=D(1))
    assert (symbol.denial_code, len(symbol.symbol)) == ("UNKNOWN_SYMBOL", 32)


def test_a_symbol_without_a_quote_is_refused():
    account = account_of(make_book())
    wish = Wish(action=WishAction.OPEN_LONG, symbol="XUSDT", quantity=D(1))
    order = services.place_order(account.pk, wish, None, **order_fields(account))
    assert order.denial_code == "NO_QUOTE"


def test_a_quote_of_another_symbol_is_an_error():
    account = account_of(make_book())
    wish = Wish(action=WishAction.OPEN_LONG, symbol="XUSDT", quantity=D(1))
    with pytest.raises(ValueError, match="a quote of XUSDT is wanted, was one of YUSDT"):
        services.accept_order(account.pk, wish, quote("1", "YUSDT"), **order_fields(account))


def test_the_same_order_twice_is_one_order():
    book = make_book()
    account = account_of(book)
    slip = {"client_order_id": "same"}
    first = place(account, "OPEN_LONG", quantity=D(1), slip=slip)
    again = place(account, "OPEN_LONG", quantity=D(5), slip=slip)
    assert first.pk == again.pk
    assert (Order.objects.count(), Fill.objects.count()) == (1, 1)
    assert check_invariants(book) == []


def test_an_accepted_order_goes_on_after_a_crash():
    account = account_of(make_book())
    slip = {"client_order_id": "crashed"}
    waiting = accept(account, "OPEN_LONG", quantity=D(1), slip=slip)
    assert (waiting.status, waiting.reserved) == (OrderStatus.SUBMITTING, D("100.05"))
    again = place(account, "OPEN_LONG", quantity=D(1), slip=slip)
    assert again.pk == waiting.pk
    assert (again.status, again.reserved) == (OrderStatus.FILLED, D(0))


def test_the_same_report_twice_books_once():
    book = make_book()
    order = accept(account_of(book), "OPEN_LONG", quantity=D(1))
    report = report_for(order)
    first = services.apply_report(order.pk, report, tape_position=0, now=T0)
    again = services.apply_report(order.pk, report, tape_position=7, now=at(5))
    assert first is not None
    assert again == first
    assert Fill.objects.count() == 1
    assert account_of(book).standing.fills == 1
    assert check_invariants(book) == []


def test_reports_in_any_order_and_number_make_the_same_account():
    wallets = set()
    for seed in range(6):
        chance = random.Random(seed)
        book = make_book()
        account = account_of(book)
        orders = [
            accept(account, "OPEN_LONG", symbol=symbol, quantity=D(3))
            for symbol in ("XUSDT", "YUSDT", "ZUSDT")
        ]
        reports = [(order, report_for(order)) for order in orders] * 3
        chance.shuffle(reports)
        for order, report in reports:
            services.apply_report(order.pk, report, tape_position=0, now=T0)
        assert Fill.objects.filter(account=account).count() == 3
        assert check_invariants(book) == []
        wallets.add(account_of(book).wallet)
    assert wallets == {D("9999.55")}


def test_no_report_books_a_cancelled_paper_order():
    book = make_book()
    order = accept(account_of(book), "OPEN_LONG", quantity=D(1))
    report = report_for(order)
    services.end_order(order.pk, EndStatus.CANCELLED, market_at=T0, now=T0)
    assert services.apply_report(order.pk, report, tape_position=0, now=T0) is None
    order.refresh_from_db()
    assert (order.status, order.reserved) == (OrderStatus.CANCELLED, D(0))
    assert check_invariants(book) == []


def test_what_waits_cannot_be_spent_again():
    account = account_of(make_book())
    accept(account, "OPEN_LONG", quantity=D(90))  # sets 9004.5 aside
    order = place(account, "OPEN_LONG", symbol="YUSDT", quantity=D(10))
    assert str(order.denial_context) == "{'free': '995.50', 'needed': '1000.50'}"


def test_marks_of_other_positions_come_from_the_caller_or_off_the_tape():
    book = make_book()
    account = account_of(book)
    place(account, "OPEN_LONG", symbol="YUSDT", quantity=D(50), leverage=5)
    position = tell(book, quote("40", "YUSDT"), quote("100"), quote("60", "YUSDT"))

    def free_at(marks=(), **given) -> str:
        marks = dict(marks)
        order = place(account, "OPEN_LONG", quantity=D(90), leverage=1, marks=marks, **given)
        return order.denial_context["free"]

    # At 60 the position lost 2000: equity 10000 - 2.5 - 2000, margin 3000/5, free 7397.5
    assert free_at(slip={"tape_position": position}) == "7397.50"
    # Two events after its first mark of 40 only that is known: equity 6997.5, margin 400.
    assert free_at(slip={"tape_position": position - 1}) == "6597.50"
    assert free_at(marks={"YUSDT": D(100)}) == "8997.50"


@pytest.mark.parametrize("state", [BookState.PAUSED, BookState.REDUCING])
def test_a_paused_book_lets_out_but_not_in(state: BookState):
    book = make_book()
    account = account_of(book)
    place(account, "OPEN_LONG", quantity=D(2))
    services.change_state(book.pk, to=state, kind=ActKind.PAUSE, actor="op", market_at=T0, now=T0)
    refused = place(account, "OPEN_LONG", quantity=D(1))
    assert (refused.denial_code, refused.denial_context) == (
        "BOOK_NOT_RUNNING",
        {"state": state.value},
    )
    assert place(account, "REDUCE", quantity=D(1)).status == OrderStatus.FILLED
    assert place(account, "CLOSE", marks={}).status == OrderStatus.FILLED


def test_a_decision_of_an_older_epoch_opens_nothing():
    book = make_book()
    account = account_of(book)
    for to, kind in ((BookState.PAUSED, ActKind.PAUSE), (BookState.RUNNING, ActKind.RESUME)):
        services.change_state(book.pk, to=to, kind=kind, actor="op", market_at=T0, now=T0)
    late = place(account, "OPEN_LONG", quantity=D(1), slip={"epoch": 0})
    assert late.denial_code == "BOOK_NOT_RUNNING"
    assert late.denial_context == {"state": "RUNNING", "epoch": "2", "decided_in_epoch": "0"}
    assert place(account, "OPEN_LONG", quantity=D(1), slip={"epoch": 2}).status == "FILLED"


def test_a_pause_between_two_orders_stops_the_second():
    book = make_book(accounts=2)
    first = accept(account_of(book, 1), "OPEN_LONG", quantity=D(1))
    services.change_state(
        book.pk, to=BookState.PAUSED, kind=ActKind.PAUSE, actor="op", market_at=T0, now=T0
    )
    second = accept(account_of(book, 2), "OPEN_LONG", quantity=D(1))
    assert (first.status, second.status) == (OrderStatus.SUBMITTING, OrderStatus.DENIED)


def test_an_account_that_is_out_takes_no_orders():
    book = make_book()
    Account.objects.update(status=AccountStatus.LIQUIDATED)
    order = place(account_of(book), "OPEN_LONG", quantity=D(1))
    assert order.denial_context == {"status": "LIQUIDATED"}


def test_exits_of_an_open_position():
    book = make_book()
    account = account_of(book)
    wish = Wish(
        action=WishAction.SET_EXITS, symbol="XUSDT", stop_loss=D(95), invalidation="below 95"
    )

    def denial(market: Quote | None) -> str:
        return str(services.set_exits(account.pk, wish, market, market_at=T0).denial)

    assert denial(quote("100")) == "NO_POSITION symbol=XUSDT"
    place(account, "OPEN_LONG", quantity=D(1), take_profit=D(120))
    assert denial(quote("100")) == "None"
    held = Position.objects.get()
    assert (held.stop_loss, held.take_profit, held.invalidation) == (D(95), None, "below 95")
    assert denial(quote("94")) == "EXITS_ON_WRONG_SIDE exit=stop_loss level=95 price=94"
    assert denial(None) == "NO_QUOTE symbol=XUSDT"


def test_the_venue_is_never_called_inside_a_transaction():
    order = accept(account_of(make_book()), "OPEN_LONG", quantity=D(1))
    with transaction.atomic(), pytest.raises(RuntimeError, match="outside any transaction"):
        report_for(order)


def test_venues_that_are_not_armed_say_so():
    with pytest.raises(VenueError, match="binance-demo is armed from the execution issue on"):
        open_venue(Venue.BINANCE_DEMO)


def test_a_fill_is_booked_once_per_trade_id_by_the_database_too():
    order = place(account_of(make_book()), "OPEN_LONG", quantity=D(1))
    fill = order.fills.get()
    fill.pk, fill.seq = uuid.uuid4(), 2
    with pytest.raises(IntegrityError), transaction.atomic():
        fill.save(force_insert=True)


@pytest.mark.parametrize("model", [Fill, Posting])
def test_ledger_rows_never_change(model: type[Fill | Posting]):
    place(account_of(make_book()), "OPEN_LONG", quantity=D(1))
    field = "price" if model is Fill else "amount"
    with pytest.raises(Exception, match="append-only, UPDATE refused"), transaction.atomic():
        model.objects.update(**{field: D(1)})


def test_the_number_of_queries_of_an_order_does_not_grow(django_assert_max_num_queries):
    account = account_of(make_book())
    for _ in range(20):
        place(account, "OPEN_LONG", quantity=D("0.1"))
    with django_assert_max_num_queries(27):
        place(account, "OPEN_LONG", quantity=D("0.1"))


def test_a_symbol_with_a_largest_order_is_closed_by_hand_in_pieces():
    rules = make_rules(instruments=(spec(max_quantity=D(3)),))
    account = account_of(make_book(rules=rules))
    place(account, "OPEN_LONG", quantity=D(3))
    place(account, "OPEN_LONG", quantity=D(2))
    assert place(account, "CLOSE").denial_code == "ABOVE_MAX_QUANTITY"
    assert place(account, "REDUCE", quantity=D(3)).status == OrderStatus.FILLED
    assert place(account, "CLOSE", marks={}).status == OrderStatus.FILLED


def test_without_the_marks_of_its_positions_an_account_opens_nothing_but_gets_out():
    account = account_of(make_book())
    place(account, "OPEN_LONG", symbol="YUSDT", quantity=D(1))
    place(account, "OPEN_LONG", quantity=D(1))
    refused = place(account, "OPEN_LONG", quantity=D(1), marks={})
    assert (refused.denial_code, refused.denial_context) == ("NO_QUOTE", {"symbol": "YUSDT"})
    assert place(account, "CLOSE", marks={}).status == OrderStatus.FILLED
