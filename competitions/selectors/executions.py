"""What was executed on accounts: fills with their cause, what happened between rounds, funding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Q

from competitions.selectors.causes import Cause, cause_of, cause_words
from competitions.selectors.seasons import Entrant, Grid, Season
from trading.models import Fill, Position, Posting
from trading.models.orders import OrderCause, OrderSide, PostingKind

# What acts on an account though nobody asked for it in that moment.
UNASKED = (OrderCause.EXIT, OrderCause.LIQUIDATION, OrderCause.DRAWDOWN)
FORCED = {OrderCause.LIQUIDATION, OrderCause.DRAWDOWN}
FILLS_LENGTH = 20
FUNDING_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill; ``cause`` in words, ``realised`` before the fee, None where it only opened or added. Times are market time."""

    key: str
    entrant: Entrant
    grid: Grid | None
    symbol: str
    base: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    realised: Decimal
    is_maker: bool
    cause: str
    is_forced: bool
    client_order_id: str
    at: datetime

    @property
    def label(self) -> str:
        """Return the cause for a narrow place: STOP LOSS, LIQUIDATION, LIMIT ORDER."""
        return self.cause.rsplit(", ", 1)[-1].upper()

    @property
    def verb(self) -> str:
        return "bought" if self.side == OrderSide.BUY else "sold"


@dataclass(frozen=True, slots=True)
class FundingView:
    """One funding stamp of an account: received above zero, paid below."""

    grid: Grid | None
    base: str
    amount: Decimal
    at: datetime


def executions_of(
    season: Season, entrant: Entrant, *, limit: int = FILLS_LENGTH
) -> tuple[Execution, ...]:
    """Return the participant's latest fills, newest first. Queries once."""
    rows = Fill.objects.filter(account=entrant.account_id).select_related("order")
    return tuple(_execution(season, row) for row in rows.order_by("-seq")[:limit])


def happenings_of(season: Season, *, since: datetime, limit: int) -> tuple[Execution, ...]:
    """Return the latest fills that no turn made, from ``since`` on, newest first: exits, liquidations, orders that had waited.

    Queries once.
    """
    waited = Q(tape_position__gt=F("order__tape_position"))
    rows = (
        Fill.objects.filter(account__book=season.competition.book_id, at__gte=since)
        .filter(Q(order__cause__in=UNASKED) | waited)
        .exclude(order__cause=OrderCause.OPERATOR)
        .select_related("order")
        .order_by("-at", "account__ordinal", "-seq")
    )
    return tuple(_execution(season, row) for row in rows[:limit])


def funding_of(
    season: Season, entrant: Entrant, *, limit: int = FUNDING_LENGTH
) -> tuple[FundingView, ...]:
    """Return the participant's latest funding stamps, newest first. Queries once."""
    rows = Posting.objects.filter(
        account=entrant.account_id, kind=PostingKind.FUNDING, cause_id__startswith="fund:"
    )
    found = []
    for row in rows.order_by("-at", "cause_id")[:limit]:
        # fund:<ordinal>:<symbol>:<time>
        symbol = row.cause_id.split(":")[2]
        found.append(FundingView(season.grid(symbol), season.base(symbol), row.amount, row.at))
    return tuple(found)


def ways_out(rows: Iterable[Position]) -> dict[int, Cause]:
    """Return what closed each of these closed holdings, by its id. Queries once."""
    closed = {(row.account_id, row.symbol, row.closed_at, row.is_long): row.pk for row in rows}
    accounts: set[UUID] = {key[0] for key in closed}
    fills = Fill.objects.filter(account__in=accounts, at__in={key[2] for key in closed})
    found: dict[int, Cause] = {}
    for fill in fills.select_related("order").order_by("seq"):
        key = (fill.account_id, fill.symbol, fill.at, fill.side == OrderSide.SELL)
        if key in closed:
            found[closed[key]] = cause_of(fill.order, fill)
    return found


def _execution(season: Season, row: Fill) -> Execution:
    return Execution(
        key=row.pk.hex,
        entrant=season.by_account[row.account_id],
        grid=season.grid(row.symbol),
        symbol=row.symbol,
        base=season.base(row.symbol),
        side=row.side,
        quantity=row.quantity,
        price=row.price,
        fee=row.fee,
        realised=row.realised,
        is_maker=row.is_maker,
        cause=cause_words(row.order, row),
        is_forced=row.order.cause in FORCED,
        client_order_id=row.order.client_order_id,
        at=row.at,
    )
