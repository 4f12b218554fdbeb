"""A whole season whose market acts between the rounds: what it set off is on record, and can be played again."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from agents.domain.baselines import BASELINES
from competitions.models import Event, Participant
from competitions.models.competitions import ClockKind, FillRule
from competitions.services import settling
from competitions.services.advancing import advance_live
from competitions.services.driving import drive
from competitions.services.verifying import verify_season
from marketdata.domain.facts import Candle, Quote
from marketdata.models import Candle as CandleRow
from marketdata.models import CandleSeries, FundingRate
from tests.builders import (
    STARTS_AT,
    Model,
    baselines,
    make_model,
    make_replay_feed,
    make_season,
    make_synthetic_feed,
    start_season,
)
from tests.competitions.tampering import unlocked
from tests.fakes.season_server import SeasonServer
from trading import services as trading
from trading.domain.acting import Ticks
from trading.models import Account, Fill, Order, Position, Posting, TapeSegment
from trading.models.orders import OrderCause

pytestmark = pytest.mark.django_db

SAYER = Model("sayer", "says-what-it-is-told")
ACTING = {"acts_between_rounds": True, "resting_orders": True, "slippage_bps": Decimal(0)}


def opening(**fields: str | int) -> str:
    wish = {"action": "open_long", "symbol": "BTCUSDT", **fields}
    return json.dumps({"summary": "One order.", "instructions": [wish]})


def store(minutes: dict[int, str], count: int = 130, source: str = "made"):
    """Store one-minute candles of BTCUSDT that stand at 100,000, but for those given as ``open high low close`` by minute of the season."""
    row = CandleSeries.objects.create(source=source, symbol="BTCUSDT", timeframe="1m")
    before = 120
    candles = []
    for minute in range(-before, count):
        prices = minutes.get(minute, "100000 100000 100000 100000")
        figures = map(Decimal, prices.split())
        candles.append(Candle(STARTS_AT + timedelta(minutes=minute), *figures, Decimal(1)))
    CandleRow.objects.store(row, candles)
    return make_replay_feed(source)


def play(feed, say: str, *, rounds: int = 3, **fields):
    with SeasonServer() as server:
        server.say = say
        roster = [*baselines("cash"), make_model(SAYER, server.url)]
        season = make_season("season", feed, roster, symbols=["BTCUSDT"], **{**ACTING, **fields})
        season = start_season(season)
        list(drive(season, rounds=rounds))
    season.refresh_from_db()
    return season


def agrees(season) -> None:
    report = verify_season(season)
    assert report.problems == []


def test_a_stop_between_two_rounds_closes_at_its_price():
    # The first round buys at the open of minute 0; minute 2 falls through the stop and comes back.
    feed = store({2: "99900 99900 96000 99000"})
    season = play(feed, opening(margin_fraction="0.1", leverage=1, stop_loss="98000"), rounds=2)

    ending = Order.objects.get(cause=OrderCause.EXIT)
    assert ending.fills.get().price == 98000
    assert Fill.objects.filter(by_market=True).count() == 1
    filled = Event.objects.filter(competition=season, kind="order_filled")
    assert [event.payload.get("cause") for event in filled] == [None, "stop_loss", None]
    agrees(season)


def test_a_position_is_liquidated_between_rounds_and_the_participant_goes_on_with_what_is_left():
    feed = store({3: "100000 100000 80000 90000"})
    season = play(
        feed,
        opening(margin_fraction="0.9", leverage=10),
        rounds=3,
        max_position_size_pct=Decimal(100),
        max_margin_usage_pct=Decimal(100),
    )

    assert Order.objects.filter(cause=OrderCause.LIQUIDATION).exists()
    participant = Participant.objects.get(competition=season, slug=SAYER.slug)
    account = Account.objects.get(pk=participant.account_id)
    assert account.wallet >= 0
    assert Event.objects.filter(competition=season, kind="liquidation").exists()
    agrees(season)


def test_funding_is_settled_at_its_stamp_and_what_is_verified():
    feed = store({})
    FundingRate.objects.create(
        source="made",
        symbol="BTCUSDT",
        at=STARTS_AT + timedelta(minutes=5),
        rate=Decimal("0.0001"),
        mark=None,
    )
    season = play(feed, opening(quantity="0.02", leverage=1), rounds=2)

    # Bought 0.02 in round 1, paid at the stamp of round 2's slot before that round bought again: 0.02 x 100,000 x 0.01 %.
    (paid,) = Posting.objects.filter(kind="FUNDING", house="").values_list("amount", flat=True)
    assert paid == Decimal("-0.2")
    agrees(season)


def test_the_tape_names_every_candle_and_a_changed_one_is_found():
    feed = store({2: "99900 99900 96000 99000"})
    season = play(feed, opening(margin_fraction="0.1", stop_loss="98000"), rounds=2)
    agrees(season)

    row = CandleRow.objects.get(open_at=STARTS_AT + timedelta(minutes=3))
    with unlocked(CandleRow):
        CandleRow.objects.filter(pk=row.pk).delete()
    CandleSeries.objects.update(revision=5)

    problems = verify_season(season).problems
    assert any("candles of BTCUSDT" in problem for problem in problems)


def test_a_season_played_again_has_the_same_digest():
    feed = store({2: "99900 99900 96000 99000", 8: "100000 103000 100000 103000"})
    say = opening(margin_fraction="0.1", stop_loss="98000", take_profit="102000")
    first = play(feed, say, rounds=3)
    digests = list(first.rounds.order_by("number").values_list("digest", flat=True))
    first.slug = "other"
    first.save(update_fields=["slug"])

    second = play(feed, say, rounds=3)

    assert list(second.rounds.order_by("number").values_list("digest", flat=True)) == digests
    assert len(set(digests)) == 3


def test_a_digest_covers_what_the_market_set_off():
    season = play(
        store({2: "99900 99900 96000 99000"}),
        opening(margin_fraction="0.1", stop_loss="98000"),
        rounds=2,
    )
    from competitions.services.records import round_record

    closing = season.rounds.get(number=2)
    (between,) = round_record(closing).between
    assert [fill.cause for fill in between.fills] == ["stop_loss"]
    assert [line.kind for line in between.postings] == ["REALISED", "REALISED", "FEE", "FEE"]


def test_a_live_season_is_shown_the_quotes_of_now(monkeypatch):
    feed = make_synthetic_feed()
    with SeasonServer() as server:
        server.say = opening(margin_fraction="0.1", stop_loss="1")
        roster = [make_model(SAYER, server.url)]
        season = make_season(
            "live",
            feed,
            roster,
            symbols=["BTCUSDT"],
            clock=ClockKind.WALL,
            fill_rule=FillRule.ARRIVAL,
            starts_at=None,
            interval_seconds=2,
            deadline_seconds=2,
            **ACTING,
        )
        season = start_season(season)
        list(drive(season, rounds=1))
    held = Position.objects.open().get()
    mark = held.average_entry
    segments = TapeSegment.objects.count()

    assert advance_live(now=timezone.now()) == 1
    assert TapeSegment.objects.count() == segments

    # Now the stop lies above any price there can be.
    Position.objects.filter(pk=held.pk).update(stop_loss=mark * 2)
    assert advance_live(now=timezone.now()) == 1

    fill = Fill.objects.get(by_market=True)
    assert fill.latency_ms is not None
    assert not Position.objects.open().exists()
    season.refresh_from_db()
    assert Event.objects.filter(competition=season, kind="position_closed").exists()


def test_orders_after_a_tick_that_came_before_them_are_checked_at_its_marks(monkeypatch):
    eth = {"action": "open_long", "symbol": "ETHUSDT", "margin_fraction": "0.01", "leverage": 1}
    btc = {**eth, "symbol": "BTCUSDT", "margin_fraction": "0.1"}
    script = [[{**eth, "take_profit": "100000"}], [btc, eth]]

    def say(context):
        wishes = script[context.round_number - 1]
        return json.dumps({"summary": "As written.", "instructions": wishes})

    monkeypatch.setitem(BASELINES, "cash", say)
    season = start_season(
        make_season(
            "live",
            make_synthetic_feed(),
            baselines("cash"),
            symbols=["BTCUSDT", "ETHUSDT"],
            clock=ClockKind.WALL,
            fill_rule=FillRule.ARRIVAL,
            starts_at=None,
            interval_seconds=4,
            deadline_seconds=4,
            **ACTING,
        )
    )
    list(drive(season, rounds=1))
    real = settling._arrival_quotes

    def overtaken(*given):
        position, quotes = real(*given)
        # BTC 10 % up, ETH beyond its target.
        marks = {
            "BTCUSDT": quotes["BTCUSDT"].mark * Decimal("1.1"),
            "ETHUSDT": Decimal(100_001),
        }
        now = timezone.now()
        told = {symbol: Quote(symbol, now, mark, mark, mark) for symbol, mark in marks.items()}
        assert trading.advance_book(season.book_id, [Ticks(now, told)], until=now, now=now)
        return position, quotes

    monkeypatch.setattr(settling, "_arrival_quotes", overtaken)
    list(drive(season, rounds=1))

    assert Order.objects.filter(turn_key__endswith="-2-1", status="FILLED").count() == 2
    season.refresh_from_db()
    agrees(season)


def test_nothing_is_shown_where_nothing_is_at_stake():
    season = make_season(
        "live",
        make_synthetic_feed(),
        baselines("cash"),
        symbols=["BTCUSDT"],
        clock=ClockKind.WALL,
        fill_rule=FillRule.ARRIVAL,
        starts_at=None,
        interval_seconds=2,
        deadline_seconds=2,
        **ACTING,
    )
    start_season(season)

    assert advance_live(now=timezone.now()) == 0
