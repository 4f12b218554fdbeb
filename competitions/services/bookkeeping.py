"""Small reads of the trading side that rounds need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from uuid import UUID

from trading.domain.denials import Denial, DenialCode
from trading.domain.state import AccountState, OrderState, PositionState
from trading.models import Account, Book, Fill, Order, Position, Standing
from trading.models.orders import OrderSide
from trading.selectors.states import order_state, position_state


def tape_position(book_id: UUID) -> int:
    """Return the number of events on the book's tape."""
    return Book.objects.values_list("tape_position", flat=True).get(pk=book_id)


def denial_text(order: Order) -> str:
    """Return a refused order's code and figures as pages show them; empty for an order that was accepted."""
    if not order.denial_code:
        return ""
    return str(Denial(DenialCode(order.denial_code), order.denial_context))


def closed_by(fills: Iterable[Fill]) -> dict[UUID, Position]:
    """Return the holdings that these fills brought to zero, by the fill's id; those that closed none are left out. One query."""
    # By the side as well: at one instant of a replay a holding may be closed and the next one opened.
    ends = {
        fill.pk: (fill.account_id, fill.symbol, fill.at, fill.side == OrderSide.SELL)
        for fill in fills
    }
    rows = Position.objects.closed().filter(
        account_id__in={end[0] for end in ends.values()},
        closed_at__in={end[2] for end in ends.values()},
    )
    closed = {
        (row.account_id, row.symbol, row.closed_at, row.is_long): row
        for row in rows.order_by("seq")
    }
    return {key: closed[end] for key, end in ends.items() if end in closed}


def states_at(
    account_ids: Iterable[UUID],
    marks: Mapping[str, Decimal],
    *,
    with_peaks: bool = False,
    with_orders: bool = False,
) -> dict[UUID, AccountState]:
    """Return accounts with their open positions at ``marks``, by account id; for telling, not for trading. Two queries.

    ``with_peaks`` adds their highest equity, ``with_orders`` those that wait; each costs a query more.
    """
    accounts = Account.objects.in_bulk(list(account_ids))
    standings = Standing.objects.filter(account__in=accounts if with_peaks else ())
    peaks = dict(standings.values_list("account_id", "peak"))
    held: dict[UUID, dict[str, PositionState]] = defaultdict(dict)
    for row in Position.objects.open().filter(account__in=accounts).order_by("symbol"):
        held[row.account_id][row.symbol] = position_state(row)
    waiting: dict[UUID, dict[str, OrderState]] = defaultdict(dict)
    if with_orders:
        orders = Order.objects.unfinished().filter(account__in=accounts)
        for order in orders.in_order_of_acceptance():
            waiting[order.account_id][order.client_order_id] = order_state(order)
    return {
        pk: AccountState(
            ordinal=account.ordinal,
            wallet=account.wallet,
            positions=held[pk],
            orders=waiting[pk],
            marks=marks,
            peak=peaks.get(pk),
        )
        for pk, account in accounts.items()
    }
