"""Changing what a book may do. Every change is an act on record and a new epoch."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction

from trading.models import Book, OperatorAct
from trading.models.books import ActKind, BookState
from trading.services.locks import lock_book

# What each state may become; HALTED comes by an emergency close or a check that failed, and only an operator leads out of it.
MOVES: dict[str, set[str]] = {
    BookState.RUNNING: {BookState.PAUSED, BookState.REDUCING, BookState.HALTED, BookState.ENDED},
    BookState.PAUSED: {BookState.RUNNING, BookState.REDUCING, BookState.HALTED, BookState.ENDED},
    BookState.REDUCING: {BookState.RUNNING, BookState.PAUSED, BookState.HALTED, BookState.ENDED},
    BookState.HALTED: {BookState.RUNNING, BookState.PAUSED, BookState.REDUCING, BookState.ENDED},
    BookState.ENDED: set(),
}


class BookStateError(Exception):
    """The book cannot change so; the message tells its state and what it can become."""


@transaction.atomic
def change_state(
    book_id: uuid.UUID,
    *,
    to: BookState,
    kind: ActKind,
    actor: str,
    market_at: datetime,
    now: datetime,
    reason: str = "",
    after_round: int = 0,
) -> OperatorAct:
    """Move the book to another state, count its epoch up and record the act.

    Every order that is accepted later sees the new state: it waits for this transaction's lock on the book. A START may find the book
    RUNNING, as it was made.

    Raises:
        BookStateError: When the book cannot go there.
    """
    book = lock_book(book_id)
    is_start = kind == ActKind.START and book.state == to == BookState.RUNNING
    if not is_start:
        move(book, to)
    else:
        book.epoch += 1
    book.acts += 1
    book.save(update_fields=["state", "epoch", "acts"])
    return OperatorAct.objects.create(
        book=book,
        seq=book.acts,
        kind=kind,
        actor=actor[:150],
        reason=reason[:300],
        after_round=after_round,
        tape_position=book.tape_position,
        market_at=market_at,
        at=now,
    )


def move(book: Book, to: BookState) -> None:
    """Set state and epoch on a locked book; the caller saves. Raises BookStateError when the move is impossible."""
    possible = MOVES[book.state]
    if to not in possible:
        wanted = ", ".join(sorted(possible)) or "nothing any more"
        raise BookStateError(f"book {book.code} is {book.state} and can become {wanted}, not {to}")
    book.state = to
    book.epoch += 1
