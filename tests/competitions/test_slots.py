"""The grid of slots: none twice, none lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from competitions.domain.slots import (
    allowed_lateness,
    first_slot,
    is_beyond,
    plan_data_slot,
    plan_wall_slot,
)

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("now", "interval", "slot"),
    [
        (T0, 900, T0),
        (T0 + SECOND, 900, T0 + 900 * SECOND),
        (T0 + timedelta(microseconds=1), 60, T0 + 60 * SECOND),
        (T0 + 899 * SECOND, 900, T0 + 900 * SECOND),
        # A day's grid begins at midnight UTC.
        (T0, 86400, datetime(2026, 3, 3, tzinfo=UTC)),
    ],
)
def test_the_first_slot_is_the_next_on_the_grid(now, interval, slot):
    assert first_slot(now, interval) == slot


@pytest.mark.parametrize(
    ("interval", "seconds"), [(1, 2), (4, 2), (8, 4), (60, 30), (120, 60), (900, 60)]
)
def test_lateness_is_half_an_interval_within_bounds(interval, seconds):
    assert allowed_lateness(interval) == timedelta(seconds=seconds)


def test_a_slot_that_waits_its_turn_is_told():
    plan = plan_wall_slot(T0, None, 60, now=T0 - SECOND)
    assert (plan.slot_at, plan.next_slot_at, plan.missed) == (None, T0, 0)


def test_slots_that_passed_are_missed_up_to_the_one_that_may_still_be_played():
    plan = plan_wall_slot(T0, T0, 60, now=T0 + 200 * SECOND)

    # 12:01 and 12:02 are gone, 12:03 is 20 s old and may be 30 s late.
    assert plan.slot_at == T0 + 180 * SECOND
    assert (plan.missed_from, plan.missed_to) == (T0 + 60 * SECOND, T0 + 180 * SECOND)
    assert (plan.missed, plan.next_slot_at) == (2, T0 + 240 * SECOND)


def test_a_slot_past_its_lateness_is_missed_itself():
    plan = plan_wall_slot(T0, T0, 60, now=T0 + 215 * SECOND)

    assert plan.slot_at is None
    assert (plan.missed_from, plan.missed_to) == (T0 + 60 * SECOND, T0 + 240 * SECOND)
    assert plan.missed == 3


looks = st.lists(
    st.one_of(
        st.integers(0, 2_000),
        st.integers(0, 400_000),
        st.integers(0, 20_000_000),
    ),
    min_size=1,
    max_size=60,
)


@given(interval=st.integers(1, 3600), waits=looks)
def test_every_slot_is_played_once_or_lies_in_one_gap(interval, waits):
    """A clock that looks at random times, as the arena's does: rounds and gaps together are the grid, each slot once."""
    step = timedelta(seconds=interval)
    now, last, covered, played = T0 - 5 * SECOND, None, [], []
    for wait in waits:
        now += timedelta(milliseconds=wait)
        plan = plan_wall_slot(T0, last, interval, now=now)
        if plan.missed:
            assert plan.missed_from is not None
            assert plan.missed_to is not None
            assert plan.missed_to - plan.missed_from == plan.missed * step
            covered += [plan.missed_from + index * step for index in range(plan.missed)]
            last = plan.missed_to - step
        if plan.slot_at is not None:
            assert timedelta(0) <= now - plan.slot_at <= allowed_lateness(interval)
            covered.append(plan.slot_at)
            played.append(plan.slot_at)
            last = plan.slot_at
        assert plan.next_slot_at > now - step

    assert covered == [T0 + index * step for index in range(len(covered))]
    assert len(set(played)) == len(played)
    # Nothing due was left out: the next slot is not past its lateness.
    assert now - (T0 + len(covered) * step) <= allowed_lateness(interval)


@given(interval=st.integers(1, 86400), count=st.integers(1, 50))
def test_a_replay_plays_the_whole_grid(interval, count):
    last, played = None, []
    for _ in range(count):
        plan = plan_data_slot(T0, last, interval)
        assert plan.slot_at is not None
        assert plan.missed == 0
        last = plan.slot_at
        played.append(last)

    assert played == [T0 + timedelta(seconds=interval * index) for index in range(count)]


def test_a_round_lies_before_the_end_and_within_the_number():
    end = T0 + 60 * SECOND
    assert not is_beyond(T0, number=1, ends_at=end, max_rounds=1)
    assert is_beyond(end, number=1, ends_at=end, max_rounds=None)
    assert is_beyond(T0, number=2, ends_at=None, max_rounds=1)
    assert not is_beyond(T0, number=10**6, ends_at=None, max_rounds=None)
