"""Writing the tape."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from marketdata.models import Blob
from trading.domain.denials import Denial
from trading.domain.rules import BookRules
from trading.domain.tape import TapeEvent, encode_tape
from trading.models import Book, TapeSegment
from trading.services.locks import lock_book


@dataclass(frozen=True, slots=True)
class Setting:
    """After how many tape events something was set or ended, and why it was not: None when it was."""

    tape_position: int
    denial: Denial | None = None


def effective_position(book: Book, rules: BookRules, told: int) -> int:
    """Return after how many tape events something takes effect in a book that is locked or shared.

    Where the market acts on accounts, what happened to them in which order is told by the tape: the position is that of now. In other
    books nothing lies between an answer and its orders, and ``told``, the end of the answer's own quotes, is kept.
    """
    return book.tape_position if rules.needs_ticks else told


@transaction.atomic(savepoint=False)
def append_tape(book_id: uuid.UUID, events: Sequence[TapeEvent], *, now: datetime) -> int:
    """Append the events as one segment and return the position of the first of them, from 0.

    An order that takes effect after all of them has the tape position ``first + len(events)``: the number of events before it.
    Nothing is written for no events; the tape's present position is returned then.
    """
    book = lock_book(book_id)
    first = book.tape_position
    if not events:
        return first
    TapeSegment.objects.create(
        book=book,
        seq=book.tape_segments + 1,
        first_position=first,
        count=len(events),
        body_id=Blob.objects.put(encode_tape(events)),
        recorded_at=now,
    )
    book.tape_position = first + len(events)
    book.tape_segments += 1
    book.save(update_fields=["tape_position", "tape_segments"])
    return first
