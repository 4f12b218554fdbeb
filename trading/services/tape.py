"""Writing the tape."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from marketdata.models import Blob
from trading.domain.tape import TapeEvent, encode_tape
from trading.models import TapeSegment
from trading.services.locks import lock_book


@transaction.atomic
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
