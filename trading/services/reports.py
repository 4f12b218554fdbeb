"""Booking what a venue says of an order."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from trading.domain.engine import step
from trading.domain.events import EndStatus, OrderEnded, VenueReport
from trading.domain.outcome import Outcome
from trading.domain.reports import within_position
from trading.models import Account, Fill, Order, Standing
from trading.models.books import Venue
from trading.models.orders import OrderStatus
from trading.services.accounts import load_state, save_order, save_outcome
from trading.services.locks import lock_account

UNFINISHED = {
    OrderStatus.SUBMITTING,
    OrderStatus.UNKNOWN,
    OrderStatus.OPEN,
    OrderStatus.PARTIAL,
}


@transaction.atomic
def apply_report(
    order_id: uuid.UUID, report: VenueReport, *, tape_position: int, now: datetime
) -> Fill | None:
    """Book one execution and return its fill; a trade id that is booked already gives the fill that is there.

    None for a report without an execution, and for one of a paper order that was cancelled before it came.
    """
    account, order = _locked(order_id)
    booked = Fill.objects.filter(order=order, trade_id=report.trade_id).first()
    if booked is not None or _is_too_late(account, order):
        return booked
    state = load_state(account, {})
    if account.book.venue == Venue.PAPER:
        report = within_position(state, report)
    outcome = step(state, report, account.book.frozen_rules())
    order.venue_order_id = report.venue_order_id or order.venue_order_id
    fills = save_outcome(account, outcome, order=order, tape_position=tape_position, now=now)
    if fills:
        _count_fills(account, outcome)
    return fills[0] if fills else None


@transaction.atomic
def end_order(
    order_id: uuid.UUID, status: EndStatus, *, market_at: datetime, now: datetime
) -> Order:
    """End an open order unfilled, or with what it has, and free its reserve; one that has ended already stays as it is."""
    account, order = _locked(order_id)
    if order.status in UNFINISHED:
        ended = OrderEnded(market_at, order.client_order_id, status)
        outcome = step(load_state(account, {}), ended, account.book.frozen_rules())
        save_order(order, outcome, now=now)
    return order


def _locked(order_id: uuid.UUID) -> tuple[Account, Order]:
    account = lock_account(Order.objects.values_list("account_id", flat=True).get(pk=order_id))
    # Read after the lock, so that nobody has changed it since.
    order = Order.objects.select_related("account__book").get(pk=order_id)
    account.book = order.account.book
    return account, order


def _is_too_late(account: Account, order: Order) -> bool:
    """Tell whether the order has ended and its venue is ours; a real venue's execution must be booked whatever we thought."""
    return order.status not in UNFINISHED and account.book.venue == Venue.PAPER


def _count_fills(account: Account, outcome: Outcome) -> None:
    standing = Standing.objects.get(account=account)
    standing.wallet = account.wallet
    for fill in outcome.fills:
        standing.fills += 1
        standing.fees += fill.fee
        standing.realised += fill.realised
    for position in outcome.positions:
        if position.is_closed:
            standing.trades += 1
            standing.wins += position.net_result > Decimal(0)
    standing.save(update_fields=["wallet", "fills", "fees", "realised", "trades", "wins"])
