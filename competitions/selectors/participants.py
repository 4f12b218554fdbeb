"""One participant's page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from django.db.models import Count

from agents.models import Agent
from competitions.models.rounds import Turn, TurnState
from competitions.selectors.activity import (
    PositionView,
    TradeView,
    TurnView,
    feed_of,
    holdings_of,
    trades_of,
)
from competitions.selectors.board import Board, BoardRow, board_of
from competitions.selectors.chart import Chart, ChartView, draw, series_of
from competitions.selectors.market import closing_marks
from competitions.selectors.seasons import Entrant, Season
from trading.models import Standing

DECISIONS = 12
TRADES = 20


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """How many of the participant's turns ended so."""

    outcome: str
    count: int


@dataclass(frozen=True, slots=True)
class ParticipantPage:
    """A participant's figures, holdings, trades and latest decisions; ``standing`` is None before the start."""

    season: Season
    entrant: Entrant
    agent: Agent
    board: Board
    row: BoardRow | None
    standing: Standing | None
    positions: tuple[PositionView, ...]
    trades: tuple[TradeView, ...]
    turns: tuple[TurnView, ...]
    outcomes: tuple[OutcomeCount, ...]
    chart: Chart

    @property
    def decisions(self) -> int:
        return sum(item.count for item in self.outcomes)

    @property
    def unrealised(self) -> Decimal | None:
        return self.standing.unrealised if self.standing else None


def find_entrant(season: Season, slug: str) -> Entrant | None:
    """Return the entrant of that slug, None when there is none."""
    return next((entrant for entrant in season.entrants if entrant.slug == slug), None)


def participant_page(season: Season, entrant: Entrant) -> ParticipantPage:
    """Return a participant's page. Queries about fifteen times."""
    board = board_of(season)
    standing = Standing.objects.filter(account__participant=entrant.id).first()
    holders = holdings_of(season, closing_marks(season), order=[entrant]).holders
    return ParticipantPage(
        season=season,
        entrant=entrant,
        agent=Agent.objects.select_related("template", "provider").get(participants=entrant.id),
        board=board,
        row=next((row for row in board.rows if row.entrant == entrant), None),
        standing=standing,
        positions=holders[0].positions if holders else (),
        trades=trades_of(season, entrant=entrant, limit=TRADES) if entrant.account_id else (),
        turns=feed_of(season, entrant=entrant, limit=DECISIONS),
        outcomes=outcomes_of(entrant),
        chart=_chart(season, entrant),
    )


def _chart(season: Season, entrant: Entrant) -> Chart:
    """Return the participant's line beside those of the baselines."""
    view = ChartView()
    series = series_of(season, view)
    kept = (line for line in series.lines if line.entrant == entrant or line.entrant.is_baseline)
    return draw(replace(series, lines=tuple(kept)), view, lead=entrant)


def outcomes_of(entrant: Entrant) -> tuple[OutcomeCount, ...]:
    """Return how the participant's settled turns ended, the most frequent first. Queries once."""
    rows = (
        Turn.objects.filter(participant_id=entrant.id, state=TurnState.SETTLED)
        .values_list("outcome")
        .annotate(count=Count("pk"))
        .order_by("-count", "outcome")
    )
    return tuple(OutcomeCount(outcome, count) for outcome, count in rows)
