"""The market shown to the accounts of a book between their turns: what it sets off is written once, and adds up."""

from __future__ import annotations

import pytest
from django.utils import timezone

from marketdata.domain.facts import Quote, Timeframe
from tests.trading.builders import T0, D, at, make_rules, quote, tier_table
from tests.trading.ledger import account_of, make_book, place, tell
from tests.trading.resting import candle
from trading import services
from trading.domain.acting import Bars, Funding, Ticks
from trading.models import Fill, Order, Position, Posting, Standing
from trading.models.accounts import AccountStatus
from trading.models.books import ActKind, BookState
from trading.models.orders import OrderCause, OrderStatus
from trading.selectors import check_invariants, has_stakes, tape_events

pytestmark = pytest.mark.django_db

# One tier: half of the initial margin at the instrument's highest leverage of 50.
ACTING = {"acts_between_rounds": True, "resting_orders": True}


def acting_book(**changes):
    return make_book(rules=make_rules(**{**ACTING, **changes}))


def tick(book, price: str, symbol: str = "XUSDT", *, minutes: int = 1):
    told = quote(price, symbol, minutes=minutes)
    return services.advance_book(
        book.pk, [Ticks(told.at, {symbol: told})], until=told.at, now=timezone.now()
    )


def bars(since: int, until: int, *prices: str, symbol: str = "XUSDT") -> Bars:
    """Return one-minute bars of ``open high low close`` from minute ``since`` on."""
    candles = [candle(text, minutes=since + place) for place, text in enumerate(prices)]
    return Bars(at(since), at(until), {symbol: (Timeframe.M1, candles)})


def show(book, *facts, until: int):
    return services.advance_book(book.pk, list(facts), until=at(until), now=timezone.now())


def hold(book, quantity: str = "10", *, price: str = "100", symbol: str = "XUSDT", **fields):
    """Let the first account buy at ``price``, told on the tape as a round tells it."""
    told = quote(price, symbol)
    tell(book, told)
    order = place(
        account_of(book), "OPEN_LONG", told, symbol=symbol, quantity=D(quantity), **fields
    )
    assert order.status == OrderStatus.FILLED
    return order


def test_a_stop_closes_at_the_price_that_reached_it_and_is_written_down_whole():
    book = acting_book()
    hold(book, stop_loss=D(95))

    (happening,) = tick(book, "94")

    # Fees of 5 bps: 0.5 in, 0.47 out; 10 x (94 - 100) lost.
    account = account_of(book)
    assert account.wallet == D("10000") - D("0.5") - 60 - D("0.47")
    order = Order.objects.get(cause=OrderCause.EXIT)
    assert order.client_order_id == f"a{book.code}-p1-1-sl"
    assert (order.status, order.kind, order.trigger_price) == ("FILLED", "STOP_MARKET", D(95))
    fill = order.fills.get()
    assert (fill.price, fill.quantity, fill.realised, fill.fee) == (94, 10, -60, D("0.47"))
    assert fill.by_market
    assert fill.tape_position == 2
    assert fill.latency_ms is not None
    position = Position.objects.get()
    assert (position.status, position.realised) == ("CLOSED", -60)
    standing = Standing.objects.get(account=account)
    assert (standing.fills, standing.trades, standing.wins) == (2, 1, 0)
    assert [held.seq for held in happening.closed] == [1]
    assert check_invariants(book) == []


def test_a_tick_that_changes_nothing_leaves_nothing():
    book = acting_book()
    hold(book, stop_loss=D(95))
    book.refresh_from_db()

    assert tick(book, "96") == []

    assert [event.kind for event in tape_events(book.pk)] == ["quote"]
    before = (book.tape_position, book.advanced_to)
    book.refresh_from_db()
    assert (book.tape_position, book.advanced_to) == before


def test_of_two_exits_one_acts_and_takes_the_other_with_it():
    book = acting_book()
    hold(book, stop_loss=D(95), take_profit=D(110))

    tick(book, "111")
    tick(book, "94", minutes=2)

    assert [order.client_order_id[-2:] for order in Order.objects.filter(cause="EXIT")] == ["tp"]
    assert account_of(book).wallet == D("10000") - D("0.5") + 110 - D("0.555")


def test_a_trailing_exit_follows_and_what_it_followed_to_is_kept():
    book = acting_book()
    hold(book)
    setting = services.set_exits(
        account_of(book).pk,
        wish=_trailing("5"),
        quote=quote("100"),
        market_at=T0,
    )
    assert setting.denial is None

    tick(book, "120")
    assert Position.objects.get().trail_extreme == 120
    # 5 % behind 120 is 114.
    assert tick(book, "114.01", minutes=2) == []
    (happening,) = tick(book, "114", minutes=3)

    assert [fill.exit_name for fill in happening.fills] == ["trailing"]
    assert check_invariants(book) == []


def _trailing(rate: str):
    from trading.domain.intents import Exits, Wish, WishAction

    class Trailing(Wish):
        __slots__ = ()

        @property
        def exits(self):
            return Exits(callback_rate=D(rate))

    return Trailing(action=WishAction.SET_EXITS, symbol="XUSDT")


def test_a_loss_beyond_the_account_is_paid_by_the_insurance_and_nobody_else():
    book = make_book(accounts=2, rules=make_rules(**ACTING))
    # 100,000 at 20 times: wallet 9,950 after the fee; liquidated where 9,950 + 1000 x (p - 100) <= 10 p, at 90.9595...
    hold(book, "1000", leverage=20)
    assert tick(book, "90.96") == []

    (happening,) = tick(book, "90", minutes=2)

    account = account_of(book)
    assert happening.is_wiped_out
    assert (account.wallet, account.status) == (0, AccountStatus.LIQUIDATED)
    lines = Posting.objects.filter(book=book, cause_id="liq:1:2").values_list("house", "amount")
    # 9,950 less 10,000 leaves 50 short.
    assert dict(lines.filter(account=None)) == {"CLEARING": 10000, "INSURANCE": -50}
    assert account_of(book, 2).wallet == 10000
    order = Order.objects.get(cause=OrderCause.LIQUIDATION)
    assert order.client_order_id == f"a{book.code}-p1-1-liq"
    assert check_invariants(book) == []


def test_a_liquidated_account_takes_no_more_orders():
    book = acting_book()
    hold(book, "1000", leverage=20)
    tick(book, "80")

    refused = place(account_of(book), "OPEN_LONG", quantity=D(1))

    assert (refused.status, refused.denial_code) == ("DENIED", "ACCOUNT_NOT_ACTIVE")


def test_a_tier_table_of_the_book_decides_when():
    table = tier_table((0, 50000, "0.01", 0, 20), (50000, None, "0.025", 750, 20))
    book = acting_book(tiers=(table,))
    hold(book, "1000", leverage=20)

    # Equity at p is 1000 p - 90,050; maintenance is 25 p - 750 above 50,000: at p = 91.59 it is 1,539.75 against 1,540.
    assert tick(book, "91.60") == []
    assert tick(book, "91.58", minutes=2)


def test_funding_is_paid_once_by_what_was_held_at_the_stamp():
    book = acting_book()
    hold(book)
    stamp = Funding(at(60), "XUSDT", D("0.0001"), D(101))

    show(book, stamp, until=60)
    show(book, stamp, until=61)

    # 10 x 101 x 0.01 %
    assert account_of(book).wallet == D("10000") - D("0.5") - D("0.101")
    assert Position.objects.get().funding == D("-0.101")
    assert Standing.objects.get().funding == D("-0.101")
    assert Posting.objects.filter(kind="FUNDING").count() == 2
    assert check_invariants(book) == []


def test_missed_stamps_are_settled_in_order_each_once():
    book = acting_book()
    hold(book)
    stamps = [Funding(at(60 * hour), "XUSDT", D("0.0001"), D(100 + hour)) for hour in (1, 2, 3)]

    show(book, *stamps, until=180)
    show(book, *stamps, until=181)

    causes = Posting.objects.filter(kind="FUNDING", house="").order_by("at")
    assert [row.amount for row in causes] == [D("-0.101"), D("-0.102"), D("-0.103")]


def test_a_stamp_told_late_counts_what_was_held_then():
    book = acting_book()
    hold(book)
    later = quote("100", minutes=61)
    tell(book, later)
    place(account_of(book), "REDUCE", later, quantity=D(4), slip={"market_at": later.at})

    show(book, Funding(at(60), "XUSDT", D("0.0001"), D(100)), until=62)

    # 10 were held at the stamp, 6 are now.
    assert Position.objects.get().funding == D("-0.1")
    assert check_invariants(book) == []


def test_a_position_closed_since_the_stamp_pays_and_one_opened_since_does_not():
    book = acting_book()
    hold(book)
    later = quote("100", minutes=61)
    tell(book, later)
    place(account_of(book), "CLOSE", later, slip={"market_at": later.at})
    newer = quote("100", "YUSDT", minutes=61)
    tell(book, newer)
    place(
        account_of(book),
        "OPEN_LONG",
        newer,
        symbol="YUSDT",
        quantity=D(10),
        slip={"market_at": newer.at},
    )

    stamps = [Funding(at(60), symbol, D("0.0001"), D(100)) for symbol in ("XUSDT", "YUSDT")]
    show(book, *stamps, until=62)

    assert [row.funding for row in Position.objects.order_by("seq")] == [D("-0.1"), 0]
    assert check_invariants(book) == []


def test_bars_are_shown_once_and_gaps_fill_at_the_open():
    book = acting_book()
    hold(book, stop_loss=D(95))
    facts = bars(1, 3, "99 99 97 98", "92 93 91 92")

    first = show(book, facts, until=3)
    again = show(book, facts, until=3)

    assert [fill.price for happening in first for fill in happening.fills] == [92]
    assert again == []
    told = list(tape_events(book.pk))
    assert [event.kind for event in told] == ["quote", "bars"]
    assert told[1].bars["XUSDT"].count == 2
    book.refresh_from_db()
    assert book.advanced_to == at(3)


def test_liquidation_comes_before_the_stop_inside_a_bar():
    book = acting_book()
    hold(book, "1000", leverage=20, stop_loss=D(95))

    # The bar opens above the stop, and falls through it to below the liquidation price.
    (happening,) = show(book, bars(1, 2, "99 99 85 98"), until=2)

    assert [fill.cause for fill in happening.fills] == ["LIQUIDATION"]


def test_nothing_moves_in_a_halted_book():
    book = acting_book()
    hold(book, stop_loss=D(95))
    services.halt_book(book.pk, now=timezone.now())

    assert tick(book, "90") == []
    assert Fill.objects.count() == 1


def test_a_paused_book_still_stops_losses():
    book = acting_book()
    hold(book, stop_loss=D(95))
    services.change_state(
        book.pk,
        to=BookState.PAUSED,
        kind=ActKind.PAUSE,
        actor="mara",
        market_at=T0,
        now=timezone.now(),
    )

    assert len(tick(book, "90")) == 1


def test_a_book_whose_rules_do_not_act_is_left_alone():
    book = make_book()
    hold(book, stop_loss=D(95))

    assert tick(book, "50") == []


def test_an_order_knows_how_much_of_the_tape_came_before_it():
    book = acting_book()
    hold(book, stop_loss=D(95))
    tick(book, "94")
    told = quote("94", minutes=1)

    order = place(account_of(book), "OPEN_LONG", told, quantity=D(1), slip={"tape_position": 1})

    assert order.tape_position == 2
    assert order.fills.get().tape_position == 2


def test_something_is_at_stake_while_something_is_held_and_a_while_after():
    book = acting_book()
    assert not has_stakes(book.pk)
    hold(book, stop_loss=D(95))
    assert has_stakes(book.pk)

    tick(book, "94")

    # All of this was long ago.
    assert not has_stakes(book.pk)
    now = timezone.now()
    recent = Quote("XUSDT", now, D(100), D(100), D(100))
    tell(book, recent)
    for action, fields in (("OPEN_LONG", {"quantity": D(1)}), ("CLOSE", {})):
        place(account_of(book), action, recent, slip={"market_at": now}, **fields)
    assert not Position.objects.open().exists()
    assert has_stakes(book.pk)


def test_a_tick_of_long_ago_is_booked_with_the_longest_latency_there_is():
    book = acting_book()
    hold(book, stop_loss=D(95))

    # The tick bears a time of months ago.
    tick(book, "94")

    assert Fill.objects.get(by_market=True).latency_ms == 2**31 - 1
