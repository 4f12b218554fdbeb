"""Participants: their accounts, holdings, trades and decisions."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import Field

from competitions.api.access import OPTIONAL_KEY, KeyHeader, get_participant
from competitions.api.accounts import (
    AccountOut,
    OrderPage,
    PortfolioOut,
    PositionOut,
    TradePage,
    account_out,
    order_out,
    position_out,
    trade_out,
)
from competitions.api.answers import (
    DecisionPage,
    EquityPage,
    EquityPointOut,
    ParticipantOut,
    PerformanceOut,
)
from competitions.api.paging import PageIn, bad_cursor, cut
from competitions.api.shaping import decision_page, participant_out, turn_position
from competitions.api.wire import READ_ERRORS, ApiError
from competitions.models import Participant
from competitions.selectors.accounts import account_of
from competitions.selectors.board import board_of
from competitions.selectors.executions import ways_out
from competitions.selectors.holdings import holdings_of
from competitions.selectors.listings import equity_page, orders_page, trades_page, turns_page
from competitions.selectors.market import closing_marks
from competitions.selectors.orders import order_view
from competitions.selectors.participants import outcomes_of
from competitions.selectors.seasons import Season, load_season
from trading.models import EquityPoint, Order, Standing
from trading.models.orders import OrderStatus

router = Router(tags=["participants"], auth=KeyHeader())


@router.get(
    "/{participant_id}",
    response={200: ParticipantOut, **READ_ERRORS},
    operation_id="get_participant",
    openapi_extra=OPTIONAL_KEY,
)
def participant(request: HttpRequest, participant_id: uuid.UUID) -> ParticipantOut:
    """Return a participant with its model and parameters."""
    return participant_out(get_participant(request, participant_id))


@router.get(
    "/{participant_id}/account",
    response={200: AccountOut, **READ_ERRORS},
    operation_id="get_account",
    openapi_extra=OPTIONAL_KEY,
)
def account(request: HttpRequest, participant_id: uuid.UUID) -> AccountOut:
    """Return the account as of its last closed round, and as it stands now."""
    row = get_participant(request, participant_id)
    return _account(row, load_season(row.competition))


@router.get(
    "/{participant_id}/portfolio",
    response={200: PortfolioOut, **READ_ERRORS},
    operation_id="get_portfolio",
    openapi_extra=OPTIONAL_KEY,
)
def portfolio(request: HttpRequest, participant_id: uuid.UUID) -> PortfolioOut:
    """Return account and open positions together."""
    row = get_participant(request, participant_id)
    season = load_season(row.competition)
    return PortfolioOut(account=_account(row, season), positions=_positions(row, season))


@router.get(
    "/{participant_id}/positions",
    response={200: list[PositionOut], **READ_ERRORS},
    operation_id="list_participant_positions",
    openapi_extra=OPTIONAL_KEY,
)
def positions(request: HttpRequest, participant_id: uuid.UUID) -> list[PositionOut]:
    """List open positions by symbol, valued at the last closing marks."""
    row = get_participant(request, participant_id)
    return _positions(row, load_season(row.competition))


@router.get(
    "/{participant_id}/trades",
    response={200: TradePage, **READ_ERRORS},
    operation_id="list_participant_trades",
    openapi_extra=OPTIONAL_KEY,
)
def trades(request: HttpRequest, participant_id: uuid.UUID, page: Query[PageIn]) -> TradePage:
    """List positions closed in full, newest first."""
    row, position = get_participant(request, participant_id), page.position
    if row.account_id is None:
        return TradePage(items=[], next_cursor=None)
    rows, has_more = cut(trades_page(row.account_id, below=position, limit=page.limit), page.limit)
    cursor = str(rows[-1].seq) if has_more else None
    ways = ways_out(rows) if rows else {}
    items = [trade_out(trade, ways.get(trade.pk)) for trade in rows]
    return TradePage(items=items, next_cursor=cursor)


class OrdersIn(PageIn):
    """Which orders are wanted."""

    status: str = Field("", max_length=10, description="One status, such as FILLED or DENIED.")
    is_open: bool | None = Field(None, description="True: those that wait; false: the rest.")


@router.get(
    "/{participant_id}/orders",
    response={200: OrderPage, **READ_ERRORS},
    operation_id="list_participant_orders",
    openapi_extra=OPTIONAL_KEY,
)
def orders(request: HttpRequest, participant_id: uuid.UUID, page: Query[OrdersIn]) -> OrderPage:
    """List orders with their fills, refused ones included, newest first."""
    row = get_participant(request, participant_id)
    if page.status and page.status not in OrderStatus.values:
        raise ApiError(
            422,
            "BAD_STATUS",
            f"status must be one of {', '.join(OrderStatus.values)}, was {page.status!r}",
            where="status",
        )
    if row.account_id is None:
        return OrderPage(items=[], next_cursor=None)
    found = orders_page(
        row.account_id,
        status=page.status,
        is_open=page.is_open,
        after=_order_at(row.account_id, page.cursor),
        limit=page.limit,
    )
    rows, has_more = cut(found, page.limit)
    season = load_season(row.competition)
    return OrderPage(
        items=[order_out(order_view(season, order)) for order in rows],
        next_cursor=rows[-1].client_order_id if has_more else None,
    )


@router.get(
    "/{participant_id}/performance",
    response={200: PerformanceOut, **READ_ERRORS},
    operation_id="get_performance",
    openapi_extra=OPTIONAL_KEY,
)
def performance(request: HttpRequest, participant_id: uuid.UUID) -> PerformanceOut:
    """Return how the participant has done so far."""
    row = get_participant(request, participant_id)
    season = load_season(row.competition)
    ranks = {line.entrant.id: line.rank for line in board_of(season).rows}
    outcomes = {item.outcome: item.count for item in outcomes_of(season.by_id[row.pk])}
    return _performance(row, _standing(row), rank=ranks.get(row.pk), outcomes=outcomes)


@router.get(
    "/{participant_id}/decisions",
    response={200: DecisionPage, **READ_ERRORS},
    operation_id="list_participant_decisions",
    openapi_extra=OPTIONAL_KEY,
)
def decisions(request: HttpRequest, participant_id: uuid.UUID, page: Query[PageIn]) -> DecisionPage:
    """List settled turns, newest first."""
    return _decisions(get_participant(request, participant_id), page, only_rejected=False)


@router.get(
    "/{participant_id}/rejected-decisions",
    response={200: DecisionPage, **READ_ERRORS},
    operation_id="list_rejected_decisions",
    openapi_extra=OPTIONAL_KEY,
)
def rejected_decisions(
    request: HttpRequest, participant_id: uuid.UUID, page: Query[PageIn]
) -> DecisionPage:
    """List settled turns without a usable answer or with a refused instruction, newest first."""
    return _decisions(get_participant(request, participant_id), page, only_rejected=True)


@router.get(
    "/{participant_id}/equity",
    response={200: EquityPage, **READ_ERRORS},
    operation_id="list_equity",
    openapi_extra=OPTIONAL_KEY,
)
def equity(request: HttpRequest, participant_id: uuid.UUID, page: Query[PageIn]) -> EquityPage:
    """List equity at the close of each round, oldest first."""
    row, position = get_participant(request, participant_id), page.position
    if row.account_id is None:
        return EquityPage(items=[], next_cursor=None)
    rows, has_more = cut(equity_page(row.account_id, above=position, limit=page.limit), page.limit)
    cursor = str(rows[-1].number) if has_more else None
    return EquityPage(items=[_equity_out(point) for point in rows], next_cursor=cursor)


def _equity_out(row: EquityPoint) -> EquityPointOut:
    return EquityPointOut(
        round=row.number,
        at=row.at,
        equity=row.equity,
        wallet=row.wallet,
        unrealised=row.unrealised,
        used_margin=row.used_margin,
    )


def _standing(row: Participant) -> Standing | None:
    return Standing.objects.filter(account=row.account_id).first() if row.account_id else None


def _order_at(account_id: uuid.UUID, cursor: str) -> Order | None:
    """Return the order after which a page begins, None for the first page; raise ApiError for what no page said."""
    if not cursor:
        return None
    found = None
    if "\x00" not in cursor:
        found = Order.objects.filter(account_id=account_id, client_order_id=cursor).first()
    if found is None:
        raise bad_cursor(cursor)
    return found


def _account(row: Participant, season: Season) -> AccountOut:
    marks = closing_marks(season)
    return account_out(row, _standing(row), account_of(season, season.by_id[row.pk], marks))


def _positions(row: Participant, season: Season) -> list[PositionOut]:
    order = [season.by_id[row.pk]]
    holders = holdings_of(season, closing_marks(season), order=order).holders
    return [position_out(view) for holder in holders for view in holder.positions]


def _decisions(row: Participant, page: PageIn, *, only_rejected: bool) -> DecisionPage:
    after = turn_position(page.position)
    season = load_season(row.competition)
    turns = turns_page(
        season, participant=row.pk, only_rejected=only_rejected, after=after, limit=page.limit
    )
    return decision_page(season, turns, limit=page.limit)


def _performance(
    row: Participant, standing: Standing | None, *, rank: int | None, outcomes: dict[str, int]
) -> PerformanceOut:
    capital = row.competition.initial_capital
    known = standing or Standing(
        start_capital=capital, equity=capital, wallet=capital, peak=capital
    )
    return PerformanceOut(
        participant_id=row.pk,
        rank=rank,
        rounds=known.number,
        start_capital=known.start_capital,
        equity=known.equity,
        total_return=known.equity / known.start_capital - 1,
        peak_equity=known.peak,
        max_drawdown=known.max_drawdown,
        trades=known.trades,
        wins=known.wins,
        win_rate=Decimal(known.wins) / known.trades if known.trades else None,
        fills=known.fills,
        denials=known.denials,
        realised=known.realised,
        fees=known.fees,
        funding=known.funding,
        outcomes=outcomes,
    )
