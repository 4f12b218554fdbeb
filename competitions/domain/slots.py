"""When rounds are: the grid of slots in market time, and what became of those that passed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

MAX_LATENESS = timedelta(seconds=60)
MIN_LATENESS = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """What to do now: the slot to play (None: nothing is due) and the slots that were missed before it."""

    slot_at: datetime | None
    next_slot_at: datetime
    missed_from: datetime | None = None
    missed_to: datetime | None = None
    missed: int = 0


def first_slot(now: datetime, interval_seconds: int) -> datetime:
    """Return the first instant of the UTC grid of ``interval_seconds`` that is not before ``now``."""
    stamp = now.timestamp()
    passed = stamp % interval_seconds
    return now if passed == 0 else now + timedelta(seconds=interval_seconds - passed)


def allowed_lateness(interval_seconds: int) -> timedelta:
    """Return how long after its slot a round may still be opened on the wall clock: half an interval, 2 s to 60 s."""
    return min(max(timedelta(seconds=interval_seconds / 2), MIN_LATENESS), MAX_LATENESS)


def plan_wall_slot(
    starts_at: datetime, last_slot_at: datetime | None, interval_seconds: int, *, now: datetime
) -> SlotPlan:
    """Return the slot to open at wall time ``now``; slots that are past their lateness are missed, not caught up."""
    interval = timedelta(seconds=interval_seconds)
    expected = starts_at if last_slot_at is None else last_slot_at + interval
    if now < expected:
        return SlotPlan(slot_at=None, next_slot_at=expected)
    behind = (now - expected) // interval
    current = expected + behind * interval
    playable = now - current <= allowed_lateness(interval_seconds)
    first_unmissed = current if playable else current + interval
    missed = behind if playable else behind + 1
    return SlotPlan(
        slot_at=current if playable else None,
        next_slot_at=current + interval,
        missed_from=expected if missed else None,
        missed_to=first_unmissed if missed else None,
        missed=missed,
    )


def plan_data_slot(
    starts_at: datetime, last_slot_at: datetime | None, interval_seconds: int
) -> SlotPlan:
    """Return the next slot of a replay: each follows the last, none is ever missed."""
    interval = timedelta(seconds=interval_seconds)
    slot = starts_at if last_slot_at is None else last_slot_at + interval
    return SlotPlan(slot_at=slot, next_slot_at=slot + interval)


def is_beyond(
    slot_at: datetime, *, number: int, ends_at: datetime | None, max_rounds: int | None
) -> bool:
    """Tell whether a round ``number`` at ``slot_at`` would lie outside the season."""
    return (ends_at is not None and slot_at >= ends_at) or (
        max_rounds is not None and number > max_rounds
    )
