"""The arena at large, and one season without naming it: the public one that started last."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router

from agents.domain.schema import decision_schema
from competitions.api.access import (
    OPTIONAL_KEY,
    KeyHeader,
    caller_of,
    current_season,
    get_season,
)
from competitions.api.accounts import PositionOut, position_out
from competitions.api.answers import (
    ArenaStatusOut,
    BoardOut,
    DecisionPage,
    HeartbeatOut,
    MarketOut,
    MarkOut,
)
from competitions.api.paging import PageIn
from competitions.api.shaping import board_out, decision_page, turn_position
from competitions.api.wire import READ_ERRORS, ApiError
from competitions.models import Heartbeat
from competitions.selectors.board import board_of
from competitions.selectors.holdings import holdings_of
from competitions.selectors.listings import turns_page
from competitions.selectors.market import Price, closing_marks, prices_of

router = Router(tags=["arena"], auth=KeyHeader())


@router.get(
    "/status",
    response={200: ArenaStatusOut, **READ_ERRORS},
    operation_id="get_status",
    openapi_extra=OPTIONAL_KEY,
)
def status(request: HttpRequest) -> ArenaStatusOut:
    """Return how many competitions there are by status, and when each part was last heard of."""
    counts = (
        caller_of(request)
        .listed()
        .order_by("status")
        .values_list("status")
        .annotate(count=Count("pk"))
    )
    beats = Heartbeat.objects.order_by("name")
    return ArenaStatusOut(
        now=timezone.now(),
        competitions=dict(counts),
        heartbeats=[HeartbeatOut(name=row.name, at=row.at) for row in beats],
    )


@router.get(
    "/leaderboard",
    response={200: BoardOut, **READ_ERRORS},
    operation_id="get_leaderboard",
    openapi_extra=OPTIONAL_KEY,
)
def leaderboard(request: HttpRequest, competition: str = "") -> BoardOut:
    """Return a leaderboard; without ``competition`` of the public season that started last."""
    season = current_season(request, competition)
    return board_out(season, board_of(season))


@router.get(
    "/leaderboard/competitions/{competition_id}/leaderboard",
    response={200: BoardOut, **READ_ERRORS},
    operation_id="get_leaderboard_of_competition",
    openapi_extra=OPTIONAL_KEY,
)
def leaderboard_of(request: HttpRequest, competition_id: str) -> BoardOut:
    """Return the leaderboard of a competition."""
    season = get_season(request, competition_id)
    return board_out(season, board_of(season))


@router.get(
    "/decisions",
    response={200: DecisionPage, **READ_ERRORS},
    operation_id="list_decisions",
    openapi_extra=OPTIONAL_KEY,
)
def decisions(request: HttpRequest, page: Query[PageIn], competition: str = "") -> DecisionPage:
    """List settled turns of all participants, newest round first."""
    after = turn_position(page.position)
    season = current_season(request, competition)
    return decision_page(
        season, turns_page(season, after=after, limit=page.limit), limit=page.limit
    )


@router.get(
    "/positions",
    response={200: list[PositionOut], **READ_ERRORS},
    operation_id="list_positions",
    openapi_extra=OPTIONAL_KEY,
)
def positions(request: HttpRequest, competition: str = "") -> list[PositionOut]:
    """List open positions of all participants, valued at the last closing marks."""
    season = current_season(request, competition)
    holders = holdings_of(season, closing_marks(season), order=season.entrants).holders
    return [position_out(view) for holder in holders for view in holder.positions]


@router.get(
    "/market-data",
    response={200: MarketOut, **READ_ERRORS},
    operation_id="get_market_data",
    openapi_extra=OPTIONAL_KEY,
)
def market_data(request: HttpRequest, competition: str = "") -> MarketOut:
    """Return the marks that all participants of a season saw last."""
    season = current_season(request, competition)
    prices = prices_of(season)
    return MarketOut(
        competition=season.slug,
        feed=season.competition.feed.slug,
        is_simulated=prices.is_simulated,
        has_data=prices.has_data,
        as_of=prices.as_of,
        captured_at=prices.captured_at,
        rounds=prices.rounds,
        prices=[_mark_out(price) for price in prices.prices],
    )


@router.get(
    "/market-data/{symbol}",
    response={200: MarkOut, **READ_ERRORS},
    operation_id="get_symbol",
    openapi_extra=OPTIONAL_KEY,
)
def market_symbol(request: HttpRequest, symbol: str, competition: str = "") -> MarkOut:
    """Return one symbol's mark that all participants of a season saw last."""
    prices = prices_of(current_season(request, competition)).prices
    for price in prices:
        if price.grid.symbol == symbol.upper():
            return _mark_out(price)
    has = ", ".join(price.grid.symbol for price in prices) or "none yet"
    raise ApiError(404, "NO_SYMBOL", f"there is no price of {symbol[:40]!r}; there are {has}")


def _mark_out(price: Price) -> MarkOut:
    return MarkOut(
        symbol=price.grid.symbol,
        base=price.grid.base,
        mark=price.mark,
        change=price.change,
        tick=price.grid.tick,
        step=price.grid.step,
    )


@router.get("/schemas/decision", operation_id="get_decision_schema", openapi_extra=OPTIONAL_KEY)
def schema_of_decision(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON Schema of a decision, as models are asked for it."""
    return decision_schema(resting_orders=True)
