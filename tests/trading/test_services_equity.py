"""Equity points, standings and rollups at one mark time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.trading.builders import T0, D, at, make_rules, quote
from tests.trading.ledger import accept, account_of, make_book, place, tell
from trading import services
from trading.models import EquityPoint, EquityRollup
from trading.models.accounts import RollupSpan
from trading.selectors import check_invariants, marks_at, tape_events

pytestmark = pytest.mark.django_db


def record(book, number: int, minutes: int, **marks: str):
    return services.record_equity(
        book.pk,
        number=number,
        at=at(minutes),
        marks={symbol: D(mark) for symbol, mark in marks.items()},
        now=T0,
    )


def test_every_account_gets_a_point_at_one_mark():
    book = make_book(accounts=2)
    place(account_of(book, 1), "OPEN_LONG", quantity=D(10), leverage=2)
    place(account_of(book, 2), "OPEN_SHORT", quantity=D(5))
    points = record(book, 1, 15, XUSDT="110")
    # fees .5 and .25; +100 and -50; margin 10*110/2 and 5*110
    assert [
        (point.account.ordinal, point.equity, point.unrealised, point.used_margin)
        for point in points
    ] == [(1, D("10099.5"), D(100), D(550)), (2, D("9949.75"), D(-50), D(550))]
    standing = account_of(book, 2).standing
    assert (standing.number, standing.at, standing.equity) == (1, at(15), D("9949.75"))
    assert (standing.exposure, standing.gross_exposure) == (D(-550), D(550))
    assert standing.peak == D(10000)
    assert standing.max_drawdown == D("0.005025")  # 50.25 / 10000
    assert check_invariants(book) == []


def test_a_number_is_recorded_once():
    book = make_book()
    place(account_of(book), "OPEN_LONG", quantity=D(10))
    first = record(book, 1, 15, XUSDT="110")
    again = record(book, 1, 20, XUSDT="500")
    assert again == first
    assert EquityPoint.objects.filter(number=1).count() == 1
    assert account_of(book).standing.equity == D("10099.5")


def test_what_waits_is_used_margin():
    book = make_book()
    accept(account_of(book), "OPEN_LONG", quantity=D(10))
    assert record(book, 1, 15)[0].used_margin == D("1000.5")


def test_used_margin_is_that_of_the_books_own_rules():
    isolated = make_book(rules=make_rules(acts_between_rounds=True, margin_mode="isolated"))
    cfd = make_book(rules=make_rules(acts_between_rounds=True, margin_model="cfd"))
    for book in (isolated, cfd):
        place(account_of(book), "OPEN_LONG", quantity=D(10), leverage=2)

    # Isolated: 1000 / 2 put up and the gain of 100. CFD: 10 % of 1100, whatever the leverage.
    assert record(isolated, 1, 15, XUSDT="110")[0].used_margin == D(600)
    assert account_of(isolated).standing.used_margin == D(600)
    assert record(cfd, 1, 15, XUSDT="110")[0].used_margin == D(110)


def test_the_peak_and_the_largest_fall_are_kept():
    book = make_book()
    place(account_of(book), "OPEN_LONG", quantity=D(10))
    for number, price in enumerate(("200", "150", "180", "300"), start=1):
        record(book, number, number, XUSDT=price)
    # equities 10999.5, 10499.5, 10799.5, 11999.5: the fall of 500 from 10999.5
    standing = account_of(book).standing
    assert (standing.peak, standing.max_drawdown) == (D("11999.5"), D("0.0454566117"))
    assert check_invariants(book) == []


def test_hours_and_days_keep_first_low_high_and_last():
    book = make_book()
    place(account_of(book), "OPEN_LONG", quantity=D(10))
    for number, (minutes, price) in enumerate(
        ((10, "110"), (20, "90"), (50, "120"), (70, "100")), start=1
    ):
        record(book, number, minutes, XUSDT=price)
    hours = EquityRollup.objects.filter(span=RollupSpan.HOUR).order_by("start_at")
    assert [(row.start_at, row.first, row.low, row.high, row.last) for row in hours] == [
        (at(0), D("10099.5"), D("9899.5"), D("10199.5"), D("10199.5")),
        (at(60), D("9999.5"), D("9999.5"), D("9999.5"), D("9999.5")),
    ]
    day = EquityRollup.objects.get(span=RollupSpan.DAY)
    assert day.start_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert (day.first, day.low, day.high, day.last) == (
        D("10099.5"),
        D("9899.5"),
        D("10199.5"),
        D("9999.5"),
    )


def test_marks_that_are_missing_come_off_the_tape_or_are_named():
    book = make_book()
    place(account_of(book), "OPEN_LONG", quantity=D(10))
    with pytest.raises(KeyError, match="a mark of XUSDT is wanted"):
        record(book, 1, 15)
    tell(book, quote("120"))
    assert record(book, 1, 15)[0].equity == D("10199.5")


def test_recording_takes_as_many_queries_for_many_accounts(django_assert_max_num_queries):
    book = make_book(accounts=12)
    for account in book.accounts.all():
        place(account, "OPEN_LONG", quantity=D(1))
    with django_assert_max_num_queries(16):
        record(book, 1, 15, XUSDT="110")


def test_the_tape_counts_its_events_and_reads_them_back():
    book = make_book()
    first = [quote("100"), quote("50", "YUSDT")]
    assert tell(book, *first) == 2
    assert tell(book) == 2
    assert tell(book, quote("101", minutes=1)) == 3
    book.refresh_from_db()
    assert (book.tape_position, book.tape_segments) == (3, 2)
    assert [(row.seq, row.first_position, row.count) for row in book.tape.order_by("seq")] == [
        (1, 0, 2),
        (2, 2, 1),
    ]
    assert [event.quote for event in tape_events(book.pk)] == [*first, quote("101", minutes=1)]


def test_marks_of_a_tape_position_know_nothing_later():
    book = make_book()
    tell(book, quote("100"), quote("50", "YUSDT"))
    tell(book, quote("101"), quote("102"))
    symbols = {"XUSDT", "YUSDT", "ZUSDT"}
    assert marks_at(book.pk, symbols, tape_position=4) == {"XUSDT": D(102), "YUSDT": D(50)}
    assert marks_at(book.pk, symbols, tape_position=3) == {"XUSDT": D(101), "YUSDT": D(50)}
    assert marks_at(book.pk, symbols, tape_position=1) == {"XUSDT": D(100)}
    assert marks_at(book.pk, symbols, tape_position=0) == {}
