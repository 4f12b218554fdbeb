"""What is told of an account: cover, exits, open orders, refusals, and what made each fill."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pytest

from competitions.selectors.accounts import account_of, drawdown_of
from competitions.selectors.activity import feed_of, with_happenings
from competitions.selectors.causes import cause_words, exit_of
from competitions.selectors.checks import figures_shown
from competitions.selectors.executions import executions_of, funding_of, happenings_of
from competitions.selectors.holdings import holdings_of, trades_of
from competitions.selectors.market import ClosingMarks
from competitions.selectors.orders import denials_of, fate_of, open_orders_of
from competitions.selectors.seasons import Grid, load_season
from tests.competitions.booked import (
    D,
    account_in,
    after,
    close,
    fill,
    fund,
    hold,
    order,
    play_exact,
)
from trading.domain.rules import MarginMode
from trading.models import Fill, Order, Standing
from trading.models.orders import OrderCause, OrderKind, OrderStatus

BTC = Grid("BTCUSDT", "BTC", D("0.1"), D("0.001"))


def at_marks(**marks: str) -> ClosingMarks:
    return ClosingMarks(after(5), {symbol: D(mark) for symbol, mark in marks.items()})


def shown_of(season, marks):
    [holder] = holdings_of(season, marks, order=season.entrants).holders
    return holder.positions


# --- positions and the account ----------------------------------------------------------------------


@pytest.mark.django_db
def test_an_isolated_position_is_told_with_what_covers_it():
    competition = play_exact()
    hold(
        account_in(competition),
        "0.02",
        "60000",
        realised=D(3),
        fees=D(2),
        funding=D("-0.5"),
        callback_rate=D(1),
        trail_extreme=D(61000),
    )

    [seen] = shown_of(load_season(competition), at_marks(BTCUSDT="55000"))

    assert (seen.mode, seen.outlook.ratio, seen.outlook.maintenance) == (
        "isolated",
        D("0.22"),
        D("4.4"),
    )
    assert seen.outlook.isolated_wallet == 120
    assert seen.outlook.bankruptcy_price == 54000
    assert seen.outlook.liquidation_price is not None
    assert round(seen.outlook.liquidation_price, 1) == D("54216.9")
    assert seen.is_close
    # 3 - 2 - .5 - 100
    assert seen.net == D("-99.5")
    assert seen.trail_trigger == 60390
    assert not seen.executes


@pytest.mark.django_db
def test_cross_positions_are_covered_by_their_own_account_alone():
    competition = play_exact(margin_mode=MarginMode.CROSS)
    account = account_in(competition)
    account.wallet = D(500)
    account.save()
    hold(account, "0.02", "60000")
    season = load_season(competition)

    [seen] = shown_of(season, at_marks(BTCUSDT="55000"))
    whole = account_of(season, season.entrants[0], at_marks(BTCUSDT="55000"))

    assert (seen.mode, seen.outlook.ratio, seen.outlook.bankruptcy_price) == (
        "cross",
        D("0.011"),
        None,
    )
    assert whole is not None
    assert (whole.equity, whole.used_margin, whole.free_margin) == (400, 110, 290)
    assert (whole.maintenance, whole.ratio, whole.level) == (D("4.4"), D("0.011"), None)


@pytest.mark.django_db
def test_what_open_orders_set_aside_is_not_free():
    competition = play_exact()
    account = account_in(competition)
    order(account, "BUY", "0.01", kind=OrderKind.LIMIT, limit_price=D(59000), reserved=D(59))
    season = load_season(competition)

    whole = account_of(season, season.entrants[0], at_marks())

    assert whole is not None
    assert (whole.reserved, whole.free_margin, whole.open_orders) == (59, 9941, 1)
    # Each position covers itself.
    assert (whole.maintenance, whole.ratio) == (None, None)


@pytest.mark.django_db
def test_without_marks_nothing_is_told_of_cover():
    competition = play_exact()
    hold(account_in(competition), "0.02", "60000")
    season = load_season(competition)

    [seen] = shown_of(season, at_marks())

    assert (seen.outlook.liquidation_price, seen.net, seen.is_close) == (None, None, False)
    assert account_of(season, season.entrants[0], at_marks()) is None


def test_a_drawdown_is_the_fall_from_the_peak():
    assert drawdown_of(Standing(equity=D(900), peak=D(1000))) == D("0.1")
    assert drawdown_of(Standing(equity=D(1000), peak=D(1000))) == 0


# --- orders -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_order_that_waits_is_told_with_its_prices_and_its_round():
    competition = play_exact()
    account = account_in(competition)
    order(
        account,
        "BUY",
        "0.01",
        kind=OrderKind.LIMIT,
        limit_price=D(59000),
        time_in_force="POST_ONLY",
        turn_key=f"{account.book.code}-7-1",
    )
    order(
        account,
        "SELL",
        "0.01",
        kind=OrderKind.TRAILING_STOP,
        callback_rate=D(1),
        trail_extreme=D(61000),
    )
    order(account, "BUY", "1", status=OrderStatus.FILLED)
    season = load_season(competition)

    limit, trail = open_orders_of(season, season.entrants[0])

    assert (limit.kind, limit.life, limit.number) == ("limit", "post only", 7)
    assert (trail.kind, trail.trail_trigger, trail.number) == ("trailing stop", 60390, None)


@pytest.mark.django_db
def test_refusals_are_told_in_words_those_at_a_trigger_too():
    competition = play_exact()
    account = account_in(competition)
    figures = {"free": "12.3", "needed": "45.00000001"}
    order(
        account,
        "BUY",
        "1",
        status=OrderStatus.DENIED,
        denial_code="INSUFFICIENT_MARGIN",
        denial_context=figures,
    )
    order(
        account,
        "BUY",
        "1",
        kind=OrderKind.STOP_MARKET,
        trigger_price=D(61000),
        status=OrderStatus.REJECTED,
        denial_code="INSUFFICIENT_MARGIN",
        denial_context=figures,
    )
    season = load_season(competition)

    later, first = denials_of(season, season.entrants[0])

    assert (first.refusal, first.figures) == ("INSUFFICIENT_MARGIN", "free 12.30, needed 45.00")
    assert (first.is_refused_at_trigger, later.is_refused_at_trigger) == (False, True)


@pytest.mark.parametrize(
    ("code", "context", "told"),
    [
        (
            "POSITION_SHARE_ABOVE_LIMIT",
            {"max": "25", "share": "34.1234"},
            "max 25.00\u00a0%, share 34.12\u00a0%",
        ),
        (
            "POSITION_SHARE_ABOVE_LIMIT",
            {"max": "25", "share": "25.00001"},
            "max 25, share 25.00001",
        ),
        (
            "TRIGGER_WOULD_FIRE_AT_ONCE",
            {"price": "60000", "trigger": "59000.5"},
            "price 60,000.0, trigger 59,000.5",
        ),
        ("NO_POSITION", {"symbol": "BTCUSDT"}, "symbol BTCUSDT"),
        ("NO_QUOTE", {}, ""),
    ],
)
def test_figures_of_a_refusal_have_the_form_of_the_page(code, context, told):
    assert figures_shown(code, context, BTC) == told


@pytest.mark.parametrize(
    ("status", "filled", "told"),
    [
        (OrderStatus.OPEN, None, "waits at 59,000.0"),
        (OrderStatus.PARTIAL, "0.4", "waits at 59,000.0, 0.400 of 1.000 filled at 59,000.0"),
        (OrderStatus.FILLED, "1", "filled at 59,000.0"),
        (OrderStatus.CANCELLED, None, "cancelled"),
        (OrderStatus.EXPIRED, "0.4", "expired, 0.400 of 1.000 filled at 59,000.0"),
        (OrderStatus.REJECTED, None, "rejected"),
    ],
)
def test_an_order_left_waiting_tells_its_fate(status, filled, told):
    placed = Order(status=status, quantity=D(1), limit_price=D(59000))
    fills = [] if filled is None else [Fill(quantity=D(filled), price=D(59000))]

    assert fate_of(placed, fills, BTC) == told


# --- fills ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "kind", "trade_id", "named", "words"),
    [
        ("INSTRUCTION", "MARKET", "a:1", None, "instruction"),
        ("INSTRUCTION", "LIMIT", "a:1", None, "instruction, limit order"),
        ("EXIT", "MARKET", "exit-1-stop_loss-1", "stop_loss", "stop loss"),
        ("EXIT", "STOP_MARKET", "exit-1-take_profit-2", "take_profit", "take profit"),
        ("EXIT", "TRAILING_STOP", "other", "trailing", "trailing stop"),
        ("EXIT", "MARKET", "exit-1-novelty-1", None, "exit"),
        ("LIQUIDATION", "MARKET", "liq-1-1", None, "liquidation"),
        ("DRAWDOWN", "MARKET", "x", None, "drawdown rule"),
        ("OPERATOR", "MARKET", "x", None, "operator"),
        ("EXTERNAL", "MARKET", "x", None, "booked from outside"),
    ],
)
def test_what_made_a_fill_is_told_in_words(cause, kind, trade_id, named, words):
    placed, made = Order(cause=cause, kind=kind), SimpleNamespace(trade_id=trade_id)

    assert (exit_of(placed, made), cause_words(placed, made)) == (named, words)


@pytest.mark.django_db
def test_a_closed_trade_tells_what_closed_it():
    competition = play_exact()
    account = account_in(competition)
    held = hold(account, "0.02", "60000")
    taken = order(account, "SELL", "0.02", cause=OrderCause.LIQUIDATION, status=OrderStatus.FILLED)
    fill(taken, "54200", at=after(3), trade_id="liq-1-1")
    close(held, "54200", at=after(3))
    season = load_season(competition)

    [trade] = trades_of(season, entrant=season.entrants[0])

    assert (trade.closed_by, trade.net) == ("liquidation", -116)


@pytest.mark.django_db
def test_the_feed_tells_what_happened_after_its_round_and_no_turns_own_fills():
    competition = play_exact()
    account = account_in(competition)
    stopped = order(account, "SELL", "0.02", cause=OrderCause.EXIT, status=OrderStatus.FILLED)
    fill(stopped, "58000", at=after(3), trade_id="exit-1-stop_loss-1")
    waited = order(
        account, "BUY", "0.01", kind=OrderKind.LIMIT, tape_position=4, status=OrderStatus.FILLED
    )
    fill(waited, "57000", at=after(4), tape_position=9, is_maker=True)
    asked = order(account, "BUY", "0.01", tape_position=4, status=OrderStatus.FILLED)
    fill(asked, "57000", at=after(4), tape_position=4)
    act = order(account, "SELL", "0.01", cause=OrderCause.OPERATOR, status=OrderStatus.FILLED)
    fill(act, "57000", at=after(4))
    season = load_season(competition)

    entries = with_happenings(season, feed_of(season))

    words = [entry.happening.cause if entry.happening else "round" for entry in entries]
    assert words == ["instruction, limit order", "stop loss", "round"]
    assert happenings_of(season, since=after(5), limit=9) == ()
    makers = [(line.cause, line.is_maker) for line in executions_of(season, season.entrants[0])]
    assert makers == [
        ("operator", False),
        ("instruction", False),
        ("instruction, limit order", True),
        ("stop loss", False),
    ]


@pytest.mark.django_db
def test_funding_is_told_stamp_by_stamp():
    competition = play_exact()
    fund(account_in(competition), "-0.25", at=after(2))
    fund(account_in(competition), "0.5", at=after(3), symbol="ETHUSDT")
    season = load_season(competition)

    told = [(line.base, line.amount) for line in funding_of(season, season.entrants[0])]

    assert told == [("ETH", Decimal("0.5")), ("BTC", Decimal("-0.25"))]
