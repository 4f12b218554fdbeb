"""Reads of the tape."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from decimal import Decimal

from trading.domain.tape import TapeEvent, decode_tape
from trading.models import TapeSegment


def tape_events(book_id: uuid.UUID) -> Iterator[TapeEvent]:
    """Yield all events of the tape in order."""
    for segment in (
        TapeSegment.objects.filter(book_id=book_id).select_related("body").order_by("seq")
    ):
        yield from decode_tape(segment.body.raw().decode())


def marks_at(
    book_id: uuid.UUID, symbols: Collection[str], *, tape_position: int
) -> dict[str, Decimal]:
    """Return the last mark of each symbol among the tape's first ``tape_position`` events; those never told are left out.

    Reads segments backwards until all are found: one, when the tape tells every symbol at each close.
    """
    found: dict[str, Decimal] = {}
    segments = TapeSegment.objects.filter(book_id=book_id, first_position__lt=tape_position)
    for segment in (
        segments.select_related("body").order_by("-first_position").iterator(chunk_size=5)
    ):
        if found.keys() >= set(symbols):
            break
        events = decode_tape(segment.body.raw().decode())
        for event in reversed(events[: tape_position - segment.first_position]):
            for symbol, mark in event.marks.items():
                if symbol in symbols:
                    found.setdefault(symbol, mark)
    return found
