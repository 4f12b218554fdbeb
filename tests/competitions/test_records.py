"""The audit chain, the events' numbers, leases and heartbeats, digests."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from competitions.domain.digests import (
    EquityRecord,
    FillRecord,
    LegRecord,
    PostingRecord,
    RoundRecord,
    TurnRecord,
    round_digest,
    season_digest,
)
from competitions.models import AuditEvent, Competition, Event, Heartbeat, Lease
from competitions.models.events import EventKind
from competitions.services.audit import broken_links, record_act
from competitions.services.events import record_events
from competitions.services.leases import (
    beat,
    held_by_other,
    holder_name,
    is_gone,
    release_lease,
    take_lease,
)
from tests.builders import make_season, make_synthetic_feed

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def season() -> Competition:
    return make_season("season", make_synthetic_feed(), [])


# --- the audit chain ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_each_audit_entry_seals_the_one_before():
    entries = [
        record_act("paused", "season", actor="mara", now=NOW + index * SECOND, reason=str(index))
        for index in range(3)
    ]

    assert [entry.seq for entry in entries] == [1, 2, 3]
    assert [entry.previous_hash for entry in entries] == ["", entries[0].hash, entries[1].hash]
    assert len({entry.hash for entry in entries}) == 3
    assert list(broken_links()) == []


@pytest.mark.django_db
def test_an_entry_that_was_put_in_between_breaks_the_chain():
    first = record_act("started", "season", actor="mara", now=NOW)
    AuditEvent.objects.create(
        seq=2, at=NOW, actor="eve", action="x", subject="y", previous_hash=first.hash, hash="0" * 64
    )
    record_act("stopped", "season", actor="mara", now=NOW)

    (broken,) = broken_links()

    assert broken.startswith("audit entry 2 was changed: its hash is 000000000000")


@pytest.mark.django_db
def test_an_act_that_was_rolled_back_leaves_no_hole():
    record_act("started", "season", actor="mara", now=NOW)
    with transaction.atomic():
        record_act("paused", "season", actor="mara", now=NOW)
        transaction.set_rollback(True)
    record_act("stopped", "season", actor="mara", now=NOW)

    assert list(AuditEvent.objects.order_by("seq").values_list("seq", "action")) == [
        (1, "started"),
        (2, "stopped"),
    ]
    assert list(broken_links()) == []


# --- events -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_events_are_numbered_densely_per_season(season):
    other = make_season("other", make_synthetic_feed(), [])
    started, complete = (EventKind.ROUND_START, {"round": 1}), (EventKind.ROUND_COMPLETE, {})

    assert record_events(season, started, complete, now=NOW) == 2
    assert record_events(other, started, now=NOW) == 1
    with transaction.atomic():
        record_events(season, started, now=NOW)
        transaction.set_rollback(True)
    assert record_events(season, complete, now=NOW) == 3

    kinds = Event.objects.filter(competition=season).order_by("seq").values_list("seq", "kind")
    assert list(kinds) == [(1, "round_start"), (2, "round_complete"), (3, "round_complete")]


# --- leases -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_lease_has_one_holder_until_it_passes():
    assert take_lease("feed", "a@far:1", seconds=10, now=NOW)
    assert not take_lease("feed", "b@far:2", seconds=10, now=NOW + 10 * SECOND)
    assert held_by_other("feed", "b@far:2", now=NOW + 10 * SECOND)
    assert not held_by_other("feed", "a@far:1", now=NOW)

    assert take_lease("feed", "b@far:2", seconds=10, now=NOW + 11 * SECOND)
    assert not take_lease("feed", "a@far:1", seconds=10, now=NOW + 12 * SECOND)
    lease = Lease.objects.get(name="feed")
    assert (lease.holder, lease.fence) == ("b@far:2", 2)


@pytest.mark.django_db
def test_a_lease_is_renewed_by_its_holder_and_given_back_by_nobody_else():
    take_lease("feed", "a@far:1", seconds=10, now=NOW)
    assert take_lease("feed", "a@far:1", seconds=10, now=NOW + 5 * SECOND)

    release_lease("feed", "b@far:2")
    assert held_by_other("feed", "b@far:2", now=NOW + 15 * SECOND)
    release_lease("feed", "a@far:1")
    assert take_lease("feed", "b@far:2", seconds=10, now=NOW + 6 * SECOND)


@pytest.mark.django_db
def test_a_lease_of_a_process_that_died_here_is_free_at_once():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    dead = holder_name("run_competition").replace(f":{os.getpid()}", f":{process.pid}")
    take_lease("drive:1", dead, seconds=100, now=NOW)
    assert not take_lease("drive:1", holder_name("other"), seconds=10, now=NOW), "it lives"
    process.kill()
    process.communicate()

    assert is_gone(dead)
    assert not held_by_other("drive:1", "x", now=NOW)
    assert take_lease("drive:1", holder_name("other"), seconds=10, now=NOW)


def test_what_cannot_be_known_to_have_died_counts_as_alive():
    mine = holder_name("run_competition")
    assert not is_gone(mine)
    # On another machine the same number is another process.
    assert not is_gone("run_competition@elsewhere:999999")
    assert not is_gone("")
    assert not is_gone("a name without a number")


@pytest.mark.django_db
def test_a_heartbeat_is_one_row_with_the_last_time():
    beat("clock", now=NOW)
    beat("clock", now=NOW + SECOND, note="n" * 500)

    row = Heartbeat.objects.get()
    assert (row.name, row.at, len(row.note)) == ("clock", NOW + SECOND, 200)


# --- digests ------------------------------------------------------------------------------------

TURNS = (
    TurnRecord(
        1,
        "TRADED",
        "VALID",
        "a" * 64,
        [{"action": "open_long", "symbol": "BTCUSDT"}],
        [LegRecord(1, "FILLED", "")],
        [FillRecord(1, 1, "BTCUSDT", "BUY", *map(Decimal, ("0.1", "60000", "3", "0")))],
        [PostingRecord("fill:1:1", 1, "", "FEE", Decimal(-3))],
    ),
    TurnRecord(2, "HELD", "VALID", "b" * 64),
)
ROUND = RoundRecord(
    1,
    "SCHEDULED",
    NOW,
    "c" * 64,
    "d" * 64,
    NOW,
    TURNS,
    (
        EquityRecord(1, *map(Decimal, ("9997", "9997", "0", "600"))),
        EquityRecord(2, *map(Decimal, ("10000", "10000", "0", "0"))),
    ),
)


def test_a_round_digest_is_the_same_in_whatever_order_its_turns_came():
    shuffled = replace(ROUND, turns=ROUND.turns[::-1], equity=ROUND.equity[::-1])
    assert round_digest(shuffled) == round_digest(ROUND)


def test_a_round_digest_is_the_same_for_equal_numbers_written_otherwise():
    fill = replace(TURNS[0].fills[0], price=Decimal("60000.00"))
    same = replace(ROUND, turns=(replace(TURNS[0], fills=[fill]), TURNS[1]))
    assert round_digest(same) == round_digest(ROUND)


@pytest.mark.parametrize(
    "changed",
    [
        replace(ROUND, number=2),
        replace(ROUND, slot_at=NOW + SECOND),
        replace(ROUND, snapshot="e" * 64),
        replace(ROUND, tape="e" * 64),
        replace(ROUND, marked_at=NOW + SECOND),
        replace(ROUND, turns=TURNS[:1]),
        replace(ROUND, turns=(replace(TURNS[0], outcome="DENIED"), TURNS[1])),
        replace(ROUND, turns=(replace(TURNS[0], decision_text="e" * 64), TURNS[1])),
        replace(ROUND, turns=(replace(TURNS[0], legs=[LegRecord(1, "DENIED", "X")]), TURNS[1])),
        replace(ROUND, equity=ROUND.equity[:1]),
    ],
)
def test_a_round_digest_changes_with_what_it_covers(changed):
    assert round_digest(changed) != round_digest(ROUND)


def test_a_season_digest_depends_on_contract_and_order():
    digests = {
        season_digest("c", ["a", "b"]),
        season_digest("c", ["b", "a"]),
        season_digest("d", ["a", "b"]),
        season_digest("c", ["a"]),
        season_digest("c", []),
        season_digest("c", ["ab"]),
    }
    assert len(digests) == 6
