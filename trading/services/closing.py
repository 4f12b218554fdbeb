"""The emergency close: halt the book, then close every position in it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from marketdata.domain.facts import Quote
from trading.domain.denials import Denial, DenialCode
from trading.domain.events import EndStatus
from trading.domain.intents import Wish, WishAction
from trading.models import Book, OperatorAct, Order, Position
from trading.models.books import ActKind, BookState, Venue
from trading.models.orders import OrderCause, OrderStatus
from trading.models.positions import PositionStatus
from trading.selectors.acts import act_digest, act_prefix
from trading.selectors.positions import open_positions
from trading.services.acts import move
from trading.services.locks import lock_book
from trading.services.orders import place_order
from trading.services.reports import end_order

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseResult:
    """What became of one position: ``quantity`` it had (signed), ``filled`` of it was closed (unsigned); ``message`` says why not all."""

    account_id: uuid.UUID
    ordinal: int
    symbol: str
    quantity: Decimal
    filled: Decimal
    message: str = ""

    @property
    def is_closed(self) -> bool:
        return self.filled == abs(self.quantity)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Act:
    """The emergency close at work: its number is reserved in the book, its row is written when it is done."""

    book: Book
    seq: int
    quotes: Mapping[str, Quote]
    market_at: datetime
    now: datetime

    @property
    def prefix(self) -> str:
        return act_prefix(self.book, self.seq)


@transaction.atomic
def halt_book(book_id: uuid.UUID, *, now: datetime) -> int:
    """Halt the book and reserve the number of the emergency close that must follow; return it.

    A close that was begun and not finished keeps its number. Raises BookStateError when the book has ended.
    """
    book = lock_book(book_id)
    unfinished = _unwritten_acts(book)
    if unfinished:
        return min(unfinished)
    if book.state != BookState.HALTED:
        move(book, BookState.HALTED)
    book.acts += 1
    book.save(update_fields=["state", "epoch", "acts"])
    logger.info("halted book=%s act=%s at=%s", book.code, book.acts, now.isoformat())
    return book.acts


def close_all(
    book_id: uuid.UUID,
    quotes: Mapping[str, Quote],
    *,
    actor: str,
    market_at: datetime,
    now: datetime,
    reason: str = "",
    after_round: int = 0,
) -> list[CloseResult]:
    """Halt the book, cancel what waits and close every open position at ``quotes``; return what became of each.

    Must be called outside any transaction. Each position is closed by itself: one that cannot be (no quote) does not keep the others
    open, and its line says why. A run that was interrupted is finished by the next; a halted book with nothing open is left alone.

    Raises:
        BookStateError: When the book has ended.
    """
    if _is_done(book_id):
        return []
    seq = halt_book(book_id, now=now)
    book = Book.objects.get(pk=book_id)
    act = _Act(book=book, seq=seq, quotes=quotes, market_at=market_at, now=now)
    _cancel_waiting(act)
    results = [_close(act, position) for position in open_positions(book)]
    _record(act, actor=actor, reason=reason, after_round=after_round)
    return results


def _unwritten_acts(book: Book) -> set[int]:
    written = OperatorAct.objects.filter(book=book).values_list("seq", flat=True)
    return set(range(1, book.acts + 1)) - set(written)


def _is_done(book_id: uuid.UUID) -> bool:
    book = Book.objects.get(pk=book_id)
    if book.state != BookState.HALTED or _unwritten_acts(book):
        return False
    waiting = Order.objects.unfinished().filter(account__book=book)
    return not (open_positions(book).exists() or waiting.exists())


def _cancel_waiting(act: _Act) -> None:
    """Cancel the orders that were accepted before the halt and not yet filled; those of the act itself go on."""
    if act.book.venue != Venue.PAPER:
        return
    waiting = Order.objects.unfinished().filter(account__book=act.book)
    for order in waiting.exclude(client_order_id__startswith=act.prefix):
        end_order(order.pk, EndStatus.CANCELLED, market_at=act.market_at, now=act.now)


def _close(act: _Act, position: Position) -> CloseResult:
    result = CloseResult(
        account_id=position.account_id,
        ordinal=position.account.ordinal,
        symbol=position.symbol,
        quantity=position.quantity,
        filled=Decimal(0),
    )
    quote = act.quotes.get(position.symbol)
    if quote is None:
        return replace(result, message=f"no quote of {position.symbol}, still open")
    largest = act.book.frozen_rules().spec(position.symbol).max_quantity
    rest = abs(position.quantity)
    while rest:
        order = _place(act, position, quote, min(rest, largest) if largest else rest)
        if order.status != OrderStatus.FILLED:
            break
        rest -= order.filled_quantity
    position.refresh_from_db()
    message = "" if position.status == PositionStatus.CLOSED else f"still open: {_why(order)}"
    return replace(result, filled=abs(result.quantity) - abs(position.quantity), message=message)


def _place(act: _Act, position: Position, quote: Quote, quantity: Decimal) -> Order:
    """Place the next closing order of a holding; one that an interrupted run left waiting has the same name and goes on."""
    name = f"{act.prefix}{position.account.ordinal}-{position.seq}."
    before = Order.objects.filter(client_order_id__startswith=name)
    ended = before.exclude(pk__in=Order.objects.unfinished()).count()
    return place_order(
        position.account_id,
        Wish(action=WishAction.REDUCE, symbol=position.symbol, quantity=quantity),
        quote,
        client_order_id=f"{name}{ended + 1}",
        cause=OrderCause.OPERATOR,
        market_at=act.market_at,
        tape_position=act.book.tape_position,
        now=act.now,
    )


def _why(order: Order) -> str:
    if order.denial_code:
        return str(Denial(DenialCode(order.denial_code), order.denial_context))
    return f"its order is {order.status}"


@transaction.atomic
def _record(act: _Act, *, actor: str, reason: str, after_round: int) -> None:
    """Write the act with the digest of what it moved; another run may have been faster."""
    book = lock_book(act.book.pk)
    OperatorAct.objects.get_or_create(
        book=book,
        seq=act.seq,
        defaults={
            "kind": ActKind.EMERGENCY_CLOSE,
            "actor": actor[:150],
            "reason": reason[:300],
            "after_round": after_round,
            "tape_position": act.book.tape_position,
            "market_at": act.market_at,
            "at": act.now,
            "digest": act_digest(book, act.seq),
        },
    )
