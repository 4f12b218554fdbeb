"""The figures behind the chart, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from competitions.selectors.chart import ChartView
from competitions.selectors.seasons import Entrant, Season
from trading.models import EquityPoint

ROWS = 200


@dataclass(frozen=True, slots=True)
class FigureRow:
    """All entrants' equity at the close of one round; None where one has no figure."""

    number: int
    at: datetime
    equity: tuple[Decimal | None, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """The table's columns and its rows, newest first; ``is_cut`` when older rounds are left out."""

    entrants: tuple[Entrant, ...]
    rows: tuple[FigureRow, ...]
    is_cut: bool


def figures_of(season: Season, view: ChartView) -> Figures:
    """Return the equity of the last 200 closed rounds. Queries once."""
    entrants = tuple(entrant for entrant in season.entrants if entrant.account_id is not None)
    column = {entrant.account_id: place for place, entrant in enumerate(entrants)}
    points = EquityPoint.objects.filter(
        account__in=list(column), number__gt=season.competition.round_count - ROWS
    ).order_by("-number")
    found: dict[int, tuple[datetime, list[Decimal | None]]] = {}
    for account, number, at, equity in points.values_list("account_id", "number", "at", "equity"):
        _, values = found.setdefault(number, (at, [None] * len(entrants)))
        values[column[account]] = _in_unit(equity, season, view)
    rows = tuple(FigureRow(number, at, tuple(values)) for number, (at, values) in found.items())
    return Figures(entrants, rows, season.competition.round_count > ROWS)


def _in_unit(equity: Decimal, season: Season, view: ChartView) -> Decimal:
    return equity if view.unit == "usdt" else equity / season.competition.initial_capital - 1
