"""Participants: their accounts, holdings, trades and decisions."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.http import HttpRequest
from ninja import Query, Router

from competitions.api.access import OPTIONAL_KEY, KeyHeader, get_participant
from competitions.api.answers import (
    AccountOut,
    DecisionPage,
    EquityPage,
    EquityPointOut,
    ParticipantOut,
    PerformanceOut,
    PortfolioOut,
    PositionOut,
    TradePage,
)
from competitions.api.paging import PageIn, cut
from competitions.api.shaping import (
    account_out,
    decision_page,
    participant_out,
    position_out,
    trade_out,
    turn_position,
)
from competitions.api.wire import READ_ERRORS
from competitions.models import Participant
from competitions.selectors.board import board_of
from competitions.selectors.holdings import holdings_of
from competitions.selectors.listings import equity_page, trades_page, turns_page
from competitions.selectors.market import closing_marks
from competitions.selectors.participants import outcomes_of
from competitions.selectors.seasons import load_season
from trading.models import EquityPoint, Standing

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
    """Return the account as of its last closed round."""
    row = get_participant(request, participant_id)
    return account_out(row, _standing(row))


@router.get(
    "/{participant_id}/portfolio",
    response={200: PortfolioOut, **READ_ERRORS},
    operation_id="get_portfolio",
    openapi_extra=OPTIONAL_KEY,
)
def portfolio(request: HttpRequest, participant_id: uuid.UUID) -> PortfolioOut:
    """Return account and open positions together."""
    row = get_participant(request, participant_id)
    return PortfolioOut(account=account_out(row, _standing(row)), positions=_positions(row))


@router.get(
    "/{participant_id}/positions",
    response={200: list[PositionOut], **READ_ERRORS},
    operation_id="list_participant_positions",
    openapi_extra=OPTIONAL_KEY,
)
def positions(request: HttpRequest, participant_id: uuid.UUID) -> list[PositionOut]:
    """List open positions by symbol, valued at the last closing marks."""
    return _positions(get_participant(request, participant_id))


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
    return TradePage(items=[trade_out(trade) for trade in rows], next_cursor=cursor)


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


def _positions(row: Participant) -> list[PositionOut]:
    season = load_season(row.competition)
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
