"""Accounts as the engine wants them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce

from marketdata.domain.canonical import parse_time
from trading.domain.state import AccountState
from trading.models import Account, Book, Fill, Order, Position, Standing
from trading.selectors.states import order_state, position_state
from trading.selectors.tape import marks_at


def load_state(
    account: Account,
    marks: Mapping[str, Decimal],
    *,
    is_numbered: bool = True,
    numbers: tuple[int, int] | None = None,
) -> AccountState:
    """Return the account for the engine at ``marks``. Queries three times; lock the account first when something follows from it.

    ``numbers`` are those of the next holding and fill where they were read since the lock, which spares a query; ``is_numbered`` False
    leaves them out where nothing will be filled. A book with drawdown rules costs one query more, for the account's peak.
    """
    positions = Position.objects.open().filter(account=account)
    orders = Order.objects.unfinished().filter(account=account).in_order_of_acceptance()
    if numbers is None:
        numbers = _next_numbers(account) if is_numbered else (1, 1)
    next_position, next_fill = numbers
    return AccountState(
        ordinal=account.ordinal,
        wallet=account.wallet,
        positions={row.symbol: position_state(row) for row in positions},
        orders={row.client_order_id: order_state(row) for row in orders},
        marks=dict(marks),
        next_position=next_position,
        next_fill=next_fill,
        funded_at=funded_at(account.book),
        peak=_peak(account) if account.book.frozen_rules().watches_drawdown else None,
    )


def funded_at(book: Book) -> dict[str, datetime]:
    """Return the last funding stamp that the book has settled, by symbol."""
    return {symbol: parse_time(at) for symbol, at in book.funded_at.items()}


def _peak(account: Account) -> Decimal:
    return Standing.objects.values_list("peak", flat=True).get(account=account)


def _next_numbers(account: Account) -> tuple[int, int]:
    position, fill = (
        Account.objects.filter(pk=account.pk)
        .annotate(last_position=last_seq(Position, "pk"), last_fill=last_seq(Fill, "pk"))
        .values_list("last_position", "last_fill")
        .get()
    )
    return position + 1, fill + 1


def last_seq(model: type[Position | Fill], account: str) -> Coalesce:
    """Return an annotation: the last number of the account's holdings or fills, 0 before the first; ``account`` names its column."""
    rows = model._default_manager.filter(account=OuterRef(account)).order_by("-seq")
    return Coalesce(Subquery(rows.values("seq")[:1]), 0)


def with_tape_marks(
    state: AccountState, book_id: uuid.UUID, *, tape_position: int, known: Iterable[str] = ()
) -> AccountState:
    """Return the state with the marks that its positions lack, read off the tape; ``known`` symbols need none."""
    missing = set(state.positions) - set(state.marks) - set(known)
    if not missing:
        return state
    return state.with_marks(marks_at(book_id, missing, tape_position=tape_position))
