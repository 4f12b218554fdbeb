"""One participant's page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from django.db.models import Count

from agents.models import Agent
from competitions.models.rounds import Turn, TurnState
from competitions.selectors.accounts import AccountView, account_of, drawdown_of
from competitions.selectors.activity import TurnView, feed_of
from competitions.selectors.board import Board, BoardRow, board_of
from competitions.selectors.chart import Chart, ChartView, draw, series_of
from competitions.selectors.executions import (
    Execution,
    FundingView,
    executions_of,
    funding_of,
)
from competitions.selectors.holdings import PositionView, TradeView, holdings_of, trades_of
from competitions.selectors.market import closing_marks
from competitions.selectors.orders import OrderView, denials_of, open_orders_of
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
    account: AccountView | None
    positions: tuple[PositionView, ...]
    orders: tuple[OrderView, ...]
    denials: tuple[OrderView, ...]
    fills: tuple[Execution, ...]
    funding: tuple[FundingView, ...]
    trades: tuple[TradeView, ...]
    turns: tuple[TurnView, ...]
    outcomes: tuple[OutcomeCount, ...]
    chart: Chart

    @property
    def decisions(self) -> int:
        return sum(item.count for item in self.outcomes)

    @property
    def drawdown(self) -> Decimal | None:
        """Return how far the equity is below its peak now, a fraction; None before the start."""
        return drawdown_of(self.standing) if self.standing else None


def find_entrant(season: Season, slug: str) -> Entrant | None:
    """Return the entrant of that slug, None when there is none."""
    return next((entrant for entrant in season.entrants if entrant.slug == slug), None)


def participant_page(season: Season, entrant: Entrant) -> ParticipantPage:
    """Return a participant's page. Queries about twenty times."""
    board = board_of(season)
    standing = Standing.objects.filter(account__participant=entrant.id).first()
    marks = closing_marks(season)
    holders = holdings_of(season, marks, order=[entrant]).holders
    has_account = entrant.account_id is not None
    return ParticipantPage(
        season=season,
        entrant=entrant,
        agent=Agent.objects.select_related("template", "provider").get(participants=entrant.id),
        board=board,
        row=next((row for row in board.rows if row.entrant == entrant), None),
        standing=standing,
        positions=holders[0].positions if holders else (),
        account=account_of(season, entrant, marks),
        orders=open_orders_of(season, entrant) if has_account else (),
        denials=denials_of(season, entrant) if has_account else (),
        fills=executions_of(season, entrant) if has_account else (),
        funding=funding_of(season, entrant) if has_account else (),
        trades=trades_of(season, entrant=entrant, limit=TRADES) if has_account else (),
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
