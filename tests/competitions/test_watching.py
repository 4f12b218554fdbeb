"""Running seasons are held against their records about once a minute, and one that disagrees is told of, or halted if it is real."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, connections
from django.utils import timezone

from competitions import tasks
from competitions.models import AuditEvent, Competition, Event, Heartbeat, Round, SeasonCheck, Turn
from competitions.selectors.attention import attention
from competitions.services import control, watching
from competitions.services.driving import drive
from competitions.services.leases import take_lease
from competitions.services.rounds import open_due_round, prepare_round
from competitions.services.verifying import verify_season
from competitions.services.watching import check_due_seasons, check_season
from tests.builders import baselines, make_season, start_season, store_market
from tests.competitions.tampering import tamper
from trading.models import Account, Book, EquityPoint, Fill, OperatorAct
from trading.selectors import one_view

pytestmark = pytest.mark.django_db

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def season() -> Competition:
    """Return a running season on paper after two rounds."""
    season = start_season(make_season("season", store_market(120 + 40), baselines("buy_and_hold")))
    list(drive(season, rounds=2))
    season.refresh_from_db()
    return season


@pytest.fixture
def real(season) -> Competition:
    """Return the same season as if its orders went to a real venue."""
    tamper(season, venue="binance-demo")
    tamper(Book.objects.get(), venue="binance-demo")
    season.refresh_from_db()
    return season


def spoil_wallet(by: str = "0.01") -> None:
    account = Account.objects.get(ordinal=1)
    tamper(account, wallet=account.wallet + Decimal(by))


def concerns(now: datetime) -> dict[str, str]:
    return {item.what: item.detail for item in attention(now=now).concerns}


DISAGREES = "Small season disagrees with its records"


def test_a_whole_season_raises_nothing(season, now):
    events = Event.objects.count()

    finding = check_season(season, now=now)

    assert (finding.problems, finding.rounds, finding.is_full) == ((), 2, True)
    assert DISAGREES not in concerns(now)
    assert Event.objects.count() == events
    assert not AuditEvent.objects.filter(action__startswith="check").exists()


def test_each_minute_briefly_and_each_ten_in_full(season, now):
    assert check_due_seasons(now=now) == "1 checked, 0 disagree"
    row = SeasonCheck.objects.get()
    assert row.due_at >= row.checked_at + MINUTE
    assert check_due_seasons(now=row.due_at - SECOND) == "nothing was due"

    assert check_due_seasons(now=row.due_at) == "1 checked, 0 disagree"
    assert not check_season(season, now=row.full_due_at - SECOND).is_full
    assert check_season(season, now=row.full_due_at).is_full


def test_a_check_takes_a_twentieth_of_the_time_at_most(season, now, monkeypatch):
    clock = iter([0.0, 90.0])
    monkeypatch.setattr(watching.time, "monotonic", lambda: next(clock))

    check_season(season, now=now)

    row = SeasonCheck.objects.get()
    assert (row.due_at, row.full_due_at) == (now + 30 * MINUTE, now + 30 * MINUTE)


def test_a_brief_check_looks_at_the_rounds_since_the_last_one(season, now):
    check_season(season, now=now)
    list(drive(season, rounds=1))
    point = EquityPoint.objects.get(number=3)
    # Equity and wallet alike, so that the point still adds up; only the round's digest tells.
    tamper(point, used_margin=point.used_margin + 1)

    finding = check_season(season, now=now + MINUTE)

    assert not finding.is_full
    assert [problem.partition(" stored")[0] for problem in finding.problems] == ["round 3: digest"]
    # It stays in view.
    assert check_season(season, now=now + 2 * MINUTE).problems == finding.problems


def test_a_round_that_was_open_is_looked_at_when_it_has_closed(season, now):
    assert open_due_round(season.pk, now=timezone.now()) is not None
    assert check_season(season, now=now).rounds == 2


def test_a_paper_season_that_fails_goes_on_and_is_told_of_once(season, now):
    spoil_wallet()

    finding = check_season(season, now=now)
    check_season(season, now=now + MINUTE)

    assert finding.problems
    event = Event.objects.get(kind="error")
    assert event.payload == {
        "reason": "the season disagrees with its records",
        "first": finding.problems[0],
        "count": len(finding.problems),
    }
    act = AuditEvent.objects.get(action="check failed")
    assert (act.actor, act.subject, act.detail) == (
        "system",
        "season",
        {"first": finding.problems[0]},
    )
    assert concerns(now)[DISAGREES].startswith(finding.problems[0])
    season.refresh_from_db()
    assert (season.status, season.opened_book.state) == ("RUNNING", "RUNNING")
    list(drive(season, rounds=1))


def test_the_alarm_ends_with_a_check_that_passes(season, now):
    spoil_wallet()
    check_season(season, now=now)
    assert DISAGREES in concerns(now)
    spoil_wallet("-0.01")

    assert check_due_seasons(now=now + 20 * MINUTE) == "1 checked, 0 disagree"

    assert DISAGREES not in concerns(now)
    assert AuditEvent.objects.filter(action="check passed").count() == 1
    assert SeasonCheck.objects.get().failing_since is None
    assert verify_season(season).problems == []


def test_a_failing_season_is_checked_on_when_it_has_ended(season, now):
    spoil_wallet()
    check_season(season, now=now)
    control.stop_competition(season, actor="mara", reason="", now=timezone.now())
    spoil_wallet("-0.01")

    check_due_seasons(now=now + 20 * MINUTE)

    assert DISAGREES not in concerns(now)
    assert check_due_seasons(now=now + 40 * MINUTE) == "nothing was due"


def test_a_real_season_that_fails_is_halted_and_its_open_turns_are_cancelled(real, now):
    round_ = open_due_round(real.pk, now=timezone.now())
    assert round_ is not None
    prepare_round(round_.pk, now=timezone.now())
    spoil_wallet()

    finding = check_season(real, now=now)

    assert "wallet" in finding.problems[0]
    real.refresh_from_db()
    book = Book.objects.get()
    assert (real.status, book.state, book.epoch) == ("PAUSED", "HALTED", 1)
    act = OperatorAct.objects.get()
    assert (act.kind, act.actor, act.after_round) == ("HALT", "system", 3)
    assert act.reason.startswith("its check failed: account 1: wallet ")
    turn = Turn.objects.get(round=round_)
    assert (turn.state, turn.outcome) == ("SETTLED", "CANCELLED")
    assert turn.reason.startswith("halted: its check failed")
    assert Round.objects.get(pk=round_.pk).state == "CLOSED"
    assert AuditEvent.objects.filter(action="halted", subject="season").count() == 1
    assert DISAGREES in concerns(now)


def test_a_real_season_that_was_resumed_while_it_fails_is_halted_again(real, now):
    spoil_wallet()
    check_season(real, now=now)
    control.resume_competition(real, actor="mara", now=timezone.now())

    check_season(real, now=now + MINUTE)

    real.refresh_from_db()
    assert (real.status, real.opened_book.state) == ("PAUSED", "HALTED")
    assert [act.kind for act in OperatorAct.objects.order_by("seq")] == ["HALT", "RESUME", "HALT"]
    assert Event.objects.filter(kind="error").count() == 1


def test_a_whole_real_season_is_left_alone(real, now):
    assert check_season(real, now=now).problems == ()
    real.refresh_from_db()
    assert real.opened_book.state == "RUNNING"


def test_a_season_that_was_halted_and_resumed_verifies(season):
    control.halt_competition(season, reason="a test", now=timezone.now())
    assert verify_season(season).problems == []
    control.resume_competition(season, actor="mara", now=timezone.now())
    list(drive(season, rounds=1))
    assert verify_season(season).problems == []


def test_a_halted_season_can_still_be_closed(season):
    control.halt_competition(season, reason="a test", now=timezone.now())

    report = control.emergency_close(season, actor="mara", reason="", now=timezone.now())

    assert report.is_flat
    assert verify_season(season).problems == []


def test_one_checker_works_at_a_time(season, now):
    assert take_lease("checker", "another", seconds=60, now=now)

    assert check_due_seasons(now=now) == "another one is at it"
    assert not SeasonCheck.objects.exists()


def test_the_longest_waiting_goes_first_and_the_rest_waits_when_the_time_is_used_up(
    season, now, monkeypatch
):
    second = start_season(make_season("second", season.feed, baselines("cash")))
    check_season(season, now=now - 2 * MINUTE)
    monkeypatch.setattr(watching, "BUDGET_SECONDS", 0.0)

    # Never checked comes before checked long ago.
    assert check_due_seasons(now=now + 20 * MINUTE) == "1 checked, 0 disagree"
    assert SeasonCheck.objects.filter(competition=second).exists()


def test_the_task_gives_a_sign_of_life(season):
    tasks.check_seasons()

    assert Heartbeat.objects.get(name="checker").note == "1 checked, 0 disagree"


def test_a_running_season_that_nobody_checks_is_told_of(season, now):
    Competition.objects.update(started_at=now - timedelta(hours=1))
    assert "Small season is not checked" in concerns(now)

    check_season(season, now=now)
    assert "Small season is not checked" not in concerns(now)


def test_a_changed_fill_is_found_by_the_brief_check_too(season, now):
    check_season(season, now=now)
    fill = Fill.objects.order_by("account__ordinal", "seq")[0]
    tamper(fill, realised=fill.realised + 1)

    finding = check_season(season, now=now + MINUTE)

    assert not finding.is_full
    assert any("fill 1/1: realised" in problem for problem in finding.problems)


@pytest.mark.django_db(transaction=True)
def test_reading_in_one_view_holds_up_no_writer(threads_database):
    """Neither on PostgreSQL nor on SQLite, whose transactions of Django's would be IMMEDIATE."""
    done = threading.Event()

    def write() -> None:
        Heartbeat.objects.create(name="writer", at=timezone.now())
        connections.close_all()
        done.set()

    with one_view():
        assert not Heartbeat.objects.exists()
        threading.Thread(target=write).start()
        assert done.wait(10)
        # Still the state of the beginning.
        assert not Heartbeat.objects.exists()
    assert Heartbeat.objects.count() == 1
    assert not connection.in_atomic_block
