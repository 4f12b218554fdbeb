"""Booking what a venue says of an order."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from trading.domain.engine import step
from trading.domain.events import EndStatus, OrderEnded, VenueReport
from trading.domain.reports import within_position
from trading.models import Account, Fill, Order, Position
from trading.models.books import Venue
from trading.models.orders import OrderStatus
from trading.services.accounts import last_seq, load_state
from trading.services.locks import lock_to_report
from trading.services.saving import Occasion, save_outcome
from trading.services.tape import effective_position

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
    account = lock_to_report(order_id)
    book = account.book
    # Read after the lock, so that nobody has changed it since.
    found: Any = Order.objects.annotate(
        is_booked=Exists(Fill.objects.filter(order=OuterRef("pk"), trade_id=report.trade_id)),
        last_position=last_seq(Position, "account"),
        last_fill=last_seq(Fill, "account"),
    ).get(pk=order_id)
    order: Order = found
    order.account = account
    if found.is_booked:
        return Fill.objects.get(order=order, trade_id=report.trade_id)
    if _is_too_late(account, order):
        return None
    state = load_state(account, {}, numbers=(found.last_position + 1, found.last_fill + 1))
    if book.venue == Venue.PAPER:
        report = within_position(state, report)
    rules = book.frozen_rules()
    outcome = step(state, report, rules)
    order.venue_order_id = report.venue_order_id or order.venue_order_id
    position = effective_position(book, rules, tape_position)
    occasion = Occasion(tape_position=position, now=now)
    fills = save_outcome(account, outcome, occasion, orders=[order])
    return fills[0] if fills else None


@transaction.atomic
def end_order(
    order_id: uuid.UUID, status: EndStatus, *, market_at: datetime, now: datetime
) -> Order:
    """End an open order unfilled, or with what it has, and free its reserve; one that has ended already stays as it is."""
    account = lock_to_report(order_id)
    order = Order.objects.get(pk=order_id)
    order.account = account
    if order.status in UNFINISHED:
        ended = OrderEnded(market_at, order.client_order_id, status)
        outcome = step(load_state(account, {}), ended, account.book.frozen_rules())
        position = account.book.tape_position
        save_outcome(account, outcome, Occasion(tape_position=position, now=now), orders=[order])
    return order


def _is_too_late(account: Account, order: Order) -> bool:
    """Tell whether the order has ended and its venue is ours; a real venue's execution must be booked whatever we thought."""
    return order.status not in UNFINISHED and account.book.venue == Venue.PAPER
