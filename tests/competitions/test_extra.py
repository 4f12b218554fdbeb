"""Extra rounds: a turn beside the schedule that moves no slot, changes nothing for others, and is part of the proof."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from agents.models import Completion
from competitions.models import AuditEvent, Competition, Event, Gap, Round, Turn
from competitions.models.competitions import ClockKind, FillRule
from competitions.services import control
from competitions.services.driving import drive
from competitions.services.errors import ControlError
from competitions.services.extra import open_extra_round
from competitions.services.rounds import open_due_round, prepare_round
from competitions.services.sweeping import sweep
from competitions.services.turns import play_turns
from competitions.services.verifying import verify_season
from marketdata.models import Blob
from tests.arenas import SCRIPT, Arena
from tests.builders import (
    STARTS_AT,
    Model,
    baselines,
    import_market,
    make_main_season,
    make_model,
    make_season,
    make_synthetic_feed,
    start_season,
    store_market,
)
from tests.competitions.test_races import at_once
from tests.competitions.test_season import CLOSED, DOUBLED, digest_told
from tests.fakes.season_server import SeasonServer
from trading.models import EquityPoint, Fill

ROUNDS = 6
EXTRA_AFTER = 3
# The digest of the main season of six rounds with an extra one for two participants after the third: as stable as the plain one.
DIGEST = "ce632b490d83a3869669f276688ddba50f0dcdcbbbd39d0bb134452b7ec2a0f1"


def ask_for(season: Competition, *slugs: str, now: datetime | None = None) -> Round:
    """Open an extra round for some participants, for all when none is named."""
    wanted = season.participants.all()
    if slugs:
        wanted = wanted.filter(slug__in=slugs)
    return open_extra_round(season, wanted, actor="mara", now=now or timezone.now())


def play(round_: Round | None, *, now: datetime | None = None) -> Round:
    assert round_ is not None
    play_turns(round_.pk, prepare_round(round_.pk, now=now or timezone.now()))
    round_.refresh_from_db()
    return round_


@pytest.fixture
def replayed(db: None) -> Competition:
    """Return a season on the data's clock of which two rounds of five minutes were played."""
    roster = baselines("buy_and_hold", "cash", "random")
    season = start_season(make_season("replayed", store_market(120 + 60), roster))
    list(drive(season, rounds=2))
    season.refresh_from_db()
    return season


@pytest.fixture
def hour() -> datetime:
    return timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def make_walled(starts_at: datetime, **fields: Any) -> Competition:
    options: dict[str, Any] = {
        "clock": ClockKind.WALL,
        "fill_rule": FillRule.SNAPSHOT,
        "interval_seconds": 60,
        "deadline_seconds": 40,
        "starts_at": starts_at,
        "max_rounds": None,
        **fields,
    }
    roster = baselines("buy_and_hold", "cash")
    return start_season(make_season("walled", make_synthetic_feed(), roster, **options))


@pytest.fixture
def walled(db: None, hour: datetime) -> Competition:
    """Return a season on the wall clock, a slot each minute, whose first round was played."""
    season = make_walled(hour)
    play(open_due_round(season.pk, now=hour), now=hour)
    season.refresh_from_db()
    return season


def schedule(season: Competition) -> list[tuple[int, str, datetime]]:
    return list(season.rounds.order_by("number").values_list("number", "kind", "slot_at"))


# --- what it is ---------------------------------------------------------------------------------


def test_only_those_asked_for_have_a_turn_and_everybody_is_valued(replayed):
    round_ = play(ask_for(replayed, "random"))

    assert (round_.number, round_.kind, round_.state) == (3, "EXTRA", "CLOSED")
    turns = Turn.objects.filter(round=round_)
    assert list(turns.values_list("participant__slug", flat=True)) == ["random"]
    assert EquityPoint.objects.filter(number=3).count() == 3
    assert verify_season(replayed).problems == []


def test_it_is_told_to_viewers_and_kept_by_the_audit_log(replayed):
    round_ = ask_for(replayed, "random", "cash")

    event = Event.objects.filter(kind="round_start").order_by("-seq").first()
    assert event is not None
    assert (event.payload["round"], event.payload["kind"]) == (3, "EXTRA")
    assert round_.asked_by == "mara"
    act = AuditEvent.objects.get(action="extra round")
    assert (act.actor, act.detail) == ("mara", {"round": "3", "participants": "cash, random"})


def test_on_a_replay_it_sees_what_the_last_slot_saw_and_nothing_later(replayed):
    scheduled = Round.objects.get(competition=replayed, number=2)

    round_ = play(ask_for(replayed, "random"))

    assert round_.slot_at == scheduled.slot_at == STARTS_AT + timedelta(minutes=5)
    assert round_.snapshot is not None
    assert scheduled.snapshot is not None
    assert round_.snapshot.sha256 == scheduled.snapshot.sha256


def test_on_the_wall_clock_it_has_the_market_of_now_and_ends_with_the_next_slot(walled, hour):
    now = hour + timedelta(seconds=30)

    round_ = play(ask_for(walled, "buy-and-hold", now=now), now=now)

    assert (round_.slot_at, round_.deadline_at) == (now, hour + timedelta(seconds=60))
    assert round_.snapshot is not None
    assert round_.snapshot.as_of == now
    assert verify_season(walled).problems == []


def say(server: SeasonServer, action: str, **fields: Any) -> None:
    wish = {"action": action, "symbol": "BTCUSDT", **fields}
    server.say = json.dumps({"summary": action, "instructions": [wish]})


@pytest.mark.django_db
def test_a_position_closed_at_the_same_instant_is_told_once():
    """On a replay an extra round stands at the instant of the last slot: what it opens did not close what that one closed."""
    with SeasonServer() as server:
        roster = [make_model(Model("sayer", "says-a"), server.url)]
        season = start_season(make_season("season", store_market(120 + 60), roster))
        say(server, "open_long", margin_fraction="0.1", leverage=2)
        list(drive(season, rounds=1))
        say(server, "close")
        list(drive(season, rounds=1))
        say(server, "open_long", margin_fraction="0.1", leverage=2)
        play(ask_for(season))

    kinds = Event.objects.filter(kind__in=["order_filled", "position_closed"]).order_by("seq")
    assert list(kinds.values_list("payload__round", "kind")) == [
        (1, "order_filled"),
        (2, "order_filled"),
        (2, "position_closed"),
        (3, "order_filled"),
    ]
    assert verify_season(season).problems == []


# --- the schedule -------------------------------------------------------------------------------


def test_it_moves_no_slot_of_a_replay_and_counts_as_none_of_its_rounds(replayed):
    play(ask_for(replayed, "random"))
    list(drive(replayed, rounds=None))

    replayed.refresh_from_db()
    assert (replayed.status, replayed.round_count, replayed.extra_count) == ("FINISHED", 7, 1)
    scheduled = [slot for _, kind, slot in schedule(replayed) if kind == "SCHEDULED"]
    assert scheduled == [STARTS_AT + timedelta(minutes=5 * place) for place in range(6)]
    assert replayed.stop_reason == "all 6 rounds played"


def test_it_moves_no_slot_of_the_wall_clock(walled, hour):
    play(ask_for(walled, "cash", now=hour + timedelta(seconds=30)), now=hour)

    assert open_due_round(walled.pk, now=hour + timedelta(seconds=59)) is None
    play(open_due_round(walled.pk, now=hour + timedelta(seconds=60)), now=hour)

    minute = timedelta(minutes=1)
    assert schedule(walled) == [
        (1, "SCHEDULED", hour),
        (2, "EXTRA", hour + minute / 2),
        (3, "SCHEDULED", hour + minute),
    ]
    assert not Gap.objects.exists()


def test_a_slot_waits_for_an_extra_round_that_is_still_open(walled, hour):
    round_ = ask_for(walled, "cash", now=hour + timedelta(seconds=30))
    minute = timedelta(minutes=1)

    assert open_due_round(walled.pk, now=hour + minute) is None
    play(round_, now=hour + minute)
    late = open_due_round(walled.pk, now=hour + minute + timedelta(seconds=5))

    assert late is not None
    assert (late.number, late.slot_at) == (3, hour + minute)
    assert not Gap.objects.exists()


def test_a_slot_that_waited_too_long_is_a_gap_that_says_why(walled, hour):
    round_ = ask_for(walled, "cash", now=hour + timedelta(seconds=30))
    late = hour + timedelta(seconds=100)
    play(round_, now=late)
    Round.objects.filter(pk=round_.pk).update(closed_at=late)

    assert open_due_round(walled.pk, now=late) is None

    gap = Gap.objects.get()
    assert (gap.from_at, gap.missed_slots) == (hour + timedelta(minutes=1), 1)
    assert gap.reason == "round 2 was still running"


def test_the_last_scheduled_round_ends_the_season_whatever_extra_rounds_there_were(replayed):
    for rounds in (1, 1, 1):
        play(ask_for(replayed))
        list(drive(replayed, rounds=rounds))
    replayed.refresh_from_db()
    assert (replayed.status, replayed.scheduled_count, replayed.extra_count) == ("RUNNING", 5, 3)

    list(drive(replayed, rounds=None))

    replayed.refresh_from_db()
    assert (replayed.status, replayed.scheduled_count) == ("FINISHED", 6)


def test_a_driver_counts_scheduled_rounds_and_finishes_an_extra_one_that_was_left(replayed):
    ask_for(replayed, "cash")

    played = [(round_.number, round_.kind) for round_ in drive(replayed, rounds=1)]

    assert played == [(3, "EXTRA"), (4, "SCHEDULED")]


# --- what others are told -----------------------------------------------------------------------


def prompts_of(season: Competition, slug: str) -> list[str]:
    """Return everything that a participant was told in scheduled rounds, in order."""
    turns = Turn.objects.filter(
        round__competition=season, round__kind="SCHEDULED", participant__slug=slug
    )
    keys = list(turns.order_by("round__number").values_list("turn_key", flat=True))
    calls = {row.turn_key: row for row in Completion.objects.filter(turn_key__in=keys)}
    names = [(calls[key].system_id, calls[key].market_id, calls[key].account_id) for key in keys]
    return [Blob.objects.text(name) for group in names for name in group]


def fills_of(season: Competition, slug: str) -> list[tuple[Any, ...]]:
    fills = Fill.objects.filter(account__participant__slug=slug, account__book=season.book)
    return list(fills.order_by("seq").values_list("symbol", "side", "quantity", "price"))


@pytest.mark.django_db
def test_an_extra_turn_changes_nothing_that_others_are_told_or_do():
    feed = store_market(120 + 60)
    roster = baselines("buy_and_hold", "mean_reversion", "random")
    plain, other = (
        start_season(make_season(slug, feed, roster, max_rounds=6)) for slug in ("plain", "other")
    )
    list(drive(plain, rounds=None))

    for _ in range(5):
        list(drive(other, rounds=1))
        other.refresh_from_db()
        play(ask_for(other, "buy-and-hold"))
    list(drive(other, rounds=None))

    for slug in ("mean-reversion", "random"):
        assert prompts_of(other, slug) == prompts_of(plain, slug)
        assert fills_of(other, slug) == fills_of(plain, slug)
    assert fills_of(plain, "random") != []
    assert verify_season(other).problems == []


def test_an_extra_turn_is_told_to_its_agent_as_one(replayed):
    round_ = play(ask_for(replayed, "random"))
    list(drive(replayed, rounds=1))

    told = {
        row.turn_key.split("-")[1]: Blob.objects.text(row.market_id)
        + Blob.objects.text(row.account_id)
        for row in Completion.objects.filter(turn_key__endswith="-3")
    }
    assert "Round 2 of 6, an extra turn after it" in told[str(round_.number)]
    assert "Round 3 of 6" in told["4"]
    assert "- round 2, extra turn: " in told["4"]
    assert "extra" not in told["2"]


# --- what is refused ----------------------------------------------------------------------------


def refusal(act: Callable[[], Any]) -> str:
    before = Round.objects.count()
    with pytest.raises(ControlError) as found:
        act()
    assert Round.objects.count() == before
    return str(found.value)


def test_nobody_has_two_extra_turns_between_two_slots(replayed):
    play(ask_for(replayed, "random"))

    told = refusal(lambda: ask_for(replayed))
    assert "Random had an extra turn since the last slot" in told
    play(ask_for(replayed, "cash"))
    list(drive(replayed, rounds=1))
    assert play(ask_for(replayed, "random")).number == 6
    assert verify_season(replayed).problems == []


def test_an_extra_round_waits_for_the_round_that_is_open(replayed):
    open_due_round(replayed.pk, now=timezone.now())

    told = refusal(lambda: ask_for(replayed, "random"))

    assert told == "round 3 of replayed is being played, ask again when it has closed"


def test_a_slot_that_is_due_comes_before_an_extra_round(walled, hour):
    told = refusal(lambda: ask_for(walled, now=hour + timedelta(seconds=60)))
    assert told == "the next round of walled is due and comes first"

    told = refusal(lambda: ask_for(walled, now=hour + timedelta(seconds=58.5)))
    assert told == "the next round of walled comes in 1.5 s, at least 2 s are wanted"


@pytest.mark.django_db
def test_no_extra_round_lies_beyond_the_season_s_end(hour):
    season = make_walled(hour, ends_at=hour + timedelta(seconds=50))
    play(open_due_round(season.pk, now=hour), now=hour)

    told = refusal(lambda: ask_for(season, now=hour + timedelta(seconds=50)))

    assert told.startswith("walled has reached its end")


def test_an_extra_round_wants_a_season_that_runs(replayed):
    control.pause_competition(
        replayed, actor="mara", reason="", after_round=False, now=timezone.now()
    )
    assert refusal(lambda: ask_for(replayed)) == (
        "replayed is PAUSED, RUNNING is wanted for an extra round"
    )
    control.stop_competition(replayed, actor="mara", reason="", now=timezone.now())
    assert refusal(lambda: ask_for(replayed)).startswith("replayed is STOPPED")


def test_an_extra_round_wants_participants_who_play(replayed):
    replayed.participants.filter(slug="random").update(state="SUSPENDED")

    told = refusal(lambda: ask_for(replayed, "random"))
    assert told == "Random is SUSPENDED, ACTIVE is wanted for an extra turn"
    assert "found 0 of 0" in refusal(
        lambda: open_extra_round(replayed, [], actor="mara", now=timezone.now())
    )


# --- pauses, ends and crashes -------------------------------------------------------------------


def test_a_pause_cancels_an_extra_round_and_closes_it(replayed):
    round_ = ask_for(replayed, "random")
    prepare_round(round_.pk, now=timezone.now())

    control.pause_competition(
        replayed, actor="mara", reason="", after_round=False, now=timezone.now()
    )

    round_.refresh_from_db()
    assert (round_.state, Turn.objects.get(round=round_).outcome) == ("CLOSED", "CANCELLED")
    assert verify_season(replayed).problems == []


def test_a_pause_after_the_round_waits_for_an_extra_one(replayed):
    round_ = ask_for(replayed, "random")
    control.pause_competition(
        replayed, actor="mara", reason="", after_round=True, now=timezone.now()
    )
    replayed.refresh_from_db()
    assert replayed.status == "RUNNING"

    play(round_)

    replayed.refresh_from_db()
    assert replayed.status == "PAUSED"
    assert Turn.objects.get(round=round_).outcome in {"TRADED", "HELD"}


def test_an_emergency_close_in_an_extra_round_ends_flat_and_verifies(replayed):
    round_ = ask_for(replayed, "random")
    prepare_round(round_.pk, now=timezone.now())

    report = control.emergency_close(replayed, actor="mara", reason="", now=timezone.now())

    replayed.refresh_from_db()
    assert report.is_flat
    assert replayed.season_digest != ""
    assert verify_season(replayed).problems == []


def test_the_sweeper_hands_out_an_extra_round_that_nobody_took_up(replayed):
    round_ = ask_for(replayed, "random")

    left = sweep(now=timezone.now() + timedelta(seconds=20))

    assert left.unprepared == (round_.pk,)


# --- the proof ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_digest_with_an_extra_round_is_the_known_one(candle_files: Path) -> None:
    feed = import_market(sorted(candle_files.iterdir()))
    with SeasonServer() as server:
        season = start_season(make_main_season("small", feed, server.url, max_rounds=ROUNDS))
        list(drive(season, rounds=EXTRA_AFTER))
        ask_for(season, "trader", "random")
        list(drive(season, rounds=None))

    season.refresh_from_db()
    assert (season.status, season.round_count) == ("FINISHED", ROUNDS + 1)
    assert Turn.objects.filter(round__kind="EXTRA", outcome="TRADED").exists()
    assert verify_season(season).problems == []
    assert season.season_digest == DIGEST


def kill_in_the_extra_round(arena: Arena, output: Path) -> None:
    """Drive the season, and end the driver as an outage would while it asks in the extra round."""
    asked = "SELECT count(*) FROM competitions_turn WHERE state <> 'PENDING' AND round_id IN (SELECT id FROM competitions_round WHERE kind = 'EXTRA')"
    driver = arena.spawn("manage.py", "run_competition", "small", output=output)
    try:
        deadline = time.monotonic() + 60
        while not arena.count(asked):
            assert driver.poll() is None, output.read_text()[-3000:]
            assert time.monotonic() < deadline, "the extra round was not taken up"
            time.sleep(0.02)
    finally:
        driver.kill()
        driver.wait(10)


@pytest.mark.timeout(240)
def test_a_season_killed_in_its_extra_round_goes_on_to_the_same_digest(
    arena: Arena, candle_files: Path, tmp_path: Path
) -> None:
    with SeasonServer(shuffle_seconds=0.3) as shuffled:
        arena.make_season("small", candle_files, shuffled.url, rounds=ROUNDS)
        arena.manage("run_competition", "small", "--rounds", str(EXTRA_AFTER))
        arena.run(*SCRIPT, "extra", "small", "trader", "random")
        kill_in_the_extra_round(arena, tmp_path / "output")
        assert arena.count(CLOSED) <= EXTRA_AFTER + 1
        told = arena.manage("run_competition", "small", "--chunk", "1")

    facts = arena.facts("small")
    assert digest_told(told) == DIGEST
    assert (facts["unsettled"], facts["unfinished"], facts["problems"]) == (0, 0, [])
    assert arena.count(DOUBLED) == 0


@pytest.fixture
def proven(replayed: Competition) -> Competition:
    """Return a season with an extra round, stopped."""
    play(ask_for(replayed, "random"))
    list(drive(replayed, rounds=1))
    control.stop_competition(replayed, actor="mara", reason="", now=timezone.now())
    replayed.refresh_from_db()
    assert verify_season(replayed).problems == []
    return replayed


def test_verify_names_an_extra_round_made_a_scheduled_one(proven):
    # One scheduled round a slot: it needs one of its own.
    Round.objects.filter(competition=proven, number=3).update(
        kind="SCHEDULED", slot_at=STARTS_AT + timedelta(minutes=7)
    )

    problems = verify_season(proven).problems

    assert any(text.startswith("round 3: digest stored") for text in problems)
    assert "0 extra rounds found, the season counts 1" in problems


def test_verify_names_a_turn_taken_out_of_an_extra_round(proven):
    other = proven.participants.get(slug="cash")
    Turn.objects.filter(round__competition=proven, round__number=3).update(participant=other)

    problems = verify_season(proven).problems

    assert any(text.startswith("round 3: ") for text in problems)


def test_verify_names_a_second_extra_turn_since_a_slot(proven):
    scheduled = Round.objects.get(competition=proven, number=4)
    Round.objects.filter(pk=scheduled.pk).update(kind="EXTRA", asked_by="mara")
    Competition.objects.filter(pk=proven.pk).update(extra_count=2)

    problems = verify_season(proven).problems

    ordinal = proven.participants.get(slug="random").ordinal
    assert (
        f"round 4: participant {ordinal} had an extra turn since the last slot already" in problems
    )


def test_verify_names_an_extra_round_that_nobody_asked_for(proven):
    Round.objects.filter(competition=proven, number=3).update(asked_by="")

    assert verify_season(proven).problems == ["round 3 is an extra one and nobody asked for it"]


# --- races --------------------------------------------------------------------------------------


def tried(act: Callable[[], Any]) -> Any:
    """Return what came of it, the refusal where there was one."""
    try:
        return act()
    except ControlError as error:
        return error


def race_season(slug: str) -> Competition:
    roster = baselines("buy_and_hold", "cash", "random")
    season = start_season(make_season(slug, store_market(120 + 60), roster))
    list(drive(season, rounds=1))
    return season


@pytest.mark.usefixtures("threads_database")
def test_of_eight_triggers_at_once_one_opens_a_round():
    season = race_season("season")

    results = at_once([lambda: tried(lambda: ask_for(season))] * 8)

    assert sum(isinstance(result, Round) for result in results) == 1
    assert sum(isinstance(result, ControlError) for result in results) == 7
    season.refresh_from_db()
    assert (season.round_count, season.extra_count) == (2, 1)
    assert Turn.objects.filter(round__number=2).count() == 3


@pytest.mark.usefixtures("threads_database")
def test_a_trigger_beside_the_clock_opens_one_round_after_the_other():
    for turn in range(6):
        season = race_season(f"season-{turn}")

        def tick(season: Competition = season) -> Any:
            return open_due_round(season.pk, now=timezone.now())

        def trigger(season: Competition = season) -> Any:
            return tried(lambda: ask_for(season, "cash"))

        at_once([tick, trigger, tick, trigger])

        assert Round.objects.open().filter(competition=season).count() == 1
        season.refresh_from_db()
        assert season.round_count == 2
        list(drive(season, rounds=None))
        season.refresh_from_db()
        assert (season.status, season.scheduled_count) == ("FINISHED", 6)
        assert verify_season(season).problems == []


@pytest.mark.usefixtures("threads_database")
def test_a_trigger_beside_a_pause_leaves_no_turn_to_be_asked():
    for turn in range(6):
        season = race_season(f"season-{turn}")

        def pause(season: Competition = season) -> None:
            control.pause_competition(
                season, actor="mara", reason="", after_round=False, now=timezone.now()
            )

        at_once([lambda season=season: tried(lambda: ask_for(season, "cash")), pause])

        season.refresh_from_db()
        assert season.status == "PAUSED"
        assert not Turn.objects.unsettled().filter(round__competition=season).exists()
        for round_ in Round.objects.open().filter(competition=season):
            play(round_)
        assert verify_season(season).problems == []


@pytest.mark.usefixtures("threads_database")
def test_a_driver_and_a_worker_share_an_extra_round_that_comes_between():
    season = race_season("season")
    opened = threading.Event()

    def work() -> None:
        try:
            deadline = time.monotonic() + 20
            while not opened.is_set() and time.monotonic() < deadline:
                found = tried(lambda: ask_for(season, "random"))
                if isinstance(found, Round):
                    opened.set()
                    play(found)
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    list(drive(season, rounds=None))
    worker.join(30)

    season.refresh_from_db()
    assert opened.is_set()
    assert (season.status, season.scheduled_count, season.extra_count) == ("FINISHED", 6, 1)
    assert verify_season(season).problems == []
