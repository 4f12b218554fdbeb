"""Everything the page of a competition shows, and the pushed pieces of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from competitions.models import Competition
from competitions.selectors.activity import (
    Holdings,
    TradeView,
    TurnView,
    feed_of,
    holdings_of,
    trades_of,
)
from competitions.selectors.board import Board, board_of
from competitions.selectors.chart import Chart, ChartView, chart_version, draw, series_of
from competitions.selectors.facts import Facts, facts_of
from competitions.selectors.market import Prices, closing_marks, prices_of
from competitions.selectors.seasons import Season, load_season
from competitions.selectors.terms import Terms, terms_of


@dataclass(frozen=True, slots=True)
class SeasonPage:
    """The page at event ``seq``: at least all that was told up to it is in the figures."""

    season: Season
    seq: int
    now: datetime
    facts: Facts
    prices: Prices
    chart: Chart
    board: Board
    holdings: Holdings
    trades: tuple[TradeView, ...]
    feed: tuple[TurnView, ...]
    terms: Terms

    @property
    def competition(self) -> Competition:
        return self.season.competition


def season_page(competition: Competition, view: ChartView, *, now: datetime) -> SeasonPage:
    """Return the page; ``competition`` must be fresh, since its ``event_seq`` is what the page claims to hold."""
    season = load_season(competition)
    board = board_of(season)
    marks = closing_marks(season)
    return SeasonPage(
        season=season,
        seq=competition.event_seq,
        now=now,
        facts=facts_of(season, now=now),
        prices=prices_of(season),
        chart=chart_of(season, view),
        board=board,
        holdings=holdings_of(season, marks, order=[row.entrant for row in board.rows]),
        trades=trades_of(season),
        feed=feed_of(season),
        terms=terms_of(season),
    )


# Drawings of past rounds never change; a new round, break or name makes another key.
_drawn: dict[object, Chart] = {}
_drawing = Lock()
_DRAWN_LIMIT = 64


def chart_of(season: Season, view: ChartView) -> Chart:
    """Return the chart, drawn once per closed round and view in this process."""
    competition = season.competition
    key = (competition.pk, chart_version(season), competition.gaps.count(), season.entrants, view)
    found = _drawn.get(key)
    if found is None:
        found = draw(series_of(season, view), view)
        with _drawing:
            while len(_drawn) >= _DRAWN_LIMIT:
                _drawn.pop(next(iter(_drawn)))
            _drawn[key] = found
    return found
