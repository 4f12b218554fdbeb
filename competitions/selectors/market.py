"""Prices as pages show them: the latest marks, how they moved, the marks a round closed at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from competitions.models.rounds import Round
from competitions.selectors.seasons import Grid, Season
from marketdata.models import Blob
from trading.selectors.tape import marks_at

SPARK_POINTS = 48
SPARK_WIDTH, SPARK_HEIGHT = 62, 22
Marks = tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Price:
    """One symbol of the strip; ``change`` is a fraction over the rounds that the small line shows."""

    grid: Grid
    mark: Decimal
    change: Decimal | None
    spark: str


@dataclass(frozen=True, slots=True)
class Prices:
    """The strip; ``as_of`` is market time, ``captured_at`` wall time. ``rounds`` is what the changes span."""

    prices: tuple[Price, ...]
    feed: str
    is_simulated: bool
    has_data: bool
    as_of: datetime | None
    captured_at: datetime | None
    rounds: int


def prices_of(season: Season) -> Prices:
    """Return the marks of the latest snapshots. Queries once, or twice when a round is new to this process."""
    rows = list(
        Round.objects.filter(competition=season.competition, snapshot__isnull=False)
        .order_by("-number")
        .values_list(
            "snapshot__manifest_id", "snapshot__as_of", "snapshot__captured_at", "has_data"
        )[:SPARK_POINTS]
    )
    history = list(reversed(_histories([row[0] for row in rows])))
    feed = season.competition.feed
    return Prices(
        prices=tuple(_prices(season, history)),
        feed=feed.name,
        is_simulated=feed.is_simulated,
        has_data=rows[0][3] if rows else False,
        as_of=rows[0][1] if rows else None,
        captured_at=rows[0][2] if rows else None,
        rounds=len(rows),
    )


def _prices(season: Season, history: Sequence[dict[str, Decimal]]) -> Iterable[Price]:
    """Yield the traded symbols that have a mark, oldest snapshot first in ``history``."""
    for grid in season.grids.values():
        marks = [marks[grid.symbol] for marks in history if grid.symbol in marks]
        if marks:
            change = marks[-1] / marks[0] - 1 if len(marks) > 1 else None
            yield Price(grid, marks[-1], change, spark_path(marks))


def spark_path(values: Sequence[Decimal]) -> str:
    """Return a small line through ``values``, left to right; empty for fewer than two."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = high - low or Decimal(1)
    step = SPARK_WIDTH / (len(values) - 1)
    points = (
        f"{place * step:.0f},{2 + float((high - value) / span) * (SPARK_HEIGHT - 4):.0f}"
        for place, value in enumerate(values)
    )
    return "M" + " ".join(points)


# Manifests and tape segments are immutable, so what was read once stays true.
_known_marks: dict[str, Marks] = {}
_KNOWN_LIMIT = 4_096


def _histories(manifest_ids: Sequence[str]) -> list[dict[str, Decimal]]:
    """Return the marks of each manifest; reads only those this process has not seen."""
    missing = [key for key in manifest_ids if key not in _known_marks]
    if missing:
        if len(_known_marks) > _KNOWN_LIMIT:
            _known_marks.clear()
        for key, blob in Blob.objects.in_bulk(missing).items():
            _known_marks[key] = _marks_in(json.loads(blob.raw()))
    return [dict(_known_marks.get(key, ())) for key in manifest_ids]


def _marks_in(manifest: dict[str, Any]) -> Marks:
    quotes: dict[str, dict[str, str]] = manifest.get("quotes", {})
    return tuple((symbol, Decimal(quote["mark"])) for symbol, quote in quotes.items())


@dataclass(frozen=True, slots=True)
class ClosingMarks:
    """The marks that open positions are valued at; ``at`` is market time, None before the first."""

    at: datetime | None
    marks: Mapping[str, Decimal]


def closing_marks(season: Season) -> ClosingMarks:
    """Return the marks of the last closed round. Queries once, and the tape when the round is new to this process."""
    last = (
        Round.objects.closed()
        .filter(competition=season.competition)
        .order_by("-number")
        .values_list("marked_at", "last_tape_position")
        .first()
    )
    book_id = season.competition.book_id
    if last is None or book_id is None:
        return ClosingMarks(None, {})
    marked_at, position = last
    return ClosingMarks(marked_at, dict(_marks_up_to(book_id, tuple(season.grids), position or 0)))


@lru_cache(maxsize=512)
def _marks_up_to(book_id: UUID, symbols: tuple[str, ...], position: int) -> Marks:
    return tuple(marks_at(book_id, symbols, tape_position=position).items())
