"""Everything the page of a competition shows, and the pushed pieces of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from threading import Lock

from competitions.models import Competition
from competitions.selectors.activity import FeedEntry, TurnView, feed_of, with_happenings
from competitions.selectors.board import Board, board_of
from competitions.selectors.chart import Chart, ChartView, chart_version, draw, series_of
from competitions.selectors.extras import Asker, askers_of
from competitions.selectors.facts import Facts, facts_of
from competitions.selectors.holdings import Holdings, TradeView, holdings_of, trades_of
from competitions.selectors.market import Prices, closing_marks, prices_of
from competitions.selectors.seasons import Season, load_season
from competitions.selectors.terms import Terms, terms_of


@dataclass(frozen=True)
class SeasonPage:
    """The page of a competition at event ``seq``; each part is read when it is first looked at.

    ``seq`` was read before all of them, so the parts hold at least what was told up to it.
    """

    season: Season
    seq: int
    now: datetime
    view: ChartView

    @property
    def competition(self) -> Competition:
        return self.season.competition

    @cached_property
    def facts(self) -> Facts:
        return facts_of(self.season, now=self.now)

    @cached_property
    def prices(self) -> Prices:
        return prices_of(self.season)

    @cached_property
    def chart(self) -> Chart:
        return chart_of(self.season, self.view)

    @cached_property
    def board(self) -> Board:
        return board_of(self.season)

    @cached_property
    def holdings(self) -> Holdings:
        order = [row.entrant for row in self.board.rows]
        return holdings_of(self.season, closing_marks(self.season), order=order)

    @cached_property
    def trades(self) -> tuple[TradeView, ...]:
        return trades_of(self.season)

    @cached_property
    def feed(self) -> tuple[TurnView, ...]:
        return feed_of(self.season)

    @cached_property
    def entries(self) -> tuple[FeedEntry, ...]:
        return with_happenings(self.season, self.feed)

    @cached_property
    def askers(self) -> tuple[Asker, ...]:
        """Return who asked for extra rounds."""
        return askers_of(self.season)

    @cached_property
    def terms(self) -> Terms:
        return terms_of(self.season)


def season_page(competition: Competition, view: ChartView, *, now: datetime) -> SeasonPage:
    """Return the page; ``competition`` must be fresh, since its ``event_seq`` is what the page claims to hold."""
    return SeasonPage(load_season(competition), competition.event_seq, now, view)


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
