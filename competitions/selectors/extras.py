"""Extra rounds beside the schedule: who had them, who asked for them, and how the scheduled ones count without them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count

from competitions.models import Competition, Round, Turn
from competitions.models.rounds import RoundKind
from competitions.selectors.seasons import Season
from competitions.selectors.shown import shown


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who asked for extra rounds, and how many."""

    name: str
    rounds: int


def extra_turns(season: Season) -> dict[UUID, int]:
    """Return how many extra turns each participant had; those without are left out. Queries once, or not when there are none."""
    if not season.competition.extra_count:
        return {}
    turns = Turn.objects.filter(
        round__competition=season.competition, round__kind=RoundKind.EXTRA
    ).values_list("participant_id")
    return dict(turns.annotate(count=Count("pk")))


def askers_of(season: Season) -> tuple[Asker, ...]:
    """Return who asked for extra rounds, the most frequent first. Queries once, or not when there are none."""
    if not season.competition.extra_count:
        return ()
    rounds = Round.objects.filter(competition=season.competition, kind=RoundKind.EXTRA)
    rows = rounds.values_list("asked_by").annotate(count=Count("pk"))
    return tuple(Asker(shown(name), count) for name, count in rows.order_by("-count", "asked_by"))


def extra_numbers(competition: Competition) -> list[int]:
    """Return the numbers of the season's extra rounds, ascending. Queries once, or not when there are none."""
    if not competition.extra_count:
        return []
    rounds = Round.objects.filter(competition=competition, kind=RoundKind.EXTRA)
    return list(rounds.order_by("number").values_list("number", flat=True))


def scheduled_place(number: int, extras: Sequence[int]) -> int:
    """Return the place of round ``number`` in the schedule, from 1; an extra round has that of the scheduled one before it.

    ``extras`` are the numbers of the extra rounds, ascending.

    >>> [scheduled_place(number, [3, 4]) for number in range(1, 6)]
    [1, 2, 2, 2, 3]
    """
    place = bisect_left(extras, number)
    is_extra = place < len(extras) and extras[place] == number
    return number - place - is_extra


def since_scheduled(competition: Competition, count: int, *, before: int | None = None) -> int:
    """Return the number of the ``count``-th last scheduled round, of those before round ``before``; at most 0 when there are fewer.

    Queries once, or not when there are no extra rounds.
    """
    last = competition.round_count if before is None else before - 1
    if not competition.extra_count:
        return last - count + 1
    scheduled = Round.objects.filter(
        competition=competition, kind=RoundKind.SCHEDULED, number__lte=last
    ).order_by("-number")
    numbers = list(scheduled.values_list("number", flat=True)[:count])
    return numbers[-1] if len(numbers) == count else 0
