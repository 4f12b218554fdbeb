"""Playing turns: claimed once, answered once, paid for once, settled once, whoever comes late, twice or after a crash."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, Completion
from competitions.models import Competition, Leg, Round, Turn
from competitions.models.competitions import ClockKind, FillRule
from competitions.services import settling, sweeping, turns
from competitions.services.rounds import open_due_round, prepare_round
from competitions.services.settling import TurnToSettle, settle_turn, settle_without_answer
from competitions.services.verifying import verify_season
from tests.builders import (
    Model,
    baselines,
    make_model,
    make_season,
    make_synthetic_feed,
    start_season,
    store_market,
)
from tests.fakes.season_server import SeasonServer
from trading.models import Fill, Order, Posting

SAYER = Model("sayer", "says-what-it-is-told")
LONG_AND_SHORT = json.dumps(
    {
        "summary": "Two orders.",
        "instructions": [
            {"action": "open_long", "symbol": "BTCUSDT", "margin_fraction": "0.1", "leverage": 2},
            {"action": "open_short", "symbol": "ETHUSDT", "margin_fraction": "0.1", "leverage": 2},
        ],
    }
)


@pytest.fixture
def server() -> Iterator[SeasonServer]:
    with SeasonServer() as running:
        running.say = LONG_AND_SHORT
        yield running


def make_round(server: SeasonServer, *models: Model, **fields: Any) -> Round:
    """Return a prepared round of a replayed season in which the models of the server take part."""
    feed = store_market(120 + 40)
    roster = [make_model(model, server.url) for model in models or (SAYER,)]
    return prepared(start_season(make_season("season", feed, roster, **fields)))


def make_wall_round(server: SeasonServer, *models: Model, **fields: Any) -> Round:
    """Return a prepared round on the wall clock, opened now."""
    now = timezone.now()
    options = {
        "clock": ClockKind.WALL,
        "fill_rule": FillRule.SNAPSHOT,
        "interval_seconds": 1,
        "deadline_seconds": 1,
        "starts_at": None,
        "max_rounds": 1,
        **fields,
    }
    roster = [make_model(model, server.url) for model in models or (SAYER,)]
    season = make_season("season", make_synthetic_feed(), roster, **options)
    started = start_season(season, now=now)
    return prepared(started, now=started.starts_at)


def prepared(season: Competition, *, now: Any = None) -> Round:
    at = now or timezone.now()
    round_ = open_due_round(season.pk, now=at)
    assert round_ is not None
    prepare_round(round_.pk, now=at)
    round_.refresh_from_db()
    return round_


def ids(round_: Round) -> list[Any]:
    return list(Turn.objects.filter(round=round_).order_by("pk").values_list("pk", flat=True))


def claimed(round_: Round) -> list[TurnToSettle]:
    """Claim all turns of the round as a worker does and return what it would settle."""
    rows = turns._claim(round_, ids(round_), now=timezone.now())
    return [to_settle(turn) for turn in rows]


def to_settle(turn: Turn) -> TurnToSettle:
    return TurnToSettle(
        turn_id=turn.pk,
        fence=turn.fence,
        turn_key=turn.turn_key,
        round_id=turn.round_id,
        account_id=turn.participant.seat.pk,
        ordinal=turn.participant.ordinal,
        deadline_at=turn.round.deadline_at,
    )


def expire_leases() -> None:
    Turn.objects.unsettled().update(lease_until=timezone.now() - timedelta(seconds=1))


def crash_at(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, *, call: int = 1) -> None:
    """Make the given call of a function raise, as if the process ended there; calls after it work."""
    real, calls = getattr(module, name), iter(range(1, 1000))

    def crashing(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == call:
            raise ConnectionAbortedError(f"the process ended before {name}")
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, crashing)


# --- twice at once ------------------------------------------------------------------------------


@pytest.mark.usefixtures("threads_database")
def test_two_workers_on_the_same_turns_make_one_outcome_and_one_set_of_fills(server):
    models = [Model(f"sayer-{number}", "says-it") for number in range(4)]
    round_ = make_round(server, *models)
    turn_ids = ids(round_)
    gate, errors = threading.Barrier(2), []

    def work() -> None:
        try:
            gate.wait(10)
            turns.play_turns(round_.pk, turn_ids)
        except Exception as error:  # noqa: BLE001 - told by the assertion below
            errors.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    assert errors == []
    assert [turn.outcome for turn in Turn.objects.all()] == ["TRADED"] * 4
    assert server.counts["requests"] == Completion.objects.count() == 4
    assert Leg.objects.count() == Order.objects.count() == Fill.objects.count() == 8
    round_.refresh_from_db()
    assert round_.state == "CLOSED"
    assert verify_season(round_.competition).problems == []


@pytest.mark.django_db
def test_playing_settled_turns_again_changes_nothing(server):
    round_ = make_round(server)
    turns.play_turns(round_.pk, ids(round_))
    before = (Posting.objects.count(), Round.objects.get().digest)

    turns.play_turns(round_.pk, ids(round_))

    assert (Posting.objects.count(), Round.objects.get().digest) == before
    assert server.counts["requests"] == 1


# --- after a crash ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_held_turn_is_left_alone_until_its_lease_has_passed(server):
    round_ = make_round(server)
    claimed(round_)

    turns.play_turns(round_.pk, ids(round_))
    assert server.counts["requests"] == 0
    assert sweeping.sweep(now=timezone.now()).turns == {}

    expire_leases()
    assert sweeping.sweep(now=timezone.now()).turns == {round_.pk: ids(round_)}
    turns.play_turns(round_.pk, ids(round_))
    assert Turn.objects.get().outcome == "TRADED"


@pytest.mark.django_db
def test_turns_of_a_killed_process_are_free_long_before_a_late_deadline(server):
    round_ = make_round(server, deadline_seconds=300)
    claimed(round_)
    now = timezone.now()

    assert sweeping.sweep(now=now + timedelta(seconds=12)).turns == {}
    assert sweeping.sweep(now=now + timedelta(seconds=16)).turns == {round_.pk: ids(round_)}


@pytest.mark.usefixtures("threads_database")
def test_a_turn_stays_claimed_while_its_model_thinks_longer_than_a_lease(server, monkeypatch):
    monkeypatch.setattr(turns, "LEASE", timedelta(seconds=1))
    monkeypatch.setattr(turns, "RENEW_SECONDS", 0.2)
    round_ = make_round(server, Model("slow", "slow-4"))
    turn_ids = ids(round_)

    def work() -> None:
        try:
            turns.play_turns(round_.pk, turn_ids)
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        wait_for(lambda: server.counts["requests"] == 1)
        for _ in range(10):
            assert sweeping.sweep(now=timezone.now()).turns == {}
            assert turns._claim(round_, turn_ids, now=timezone.now()) == []
            time.sleep(0.2)
    finally:
        worker.join(30)

    turn = Turn.objects.get()
    assert (turn.outcome, turn.fence, turn.lease_until) == ("TRADED", 1, None)
    assert server.counts["requests"] == Completion.objects.count() == 1


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Each place where a process can end between the stored answer and the settled turn.
CRASHES = {
    "before the decision": (settling.agents, "record_decision", 1),
    "before the first order": (settling.trading, "place_order", 1),
    "before the first leg": (settling, "denial_text", 1),
    "before the second order": (settling.trading, "place_order", 2),
    "before the second leg": (settling, "denial_text", 2),
    "before it is settled": (settling, "_settled", 1),
}


@pytest.mark.django_db
@pytest.mark.parametrize("place", CRASHES)
def test_a_stored_answer_is_settled_after_a_crash_and_never_paid_for_twice(
    server, monkeypatch, place
):
    round_ = make_round(server)
    crash_at(monkeypatch, *CRASHES[place][:2], call=CRASHES[place][2])
    turns.play_turns(round_.pk, ids(round_))
    assert Turn.objects.unsettled().count() == 1, "it crashed"
    assert Completion.objects.count() == 1
    expire_leases()

    (left,) = sweeping.sweep(now=timezone.now()).turns.values()
    turns.play_turns(round_.pk, left)

    assert server.counts["requests"] == Completion.objects.count() == 1
    assert Turn.objects.get().outcome == "TRADED"
    assert [(leg.index, leg.verdict) for leg in Leg.objects.order_by("index")] == [
        (1, "FILLED"),
        (2, "FILLED"),
    ]
    assert Order.objects.count() == Fill.objects.count() == 2
    assert verify_season(round_.competition).problems == []


@pytest.mark.django_db
def test_a_round_crashed_anywhere_has_the_digest_of_one_that_never_was(server, monkeypatch):
    digests = set()
    for slug, crash in (("whole", None), *CRASHES.items()):
        feed = store_market(120 + 40)
        season = make_season(slug.replace(" ", "-"), feed, [make_model(SAYER, server.url)])
        round_ = prepared(start_season(season))
        with monkeypatch.context() as patch:
            if crash is not None:
                crash_at(patch, *crash[:2], call=crash[2])
            turns.play_turns(round_.pk, ids(round_))
        expire_leases()
        turns.play_turns(round_.pk, ids(round_))
        round_.refresh_from_db()
        digests.add(round_.digest)

    assert len(digests) == 1
    assert "" not in digests


@pytest.mark.django_db
def test_a_failed_try_on_record_counts_after_a_crash(server, monkeypatch):
    flaky = Model("flaky", "flaky-500-a")
    round_ = make_round(server, flaky)
    # The second try is answered, and the process ends before it is stored.
    crash_at(monkeypatch, turns, "_store", call=2)
    turns.play_turns(round_.pk, ids(round_))
    assert Completion.objects.values_list("attempt", "status").get() == (1, "ERROR")
    expire_leases()

    turns.play_turns(round_.pk, ids(round_))

    # Of two tries one was left, and its answer was another server error.
    assert list(Completion.objects.order_by("attempt").values_list("attempt", "status")) == [
        (1, "ERROR"),
        (2, "ERROR"),
    ]
    assert server.counts["requests"] == 3
    assert Turn.objects.get().outcome == "ERROR"


# --- late writers -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_stale_fence_cannot_settle_nor_trade(server):
    round_ = make_round(server)
    (stale,) = claimed(round_)
    expire_leases()
    turns.play_turns(round_.pk, ids(round_))
    figures = (Order.objects.count(), Posting.objects.count(), Turn.objects.get().settled_at)

    assert settle_turn(stale, Completion.objects.get()) is None
    reason = "too late"
    now = timezone.now()
    assert not settle_without_answer(stale.turn_id, stale.fence, "SKIPPED", reason=reason, now=now)

    turn = Turn.objects.get()
    assert (Order.objects.count(), Posting.objects.count(), turn.settled_at) == figures
    assert (turn.outcome, turn.fence) == ("TRADED", stale.fence + 1)


@pytest.mark.django_db
def test_a_worker_whose_turn_was_claimed_anew_while_it_asked_writes_nothing(server):
    round_ = make_round(server)
    (stale,) = claimed(round_)
    expire_leases()
    (fresh,) = claimed(round_)
    assert fresh.fence == stale.fence + 1
    completion = answer_on_record(round_, seconds_after_deadline=-1)

    assert settle_turn(stale, completion) is None
    assert not Order.objects.exists()

    assert settle_turn(fresh, completion) == "TRADED"
    assert settle_turn(stale, completion) is None
    assert Order.objects.filter(turn_key=fresh.turn_key).count() == 2


# --- deadlines ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_deadline_ends_the_round_for_the_slow_and_not_for_the_others(server):
    slow = Model("slow", "slow-30")
    round_ = make_wall_round(server, SAYER, slow, interval_seconds=2, deadline_seconds=2)
    asked_at = timezone.now()

    turns.play_turns(round_.pk, ids(round_))

    outcomes = dict(Turn.objects.values_list("participant__slug", "outcome"))
    assert outcomes == {"sayer": "TRADED", "slow": "TIMEOUT"}
    round_.refresh_from_db()
    assert round_.state == "CLOSED"
    assert timezone.now() - asked_at < timedelta(seconds=8)
    settled = dict(Turn.objects.values_list("participant__slug", "settled_at"))
    assert settled["slow"] - settled["sayer"] > timedelta(seconds=0.5)


@pytest.mark.django_db
def test_an_answer_that_came_after_the_deadline_is_late_and_trades_nothing(server):
    round_ = make_wall_round(server)
    (turn,) = claimed(round_)
    completion = answer_on_record(round_, seconds_after_deadline=1.5)

    assert settle_turn(turn, completion) == "LATE"

    row = Turn.objects.get()
    assert (row.outcome, row.reason) == ("LATE", "answered 1.5 s after the deadline")
    assert row.decision is not None
    assert not Order.objects.exists()


@pytest.mark.django_db
def test_an_answer_in_time_that_lay_through_an_outage_is_late(server):
    round_ = make_wall_round(server)
    Round.objects.update(deadline_at=timezone.now() - timedelta(seconds=60))
    round_.refresh_from_db()
    completion = answer_on_record(round_, seconds_after_deadline=-0.5)

    turns.play_turns(round_.pk, ids(round_))

    assert Turn.objects.get().outcome == "LATE"
    assert Completion.objects.get() == completion
    assert server.counts["requests"] == 0
    assert not Order.objects.exists()


def answer_on_record(round_: Round, *, seconds_after_deadline: float) -> Completion:
    """Store the server's answer to the only turn as if it had come at another time."""
    turn = Turn.objects.select_related("participant__agent").get()
    (job,) = turns._jobs(round_, turns.contract_of(round_.competition), [turn])
    raw = turns.RawCompletion(status="OK", body=b"{}", text=LONG_AND_SHORT)
    at = round_.deadline_at + timedelta(seconds=seconds_after_deadline)
    return turns._store(job, 1, at, at, raw)


@pytest.mark.django_db
def test_on_the_wall_clock_the_sweeper_times_out_what_nobody_answered(server):
    round_ = make_wall_round(server)
    claimed(round_)

    sweeping.sweep(now=round_.deadline_at + timedelta(seconds=10))
    assert Turn.objects.get().outcome == "", "its worker may still be at it"
    sweeping.sweep(now=round_.deadline_at + timedelta(seconds=30))

    turn = Turn.objects.get()
    assert (turn.outcome, turn.reason) == ("TIMEOUT", "no answer by the round's deadline")
    sweeping.sweep(now=round_.deadline_at + timedelta(seconds=31))
    round_.refresh_from_db()
    assert round_.state == "CLOSED"
    assert server.counts["requests"] == 0


@pytest.mark.django_db
def test_in_a_replay_an_interrupted_round_gets_its_time_again(server):
    round_ = make_round(server)
    claimed(round_)
    later = round_.deadline_at + timedelta(hours=1)
    Turn.objects.update(lease_until=later - timedelta(seconds=1))

    left = sweeping.sweep(now=later)

    assert left.turns == {round_.pk: ids(round_)}
    round_.refresh_from_db()
    assert round_.deadline_at == later + timedelta(seconds=60)


# --- who cannot be asked ------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_agent_without_a_key_is_skipped_with_a_hint_and_does_not_hold_up_the_others():
    agent = baselines("cash")[0]
    keyless = Agent.objects.get(slug="claude-sonnet-5-5")
    season = start_season(make_season("season", store_market(120 + 40), [agent, keyless]))
    round_ = prepared(season)

    turns.play_turns(round_.pk, ids(round_))

    told = {turn.participant.slug: (turn.outcome, turn.reason) for turn in Turn.objects.all()}
    assert told == {
        "cash": ("HELD", ""),
        "claude-sonnet-5-5": (
            "SKIPPED",
            "set ANTHROPIC_API_KEY in .env and restart to let Claude in",
        ),
    }
    assert verify_season(season).problems == []


# --- how much it asks ---------------------------------------------------------------------------

ONE_LONG = json.dumps(
    {
        "summary": "One order.",
        "instructions": [
            {"action": "open_long", "symbol": "BTCUSDT", "margin_fraction": "0.1", "leverage": 2}
        ],
    }
)


@pytest.mark.django_db
@pytest.mark.parametrize(("rule", "most"), [(FillRule.ARRIVAL, 53), (FillRule.SNAPSHOT, 44)])
def test_an_answer_of_one_order_is_stored_and_settled_with_few_queries(
    server, monkeypatch, rule, most
):
    # Begin and end of a transaction count; what a process reads once, market and snapshot, counts too.
    server.say = ONE_LONG
    round_ = make_wall_round(server, fill_rule=rule, interval_seconds=60, deadline_seconds=60)
    asked: list[dict[str, str]] = []
    for name in ("_store", "settle_turn"):
        real = getattr(turns, name)

        def counted(*args: Any, real: Callable[..., Any] = real) -> Any:
            with CaptureQueriesContext(connection) as queries:
                result = real(*args)
            asked.extend(queries.captured_queries)
            return result

        monkeypatch.setattr(turns, name, counted)

    turns.play_turns(round_.pk, ids(round_))

    assert Turn.objects.get().outcome == "TRADED"
    assert 0 < len(asked) <= most, "\n".join(query["sql"][:160] for query in asked)
