"""Ending orders that wait: at their owner's wish, or because the book no longer lets them wait."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from trading.domain.denials import Denial, DenialCode
from trading.domain.engine import step
from trading.domain.events import EndStatus, OrderEnded
from trading.domain.sizing import unknown_symbol
from trading.domain.tape import TapeEvent
from trading.models import Account, Book, Order
from trading.models.books import BookState, Venue
from trading.models.orders import OrderKind, TimeInForce
from trading.services.accounts import load_state
from trading.services.locks import lock_account, lock_to_trade
from trading.services.saving import Occasion, save_outcome
from trading.services.tape import Setting, append_tape


@transaction.atomic
def cancel_orders(
    account_id: uuid.UUID, symbol: str, *, market_at: datetime, now: datetime
) -> Setting:
    """End the account's resting orders in ``symbol``, in all symbols when it is empty.

    Having none is no fault. Exits belong to positions and stay.
    """
    account = lock_to_trade(account_id)
    book = account.book
    if book.state in {BookState.HALTED, BookState.ENDED}:
        return Setting(
            book.tape_position, Denial(DenialCode.BOOK_NOT_RUNNING, {"state": book.state})
        )
    if symbol and book.frozen_rules().find_spec(symbol) is None:
        return Setting(book.tape_position, unknown_symbol(symbol, book.frozen_rules()))
    resting = Order.objects.resting().filter(account=account)
    _cancel(account, resting.filter(symbol=symbol) if symbol else resting, market_at, now)
    return Setting(book.tape_position)


@transaction.atomic
def cancel_stranded(book_id: uuid.UUID, *, market_at: datetime, now: datetime) -> list[str]:
    """End the orders that may no longer wait in the book's state, all accounts by ordinal; return their client order ids.

    In a paused or reducing book those that may grow exposure, in one that is halted or has ended all; of a running one none. For
    the paper venue alone. Where any ended, the tape tells when. To be called in the transaction that changed the state. An order that is
    still on its way ends too: nothing but the tape tells a replay when, and its report may come long after.
    """
    book = Book.objects.get(pk=book_id)
    if book.state == BookState.RUNNING or book.venue != Venue.PAPER:
        return []
    waiting = Order.objects.unfinished().filter(account__book=book)
    ids = waiting.order_by().values_list("account_id", flat=True).distinct()
    gone: list[str] = []
    for account_id in (
        Account.objects.filter(pk__in=list(ids)).order_by("ordinal").values_list("pk")
    ):
        account = lock_account(account_id[0])
        account.book = book
        unfinished = Order.objects.unfinished().filter(account=account)
        stranded = [row for row in unfinished.in_order_of_acceptance() if not _may_wait(book, row)]
        gone += _cancel(account, stranded, market_at, now)
    if gone:
        append_tape(book_id, [TapeEvent.of_state(market_at, book.state)], now=now)
    return gone


def _may_wait(book: Book, order: Order) -> bool:
    """Return whether the order may wait for the market in the book's state, or is of a kind that never waits."""
    if order.kind == OrderKind.MARKET or order.time_in_force == TimeInForce.IOC:
        return True
    return order.reduce_only and book.state in {BookState.PAUSED, BookState.REDUCING}


def _cancel(
    account: Account, orders: Iterable[Order], market_at: datetime, now: datetime
) -> list[str]:
    """End the orders of a locked account through the engine and return their ids."""
    rules = account.book.frozen_rules()
    state = load_state(account, {}, is_numbered=False)
    ids = []
    for order in orders:
        ended = OrderEnded(market_at, order.client_order_id, EndStatus.CANCELLED)
        outcome = step(state, ended, rules)
        state = outcome.state
        occasion = Occasion(tape_position=account.book.tape_position, now=now)
        save_outcome(account, outcome, occasion, orders=[order])
        ids.append(order.client_order_id)
    return ids
