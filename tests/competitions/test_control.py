"""What organisers and operators do: start, pause, resume, stop, emergency close; and what each refuses."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from agents.models import Agent
from competitions.models import AuditEvent, Competition, Event, Leg, Round, Turn
from competitions.models.competitions import ClockKind, FillRule
from competitions.services import control, rounds, settling, turns
from competitions.services.driving import drive, driver_lease
from competitions.services.errors import ControlError
from competitions.services.leases import take_lease
from competitions.services.rounds import open_due_round, prepare_round
from competitions.services.settling import settle_turn
from competitions.services.sweeping import due_competitions, sweep
from competitions.services.verifying import verify_season
from tests.arenas import ROOT, Arena
from tests.builders import (
    STARTS_AT,
    Model,
    baselines,
    make_instruments,
    make_model,
    make_season,
    make_synthetic_feed,
    start_season,
    store_market,
)
from tests.competitions.test_turns import (
    LONG_AND_SHORT,
    claimed,
    crash_at,
    expire_leases,
    ids,
)
from tests.fakes.season_server import SeasonServer
from trading.models import Book, Fill, Order, Position, Standing

SAYER = Model("sayer", "says-what-it-is-told")


@pytest.fixture
def server() -> Iterator[SeasonServer]:
    with SeasonServer() as running:
        running.say = LONG_AND_SHORT
        yield running


def draft(*roster: Agent, **fields: Any) -> Competition:
    return make_season(
        "season", store_market(120 + 40), roster or baselines("buy_and_hold", "cash"), **fields
    )


def opened(season: Competition) -> Round:
    """Return the next round, open and with its market, its turns not yet played."""
    round_ = open_due_round(season.pk, now=timezone.now())
    assert round_ is not None
    prepare_round(round_.pk, now=timezone.now())
    round_.refresh_from_db()
    return round_


def pause(season: Competition, *, after_round: bool = False) -> Competition:
    return control.pause_competition(
        season, actor="mara", reason="lunch", after_round=after_round, now=timezone.now()
    )


def resume(season: Competition) -> Competition:
    return control.resume_competition(season, actor="mara", now=timezone.now())


def outcomes(round_: Round) -> dict[str, str]:
    return dict(Turn.objects.filter(round=round_).values_list("participant__slug", "outcome"))


# --- what keeps a season from starting ----------------------------------------------------------

REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "end before start": (
        {"ends_at": STARTS_AT - timedelta(hours=1)},
        "the end must be after the start, was 2026-03-02 11:00 with a start of 2026-03-02 12:00 UTC",
    ),
    "wall clock on a replay": (
        {"clock": ClockKind.WALL, "fill_rule": FillRule.SNAPSHOT},
        "a REPLAY feed runs on the DATA clock, was WALL",
    ),
    "arrival on the data's clock": (
        {"fill_rule": FillRule.ARRIVAL},
        "the fill rule arrival needs the wall clock; a replay fills by snapshot or next_bar",
    ),
    "live venue": (
        {"venue": "binance-live"},
        "the venue binance-live cannot be armed yet; paper is the one that can",
    ),
    "no timeframes": ({"timeframes": []}, "at least one timeframe is wanted, found none"),
    "unknown timeframes": (
        {"timeframes": ["1m", "7m"]},
        "timeframes are some of 1m, 3m, 5m, 15m, 1h, 4h, 1d, found 7m",
    ),
    "leverage": ({"max_leverage": 0}, "max_leverage must be at least 1, was 0"),
    "period without candles": (
        {"starts_at": STARTS_AT + timedelta(days=1)},
        "the stored candles of all symbols reach from 2026-03-02 10:00 to 2026-03-02 12:40 UTC; "
        "a season from 2026-03-03 12:00 to 2026-03-02 12:40 does not fit",
    ),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", REFUSALS)
def test_a_start_is_refused_naming_what_is_wrong(name):
    fields, message = REFUSALS[name]
    season = draft()
    for field, value in fields.items():
        # Not stored: the database itself refuses some of these, as the next test holds.
        setattr(season, field, value)

    with pytest.raises(ControlError) as refused:
        start_season(season)

    assert message in str(refused.value)
    season.refresh_from_db()
    assert (season.status, season.book) == ("DRAFT", None)
    assert not AuditEvent.objects.exists()


@pytest.mark.django_db
def test_the_database_refuses_an_end_before_the_start():
    season = draft()
    with pytest.raises(IntegrityError), transaction.atomic():
        Competition.objects.filter(pk=season.pk).update(ends_at=STARTS_AT)


@pytest.mark.django_db
def test_a_start_without_participants_or_symbols_is_refused():
    season = draft()
    season.participants.all().delete()
    with pytest.raises(ControlError, match="at least one participant, found none"):
        start_season(season)

    season.instruments.clear()
    with pytest.raises(ControlError) as refused:
        start_season(season)
    # Both at once: the organiser mends all in one go.
    assert str(refused.value) == (
        "a competition needs at least one participant, found none; "
        "at least one enabled instrument is wanted, found none"
    )


@pytest.mark.django_db
def test_a_start_with_a_symbol_that_the_feed_lacks_is_refused():
    season = draft()
    season.instruments.set(make_instruments(("BTCUSDT", "XRPUSDT")))

    with pytest.raises(ControlError, match=r"replay-walk has no XRPUSDT; it has BTCUSDT$"):
        start_season(season)


@pytest.mark.django_db
def test_a_start_with_a_disabled_agent_is_refused():
    season = draft()
    Agent.objects.filter(slug="cash").update(is_enabled=False)

    with pytest.raises(ControlError, match="Cash uses the agent cash, which is disabled"):
        start_season(season)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fill_rule": FillRule.NEXT_BAR}, "the fill rule next_bar needs the data's clock"),
        (
            {"deadline_seconds": 61},
            "the deadline must not be longer than the interval (60 s), was 61 s",
        ),
    ],
)
def test_the_wall_clock_refuses_rules_that_it_cannot_keep(fields, message):
    options = {"fill_rule": FillRule.ARRIVAL, "interval_seconds": 60, "starts_at": None, **fields}
    season = make_season(
        "season", make_synthetic_feed(), baselines("cash"), clock=ClockKind.WALL, **options
    )

    with pytest.raises(ControlError) as refused:
        start_season(season)

    assert message in str(refused.value)


@pytest.mark.django_db
def test_a_season_starts_once():
    season = start_season(draft())

    with pytest.raises(
        ControlError, match="season cannot be started: it is RUNNING, DRAFT or SCHEDULED is wanted"
    ):
        start_season(season)
    assert Book.objects.count() == 1


def on_the_wall_clock(**fields: Any) -> Competition:
    return make_season(
        "season",
        make_synthetic_feed(),
        baselines("cash"),
        clock=ClockKind.WALL,
        fill_rule=FillRule.ARRIVAL,
        **fields,
    )


@pytest.mark.django_db
def test_a_scheduled_season_is_started_by_the_clock_at_its_time():
    now = timezone.now()
    starts_at = now.replace(microsecond=0) + timedelta(minutes=10)
    season = on_the_wall_clock(starts_at=starts_at)

    scheduled = control.schedule_competition(season, actor="olga", now=now)

    assert scheduled.status == "SCHEDULED"
    assert scheduled.contract == ""
    assert season not in due_competitions(now=now)
    assert season in due_competitions(now=starts_at)
    started = control.start_competition(scheduled, actor="clock", now=starts_at)
    assert (started.status, started.starts_at) == ("RUNNING", starts_at)


@pytest.mark.django_db
def test_a_start_in_the_past_cannot_be_scheduled():
    now = timezone.now()
    season = on_the_wall_clock(starts_at=None)

    with pytest.raises(ControlError, match="a start in the future, on the wall clock, is wanted"):
        control.schedule_competition(season, actor="olga", now=now)

    season.refresh_from_db()
    assert season.status == "DRAFT"


# --- pause and resume ---------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_pause_cancels_what_is_not_answered_and_closes_the_round():
    season = start_season(draft())
    round_ = opened(season)

    paused = pause(season)

    assert (paused.status, paused.opened_book.state) == ("PAUSED", "RUNNING")
    assert Book.objects.get().state == "PAUSED"
    assert outcomes(round_) == {"buy-and-hold": "CANCELLED", "cash": "CANCELLED"}
    assert set(Turn.objects.values_list("reason", flat=True)) == {"paused by mara"}
    round_.refresh_from_db()
    assert round_.state == "CLOSED"
    assert open_due_round(season.pk, now=timezone.now() + timedelta(hours=1)) is None
    assert Event.objects.filter(kind="competition_paused").count() == 1
    with pytest.raises(ControlError, match="season cannot be paused: it is PAUSED, RUNNING is"):
        pause(season)


@pytest.mark.django_db
def test_after_a_pause_an_answer_that_was_on_its_way_changes_nothing(server):
    season = start_season(draft(make_model(SAYER, server.url)))
    round_ = opened(season)
    (asked,) = claimed(round_)
    (job,) = turns._jobs(round_, turns.contract_of(season), [Turn.objects.get()])
    pause(season)

    # The answer comes and is kept, since it was paid for; it trades nothing.
    turns.async_to_sync(turns._play_all)([job])

    turn = Turn.objects.get()
    assert (turn.outcome, turn.decision, turn.fence) == ("CANCELLED", None, asked.fence + 1)
    assert server.counts["requests"] == 1
    assert not Order.objects.exists()
    resume(season)
    assert [item.number for item in drive(season, rounds=1)] == [2]
    assert verify_season(season).problems == []


@pytest.mark.django_db
def test_a_pause_between_two_orders_of_a_turn_denies_the_second(server, monkeypatch):
    season = start_season(draft(make_model(SAYER, server.url)))
    round_ = opened(season)
    real, placed = settling.trading.place_order, []

    def pausing(*args: Any, **kwargs: Any) -> Order:
        if placed:
            pause(Competition.objects.get())
        placed.append(kwargs["client_order_id"])
        return real(*args, **kwargs)

    monkeypatch.setattr(settling.trading, "place_order", pausing)
    turns.play_turns(round_.pk, ids(round_))

    assert Turn.objects.get().outcome == "TRADED"
    first, second = Leg.objects.order_by("index")
    assert (first.verdict, second.verdict) == ("FILLED", "DENIED")
    assert second.denial.startswith("BOOK_NOT_RUNNING")
    assert Fill.objects.count() == 1
    round_.refresh_from_db()
    assert round_.state == "CLOSED"
    assert verify_season(season).problems == []


@pytest.mark.django_db
def test_a_turn_interrupted_by_crash_and_pause_keeps_its_first_order_only(server, monkeypatch):
    season = start_season(draft(make_model(SAYER, server.url)))
    round_ = opened(season)
    with monkeypatch.context() as patch:
        crash_at(patch, settling.trading, "place_order", call=2)
        turns.play_turns(round_.pk, ids(round_))
    pause(season)
    assert Turn.objects.get().state == "ANSWERED"
    expire_leases()

    (left,) = sweep(now=timezone.now()).turns.values()
    turns.play_turns(round_.pk, left)

    assert list(Leg.objects.order_by("index").values_list("verdict", flat=True)) == [
        "FILLED",
        "DENIED",
    ]
    assert Turn.objects.get().outcome == "TRADED"
    assert verify_season(season).problems == []


@pytest.mark.django_db
def test_a_pause_after_the_round_lets_it_end():
    season = start_season(draft())
    round_ = opened(season)
    waiting = pause(season, after_round=True)
    assert (waiting.status, waiting.pause_after_round) == ("RUNNING", True)

    turns.play_turns(round_.pk, ids(round_))

    season.refresh_from_db()
    assert (season.status, season.pause_after_round) == ("PAUSED", False)
    assert outcomes(round_) == {"buy-and-hold": "TRADED", "cash": "HELD"}
    assert season.round_count == 1


@pytest.mark.django_db
def test_a_pause_after_the_round_holds_though_the_process_ends_in_between(monkeypatch):
    season = start_season(draft())
    round_ = opened(season)
    pause(season, after_round=True)
    crash_at(monkeypatch, rounds.control, "pause_competition")
    with pytest.raises(ConnectionAbortedError):
        turns.play_turns(round_.pk, ids(round_))

    assert open_due_round(season.pk, now=timezone.now()) is None

    season.refresh_from_db()
    assert (season.status, season.round_count) == ("PAUSED", 1)


@pytest.mark.django_db
def test_a_pause_after_the_round_is_at_once_when_none_runs():
    season = start_season(draft())
    assert pause(season, after_round=True).status == "PAUSED"


@pytest.mark.django_db
def test_a_paused_season_verifies_and_plays_on_after_its_resume():
    season = start_season(draft())
    list(drive(season, rounds=2))
    season = pause(season)
    assert list(drive(season, rounds=None)) == []
    season = resume(season)
    with pytest.raises(ControlError, match="season cannot be resumed: it is RUNNING, PAUSED is"):
        resume(season)

    numbers = [round_.number for round_ in drive(season, rounds=None)]

    season.refresh_from_db()
    assert (numbers, season.status) == ([3, 4, 5, 6], "FINISHED")
    assert verify_season(season).problems == []
    assert list(AuditEvent.objects.order_by("seq").values_list("action", flat=True)) == [
        "started",
        "paused",
        "resumed",
        "finished",
    ]


# --- stop ---------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("is_paused", [False, True])
def test_a_stop_ends_the_season_with_positions_valued_at_the_mark(is_paused):
    season = start_season(draft())
    list(drive(season, rounds=2))
    round_ = opened(season)
    if is_paused:
        season = pause(season)

    stopped = control.stop_competition(
        season, actor="mara", reason="a leak of prompts", now=timezone.now()
    )

    assert (stopped.status, stopped.stop_reason) == ("STOPPED", "a leak of prompts")
    assert len(stopped.season_digest) == 64
    assert outcomes(round_) == {"buy-and-hold": "CANCELLED", "cash": "CANCELLED"}
    assert Position.objects.open().count() == 3
    assert verify_season(stopped).problems == []
    for act in (pause, resume):
        with pytest.raises(ControlError, match="it is STOPPED"):
            act(stopped)
    assert open_due_round(season.pk, now=timezone.now()) is None


@pytest.mark.django_db
def test_a_season_stopped_before_its_round_had_a_market_is_sealed_by_the_sweeper():
    season = start_season(draft())
    list(drive(season, rounds=1))
    round_ = open_due_round(season.pk, now=timezone.now())
    assert round_ is not None
    stopped = control.stop_competition(season, actor="mara", reason="", now=timezone.now())
    assert stopped.season_digest == ""

    (left,) = sweep(now=timezone.now() + timedelta(seconds=20)).unprepared
    assert prepare_round(left, now=timezone.now()) == []
    sweep(now=timezone.now())

    stopped.refresh_from_db()
    assert len(stopped.season_digest) == 64
    assert verify_season(stopped).problems == []


@pytest.mark.django_db
def test_a_season_whose_stopping_process_ended_before_the_seal_is_sealed_by_the_sweeper(
    monkeypatch,
):
    season = start_season(draft())
    list(drive(season, rounds=1))
    with monkeypatch.context() as patch:
        crash_at(patch, control, "seal_season")
        with pytest.raises(ConnectionAbortedError):
            control.stop_competition(season, actor="mara", reason="", now=timezone.now())

    sweep(now=timezone.now())

    season.refresh_from_db()
    assert (season.status, len(season.season_digest)) == ("STOPPED", 64)
    sweep(now=timezone.now())
    assert Event.objects.filter(kind="competition_stopped").count() == 1


# --- emergency close ----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_emergency_close_leaves_all_flat_and_verified(server):
    season = start_season(draft(*baselines("buy_and_hold", "cash"), make_model(SAYER, server.url)))
    list(drive(season, rounds=2))
    round_ = opened(season)
    assert Position.objects.open().count() == 5

    report = control.emergency_close(season, actor="mara", reason="fire", now=timezone.now())

    assert report.is_flat
    assert {(line.participant, line.symbol, line.message) for line in report.lines} == {
        ("Buy and hold", "BTCUSDT", "closed"),
        ("Buy and hold", "ETHUSDT", "closed"),
        ("Buy and hold", "SOLUSDT", "closed"),
        ("Sayer", "BTCUSDT", "closed"),
        ("Sayer", "ETHUSDT", "closed"),
    }
    assert not Position.objects.open().exists()
    assert set(outcomes(round_).values()) == {"CANCELLED"}
    season.refresh_from_db()
    assert (season.status, season.opened_book.state) == ("STOPPED", "HALTED")
    assert season.stop_reason == "emergency close by mara: fire"
    assert verify_season(season).problems == []
    # Flat accounts are worth their wallets, and the leaderboard says so.
    for standing in Standing.objects.select_related("account"):
        assert standing.equity == standing.wallet == standing.account.wallet
        assert (standing.used_margin, standing.gross_exposure, standing.number) == (0, 0, 4)
    # A second one finds nothing to do and changes nothing.
    digest = season.season_digest
    again = control.emergency_close(season, actor="mara", reason="", now=timezone.now())
    assert (again.lines, again.is_flat) == ((), True)
    season.refresh_from_db()
    assert season.season_digest == digest
    assert verify_season(season).problems == []


@pytest.mark.django_db(transaction=True)
def test_accounts_are_marked_after_a_close_that_was_cut_off_before_it(monkeypatch):
    season = start_season(draft(*baselines("buy_and_hold")))
    list(drive(season, rounds=1))
    with monkeypatch.context() as patch:
        crash_at(patch, control, "mark_after_close")
        with pytest.raises(ConnectionAbortedError):
            control.emergency_close(season, actor="mara", reason="fire", now=timezone.now())
    assert any("equity" in problem for problem in verify_season(season).problems)

    control.emergency_close(season, actor="mara", reason="fire", now=timezone.now())

    standing = Standing.objects.get()
    assert standing.equity == standing.account.wallet
    assert verify_season(season).problems == []


@pytest.mark.django_db(transaction=True)
def test_an_emergency_close_that_was_interrupted_is_finished_by_the_next(monkeypatch):
    season = start_season(draft(*baselines("buy_and_hold")))
    list(drive(season, rounds=1))
    from trading.services import closing

    with monkeypatch.context() as patch:
        crash_at(patch, closing, "place_order", call=2)
        with pytest.raises(ConnectionAbortedError):
            control.emergency_close(season, actor="mara", reason="fire", now=timezone.now())
    assert Position.objects.open().count() == 2

    report = control.emergency_close(season, actor="mara", reason="fire", now=timezone.now())

    assert report.is_flat
    season.refresh_from_db()
    assert verify_season(season).problems == []


@pytest.mark.django_db(transaction=True)
def test_the_command_for_all_finishes_a_close_that_was_interrupted(monkeypatch):
    season = start_season(draft(*baselines("buy_and_hold")))
    list(drive(season, rounds=1))
    from trading.services import closing

    with monkeypatch.context() as patch:
        crash_at(patch, closing, "place_order", call=2)
        with pytest.raises(ConnectionAbortedError):
            control.emergency_close(season, actor="mara", reason="fire", now=timezone.now())
    told, again = StringIO(), StringIO()

    call_command("emergency_close", "--all", stdout=told)
    call_command("emergency_close", "--all", stdout=again)

    assert not Position.objects.open().exists()
    assert told.getvalue().count("  closed\n") == 2
    assert "season       CLOSED   HALTED           0               0" in told.getvalue()
    assert "nothing to close" in again.getvalue()


@pytest.mark.django_db(transaction=True)
def test_nothing_grows_after_an_emergency_close_has_begun(server):
    season = start_season(draft(make_model(SAYER, server.url)))
    round_ = opened(season)
    (asked,) = claimed(round_)
    (job,) = turns._jobs(round_, turns.contract_of(season), [Turn.objects.get()])
    now = timezone.now()
    raw = turns.RawCompletion(status="OK", body=b"{}", text=LONG_AND_SHORT)
    completion = turns._store(job, 1, now, now, raw)
    control.emergency_close(season, actor="mara", reason="", now=now)

    assert settle_turn(asked, completion) is None
    assert not Order.objects.exists()


@pytest.mark.django_db
def test_an_emergency_close_of_a_draft_is_refused():
    with pytest.raises(ControlError, match="season has not started, there is nothing to close"):
        control.emergency_close(draft(), actor="mara", reason="", now=timezone.now())


def test_the_command_closes_without_broker_and_cache(arena: Arena, candle_files):
    """Redis is named, takes connections and never answers: closing does not even ask it."""
    with SeasonServer() as server:
        arena.make_season("main", candle_files, server.url, rounds=4)
        arena.manage("run_competition", "main", "--rounds", "2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        port = silent.getsockname()[1]

        done = subprocess.run(
            [sys.executable, "manage.py", "emergency_close", "--competition", "main"],
            cwd=ROOT,
            env={**arena.environment, "REDIS_URL": f"redis://127.0.0.1:{port}/0"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

        with pytest.raises(BlockingIOError):
            silent.accept()
    assert done.returncode == 0, done.stderr
    assert "main         CLOSED   HALTED           0               0" in done.stdout
    assert arena.count("SELECT count(*) FROM trading_position WHERE status = 'OPEN'") == 0
    assert arena.facts("main")["problems"] == []
    again = arena.manage("emergency_close", "--all")
    assert again.startswith("nothing to close")


@pytest.mark.django_db
def test_the_command_refuses_an_unknown_season():
    draft()
    with pytest.raises(CommandError, match="no started competition 'season'; started are: none"):
        call_command("emergency_close", "--competition", "season")


# --- the driver ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_season_that_another_process_drives_is_refused():
    season = start_season(draft())
    other = "run_competition@elsewhere:4711"
    take_lease(driver_lease(season), other, seconds=60, now=timezone.now())

    with pytest.raises(CommandError) as refused:
        call_command("run_competition", "season", stdout=StringIO())

    assert str(refused.value) == ("season is being driven by another process; stop that one first")
    assert not Round.objects.exists()


@pytest.mark.django_db
def test_run_competition_tells_what_it_cannot_run():
    season = draft()
    with pytest.raises(CommandError, match="there is no competition 'saison'; there is season"):
        call_command("run_competition", "saison")
    with pytest.raises(CommandError, match="a whole number from 1 to 999999999 is wanted, was '0'"):
        call_command("run_competition", "season", "--rounds", "0")
    start_season(season)
    pause(season)
    with pytest.raises(CommandError, match="season is paused; resume it in the operator console"):
        call_command("run_competition", "season")
    season.refresh_from_db()
    control.stop_competition(season, actor="mara", reason="", now=timezone.now())
    with pytest.raises(CommandError, match=r"season is over \(STOPPED: stopped by mara\)"):
        call_command("run_competition", "season")


@pytest.mark.django_db
def test_run_competition_starts_a_draft_and_ends_with_a_table():
    draft(max_rounds=2)
    told = StringIO()

    call_command("run_competition", "season", stdout=told)

    season = Competition.objects.get()
    assert season.status == "FINISHED"
    assert "2 rounds played, 2 in all" in told.getvalue()
    assert f"season digest {season.season_digest}" in told.getvalue()
