"""Opening and closing rounds: each slot once, what was missed as one gap, bad markets held through, and the season's end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from competitions.models import Competition, Event, Gap, Round, Turn
from competitions.models.competitions import ClockKind, FillRule
from competitions.services.control import pause_competition, resume_competition
from competitions.services.driving import drive
from competitions.services.rounds import finish_round, open_due_round, prepare_round
from competitions.services.sweeping import sweep
from competitions.services.turns import play_turns
from competitions.services.verifying import verify_season
from marketdata.models import Candle, CandleSeries
from tests.builders import (
    STARTS_AT,
    WARM_UP,
    baselines,
    make_season,
    make_synthetic_feed,
    start_season,
    store_market,
    walk,
)
from trading.models import EquityPoint, Position

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def replayed() -> Competition:
    """Return a running season on the data's clock: a slot each five minutes from 12:00."""
    feed = store_market(120 + 60)
    return start_season(make_season("replayed", feed, baselines("buy_and_hold", "cash")))


@pytest.fixture
def hour() -> datetime:
    """Return the next full hour, so that slots of a minute are not past yet."""
    return timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


@pytest.fixture
def walled(hour: datetime) -> Competition:
    """Return a running season on the wall clock: a slot each minute from the next full hour on."""
    draft = make_season(
        "walled",
        make_synthetic_feed(),
        baselines("cash"),
        clock=ClockKind.WALL,
        fill_rule=FillRule.SNAPSHOT,
        interval_seconds=60,
        deadline_seconds=60,
        starts_at=hour,
        max_rounds=None,
    )
    return start_season(draft)


def play(round_: Round | None, *, now: datetime | None = None) -> Round:
    """Play an opened round to its end; its turns end with the round's deadline, whatever ``now`` says."""
    assert round_ is not None
    at = now or timezone.now()
    play_turns(round_.pk, prepare_round(round_.pk, now=at))
    round_.refresh_from_db()
    return round_


def slots(season: Competition) -> list[tuple[int, datetime]]:
    return list(season.rounds.order_by("number").values_list("number", "slot_at"))


# --- slots --------------------------------------------------------------------------------------


def test_a_doubled_tick_opens_one_round(walled, hour):
    first = open_due_round(walled.pk, now=hour)
    again = open_due_round(walled.pk, now=hour)

    assert first is not None
    assert again is None
    play(first)
    assert open_due_round(walled.pk, now=hour + timedelta(seconds=1)) is None
    assert slots(walled) == [(1, hour)]


def test_nothing_opens_before_its_slot(walled, hour):
    assert open_due_round(walled.pk, now=hour - timedelta(milliseconds=1)) is None
    walled.refresh_from_db()
    assert (walled.round_count, walled.next_due_at) == (0, hour)


def test_a_replay_opens_slot_after_slot_whatever_the_time(replayed):
    now = timezone.now()
    for _ in range(3):
        play(open_due_round(replayed.pk, now=now))

    wanted = [(1, STARTS_AT), (2, STARTS_AT + 5 * MINUTE), (3, STARTS_AT + 10 * MINUTE)]
    assert slots(replayed) == wanted
    assert not Gap.objects.exists()


def test_each_round_has_one_turn_for_each_participant_and_one_snapshot_for_all(replayed):
    round_ = play(open_due_round(replayed.pk, now=timezone.now()))

    turns = Turn.objects.filter(round=round_)
    assert sorted(turns.values_list("participant__slug", "outcome")) == [
        ("buy-and-hold", "TRADED"),
        ("cash", "HELD"),
    ]
    assert round_.snapshot is not None
    assert round_.snapshot.as_of == STARTS_AT


# --- gaps ---------------------------------------------------------------------------------------


def test_slots_missed_while_the_arena_was_down_become_one_gap(walled, hour):
    play(open_due_round(walled.pk, now=hour))
    Round.objects.update(closed_at=hour + timedelta(seconds=5))

    # The slots of :01 to :09 passed; at :10:20 the one of :10 may still be played.
    late = open_due_round(walled.pk, now=hour + timedelta(minutes=10, seconds=20))

    assert late is not None
    assert (late.number, late.slot_at) == (2, hour + 10 * MINUTE)
    gap = Gap.objects.get()
    assert (gap.from_at, gap.to_at, gap.missed_slots) == (hour + MINUTE, hour + 10 * MINUTE, 9)
    assert gap.reason == "the arena was not running"


def test_a_slot_is_too_late_after_half_its_interval(walled, hour):
    assert open_due_round(walled.pk, now=hour + timedelta(seconds=31)) is None

    gap = Gap.objects.get()
    assert (gap.from_at, gap.to_at, gap.missed_slots) == (hour, hour + MINUTE, 1)
    # Told once, though the clock looks every second.
    assert open_due_round(walled.pk, now=hour + timedelta(seconds=32)) is None
    assert Gap.objects.count() == 1
    following = open_due_round(walled.pk, now=hour + MINUTE)
    assert following is not None
    assert (following.number, following.slot_at) == (1, hour + MINUTE)


def test_a_round_that_outlasts_slots_leaves_a_gap_that_says_so(walled, hour):
    first = open_due_round(walled.pk, now=hour)
    assert open_due_round(walled.pk, now=hour + 2 * MINUTE) is None, "the first still runs"
    play(first)
    Round.objects.update(closed_at=hour + timedelta(minutes=3, seconds=10))

    second = open_due_round(walled.pk, now=hour + timedelta(minutes=3, seconds=11))

    assert second is not None
    assert second.slot_at == hour + 3 * MINUTE
    gap = Gap.objects.get()
    assert (gap.missed_slots, gap.reason) == (2, "round 1 was still running")


def test_a_pause_leaves_a_gap_that_says_so(walled, hour):
    play(open_due_round(walled.pk, now=hour))
    Round.objects.update(closed_at=hour + timedelta(seconds=5))
    paused = pause_competition(
        walled, actor="mara", reason="lunch", after_round=False, now=hour + timedelta(seconds=30)
    )
    assert open_due_round(walled.pk, now=hour + 2 * MINUTE) is None
    resume_competition(paused, actor="mara", now=hour + timedelta(minutes=4, seconds=40))

    # The slots of :01 to :04 fell into the pause; :04 could be played until :04:30.
    assert open_due_round(walled.pk, now=hour + timedelta(minutes=4, seconds=40)) is None
    second = open_due_round(walled.pk, now=hour + 5 * MINUTE)

    assert second is not None
    gap = Gap.objects.get()
    assert (gap.from_at, gap.to_at, gap.missed_slots) == (hour + MINUTE, hour + 5 * MINUTE, 4)
    assert gap.reason == "the season was paused"


# --- markets without usable facts ---------------------------------------------------------------


@pytest.fixture
def holed() -> Competition:
    """Return a season over candles that are missing from 12:12 to 12:33: too old a price at 12:20, 12:25 and 12:30."""
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    feed = store_market(1, symbols=symbols, source="holed")
    for symbol in symbols:
        series = CandleSeries.objects.get(source="holed", symbol=symbol)
        candles = walk(symbol, 120 + 60, first=STARTS_AT - WARM_UP)
        hole = (STARTS_AT + 12 * MINUTE, STARTS_AT + 33 * MINUTE)
        kept = [candle for candle in candles[1:] if not hole[0] <= candle.open_at < hole[1]]
        Candle.objects.store(series, kept)
    draft = make_season(
        "holed", feed, baselines("buy_and_hold", "cash"), fill_rule=FillRule.SNAPSHOT, max_rounds=9
    )
    return start_season(draft)


def test_a_round_without_market_data_holds_all_and_the_season_goes_on(holed):
    rounds = list(drive(holed, rounds=None))

    assert [round_.number for round_ in rounds if not round_.has_data] == [5, 6, 7]
    held = Turn.objects.filter(round__number=5)
    assert {turn.outcome for turn in held} == {"HELD"}
    assert {turn.reason[:44] for turn in held} == {"no usable market data: BTCUSDT NO_QUOTE, ETH"}
    # The money stays at the last marks that the tape holds, those of round 4.
    points = EquityPoint.objects.filter(account__participant__slug="buy-and-hold")
    equity = dict(points.values_list("number", "equity"))
    assert Position.objects.open().count() == 3
    assert equity[5] == equity[6] == equity[7] == equity[4]
    assert equity[8] != equity[4]
    holed.refresh_from_db()
    assert (holed.status, holed.round_count) == ("FINISHED", 9)
    assert verify_season(holed).problems == []


# --- the end ------------------------------------------------------------------------------------


def test_a_season_finishes_when_all_its_rounds_are_played(replayed):
    Competition.objects.update(max_rounds=2)
    replayed.refresh_from_db()

    assert len(list(drive(replayed, rounds=None))) == 2

    replayed.refresh_from_db()
    assert (replayed.status, replayed.stop_reason) == ("FINISHED", "all 2 rounds played")
    assert len(replayed.season_digest) == 64
    assert Event.objects.filter(kind="competition_finished").count() == 1
    assert open_due_round(replayed.pk, now=timezone.now()) is None


def test_a_season_finishes_at_its_end_and_plays_no_slot_at_it(walled, hour):
    Competition.objects.update(ends_at=hour + 2 * MINUTE)
    for minute in (0, 1):
        play(open_due_round(walled.pk, now=hour + minute * MINUTE))

    assert open_due_round(walled.pk, now=hour + 2 * MINUTE) is None

    walled.refresh_from_db()
    assert (walled.status, walled.stop_reason) == ("FINISHED", "the end was reached")
    assert slots(walled) == [(1, hour), (2, hour + MINUTE)]


def test_a_replay_finishes_when_its_candles_do():
    feed = store_market(120 + 20)
    season = make_season("short", feed, baselines("cash"), max_rounds=None)
    start_season(season)

    rounds = list(drive(season, rounds=None))

    # Candles are held until 12:20, and a round at 12:20 would have no bar to fill on.
    assert [round_.slot_at.minute for round_ in rounds] == [0, 5, 10, 15]
    season.refresh_from_db()
    assert (season.status, season.stop_reason) == ("FINISHED", "the end was reached")


def test_a_round_that_only_lacks_its_closing_is_closed_by_the_sweeper(replayed):
    round_ = open_due_round(replayed.pk, now=timezone.now())
    assert round_ is not None
    prepare_round(round_.pk, now=timezone.now())
    settled = datetime(2026, 3, 2, tzinfo=UTC)
    Turn.objects.update(state="SETTLED", outcome="SKIPPED", reason="a test", settled_at=settled)

    left = sweep(now=timezone.now())

    assert (left.unprepared, left.turns) == ((), {})
    round_.refresh_from_db()
    assert round_.state == "CLOSED"
    assert finish_round(round_.pk, now=timezone.now()) is False


def test_a_round_without_its_snapshot_is_handed_out_again_by_the_sweeper(replayed):
    round_ = open_due_round(replayed.pk, now=timezone.now())
    assert round_ is not None

    assert sweep(now=round_.opened_at + timedelta(seconds=10)).unprepared == ()
    assert sweep(now=round_.opened_at + timedelta(seconds=16)).unprepared == (round_.pk,)
