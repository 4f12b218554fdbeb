"""What every account of a book is worth, at one mark time."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from django.db import transaction

from marketdata.domain.facts import floor_time
from trading.domain.margin import AccountFigures, account_figures
from trading.domain.standings import Drawdown
from trading.domain.state import AccountState
from trading.models import Account, Book, EquityPoint, EquityRollup, Standing
from trading.models.accounts import RollupSpan
from trading.selectors.holdings import open_holdings, waiting_orders
from trading.selectors.tape import marks_at

logger = logging.getLogger(__name__)

SPAN_SECONDS = {RollupSpan.HOUR: 3600, RollupSpan.DAY: 86400}


@transaction.atomic
def record_equity(
    book_id: uuid.UUID, *, number: int, at: datetime, marks: Mapping[str, Decimal], now: datetime
) -> list[EquityPoint]:
    """Write every account's equity point ``number``, standing and rollups at one mark time; return the points by ordinal.

    A number that is recorded already is left as it is. Marks that ``marks`` lacks are read off the tape; KeyError when it has none.
    """
    accounts = list(Account.objects.select_for_update().filter(book_id=book_id).order_by("ordinal"))
    known = list(
        EquityPoint.objects.filter(account__in=accounts, number=number).order_by("account__ordinal")
    )
    if known:
        return known
    states = _states(book_id, accounts, marks)
    rules = Book.objects.get(pk=book_id).frozen_rules()
    figures = {pk: account_figures(state, rules) for pk, state in states.items()}
    points = [_point(account, figures[account.pk], number=number, at=at) for account in accounts]
    EquityPoint.objects.bulk_create(points)
    _update_standings(figures, number=number, at=at)
    for span in RollupSpan:
        _roll_up(points, span, at=at)
    logger.debug("recorded equity book=%s number=%s at=%s", book_id, number, now.isoformat())
    return points


def _states(
    book_id: uuid.UUID, accounts: Sequence[Account], marks: Mapping[str, Decimal]
) -> dict[uuid.UUID, AccountState]:
    """Return all accounts for the engine, by three queries however many they are."""
    positions, orders = open_holdings(book_id), waiting_orders(book_id)
    symbols = {symbol for held in positions.values() for symbol in held}
    missing = symbols - set(marks)
    if missing:
        position = Book.objects.values_list("tape_position", flat=True).get(pk=book_id)
        told = marks_at(book_id, missing, tape_position=position)
        marks = {**told, **marks}
    return {
        row.pk: AccountState(
            ordinal=row.ordinal,
            wallet=row.wallet,
            positions=positions[row.ordinal],
            orders=orders[row.ordinal],
            marks=marks,
        )
        for row in accounts
    }


def _point(account: Account, figures: AccountFigures, *, number: int, at: datetime) -> EquityPoint:
    return EquityPoint(
        account=account,
        number=number,
        at=at,
        equity=figures.equity,
        wallet=figures.wallet,
        unrealised=figures.unrealised,
        used_margin=figures.used_margin,
    )


def _update_standings(
    figures: Mapping[uuid.UUID, AccountFigures], *, number: int, at: datetime
) -> None:
    standings = list(Standing.objects.filter(account_id__in=figures))
    for standing in standings:
        now = figures[standing.account_id]
        drawdown = Drawdown(standing.peak, standing.max_drawdown).after(now.equity)
        standing.number = number
        standing.at = at
        standing.equity = now.equity
        standing.wallet = now.wallet
        standing.unrealised = now.unrealised
        standing.used_margin = now.used_margin
        standing.exposure = now.exposure
        standing.gross_exposure = now.gross_exposure
        standing.peak = drawdown.peak
        standing.max_drawdown = drawdown.largest
    Standing.objects.bulk_create(
        standings,
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=[
            "number",
            "at",
            "equity",
            "wallet",
            "unrealised",
            "used_margin",
            "exposure",
            "gross_exposure",
            "peak",
            "max_drawdown",
        ],
    )


def _roll_up(points: Sequence[EquityPoint], span: RollupSpan, *, at: datetime) -> None:
    """Fold the points into their hour or day; the bucket that holds ``at`` is made with its first point."""
    start = floor_time(at.astimezone(UTC), SPAN_SECONDS[span])
    accounts = [point.account_id for point in points]
    rows = {
        row.account_id: row
        for row in EquityRollup.objects.filter(account_id__in=accounts, span=span, start_at=start)
    }
    for point in points:
        row = rows.setdefault(
            point.account_id,
            EquityRollup(
                account_id=point.account_id,
                span=span,
                start_at=start,
                first=point.equity,
                low=point.equity,
                high=point.equity,
            ),
        )
        row.low = min(row.low, point.equity)
        row.high = max(row.high, point.equity)
        row.last = point.equity
    EquityRollup.objects.bulk_create(
        rows.values(),
        update_conflicts=True,
        unique_fields=["account", "span", "start_at"],
        update_fields=["low", "high", "last"],
    )
