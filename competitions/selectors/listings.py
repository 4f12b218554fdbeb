"""Rows in pages, for programs: each function takes where the page begins and returns one row more than asked for."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Prefetch, Q

from competitions.models import Competition, Event, Round, Turn
from competitions.models.competitions import CompetitionQuerySet
from competitions.models.rounds import LegVerdict, TurnOutcome, TurnState
from competitions.selectors.activity import turn_rows
from competitions.selectors.seasons import Season
from trading.models import EquityPoint, Fill, Order, Position

REJECTED = (LegVerdict.DENIED, LegVerdict.REJECTED)
WITHOUT_DECISION = (
    TurnOutcome.INVALID,
    TurnOutcome.REFUSED,
    TurnOutcome.TIMEOUT,
    TurnOutcome.ERROR,
    TurnOutcome.LATE,
)


def competitions_page(
    seen: CompetitionQuerySet, *, before: datetime | None, status: str, limit: int
) -> list[Competition]:
    """Return competitions, newest first. Queries once."""
    rows = seen.filter(status=status) if status else seen
    if before is not None:
        rows = rows.filter(created_at__lt=before)
    return list(rows.select_related("feed").order_by("-created_at", "pk")[: limit + 1])


def rounds_page(season: Season, *, below: int | None, limit: int) -> list[Round]:
    """Return rounds, newest first. Queries once."""
    rows = Round.objects.filter(competition=season.competition).select_related("snapshot")
    if below is not None:
        rows = rows.filter(number__lt=below)
    return list(rows.order_by("-number")[: limit + 1])


def events_page(competition: Competition, *, above: int | None, limit: int) -> list[Event]:
    """Return events, oldest first. Queries once."""
    rows = Event.objects.filter(competition=competition, seq__gt=above or 0)
    return list(rows.order_by("seq")[: limit + 1])


def turns_page(
    season: Season,
    *,
    participant: UUID | None = None,
    only_rejected: bool = False,
    after: tuple[int, int] | None,
    limit: int,
) -> list[Turn]:
    """Return settled turns, newest round first, those after one of a round and an ordinal. Queries four times."""
    rows = turn_rows().filter(round__competition=season.competition, state=TurnState.SETTLED)
    if participant is not None:
        rows = rows.filter(participant_id=participant)
    if only_rejected:
        refused = Turn.objects.filter(
            round__competition=season.competition, legs__verdict__in=REJECTED
        )
        rows = rows.filter(
            Q(outcome__in=WITHOUT_DECISION) | Q(outcome=TurnOutcome.DENIED) | Q(pk__in=refused)
        )
    if after is not None:
        number, ordinal = after
        rows = rows.filter(
            Q(round__number__lt=number) | Q(round__number=number, participant__ordinal__gt=ordinal)
        )
    return list(rows.order_by("-round__number", "participant__ordinal")[: limit + 1])


def trades_page(account_id: UUID, *, below: int | None, limit: int) -> list[Position]:
    """Return positions closed in full, newest first by number of the account's holdings. Queries once."""
    rows = Position.objects.closed().filter(account_id=account_id)
    if below is not None:
        rows = rows.filter(seq__lt=below)
    return list(rows.order_by("-seq")[: limit + 1])


def orders_page(
    account_id: UUID,
    *,
    status: str = "",
    is_open: bool | None = None,
    after: Order | None,
    limit: int,
) -> list[Order]:
    """Return orders, refused ones included, newest first, those after one of them. Queries twice."""
    rows = Order.objects.filter(account_id=account_id)
    if status:
        rows = rows.filter(status=status)
    if is_open is not None:
        waiting = Order.objects.unfinished().filter(account_id=account_id).values("pk")
        rows = rows.filter(pk__in=waiting) if is_open else rows.exclude(pk__in=waiting)
    if after is not None:
        earlier = Q(created_at__lt=after.created_at)
        same = Q(created_at=after.created_at, client_order_id__lt=after.client_order_id)
        rows = rows.filter(earlier | same)
    fills = Prefetch("fills", queryset=Fill.objects.order_by("seq"))
    return list(
        rows.order_by("-created_at", "-client_order_id").prefetch_related(fills)[: limit + 1]
    )


def equity_page(account_id: UUID, *, above: int | None, limit: int) -> list[EquityPoint]:
    """Return equity points, oldest first. Queries once."""
    rows = EquityPoint.objects.filter(account_id=account_id)
    if above is not None:
        rows = rows.filter(number__gt=above)
    return list(rows.order_by("number")[: limit + 1])
