"""What goes on a season's tape, and reading it back."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from marketdata.domain.canonical import sha256_text
from marketdata.domain.facts import Quote
from marketdata.models import Blob
from trading.domain.tape import TapeEvent, decode_tape
from trading.models import TapeSegment


def quote_events(quotes: Mapping[str, Quote]) -> list[TapeEvent]:
    """Return one tape event per quote, by symbol."""
    return [TapeEvent.of_quote(quote) for _, quote in sorted(quotes.items())]


def quotes_at(book_id: UUID, position: int) -> dict[str, Quote]:
    """Return the quotes of the segment that starts at ``position``; empty when there is none."""
    segment = TapeSegment.objects.filter(book_id=book_id, first_position=position).first()
    if segment is None:
        return {}
    events = decode_tape(Blob.objects.text(segment.body_id))
    return {event.quote.symbol: event.quote for event in events if event.quote is not None}


def tape_hash_between(book_id: UUID, first: int, last: int) -> str:
    """Return the sha256 of the tape's text from position ``first`` (included) to ``last`` (excluded). Two queries."""
    segments = TapeSegment.objects.filter(
        book_id=book_id, first_position__gte=first, first_position__lt=last
    ).order_by("seq")
    bodies = Blob.objects.in_bulk([segment.body_id for segment in segments])
    return sha256_text("".join(bodies[segment.body_id].raw().decode() for segment in segments))


def tape_between(book_id: UUID, first: int, last: int) -> list[TapeEvent]:
    """Return the tape's events from position ``first`` (included) to ``last`` (excluded); segments are never cut."""
    segments = TapeSegment.objects.filter(
        book_id=book_id, first_position__gte=first, first_position__lt=last
    ).order_by("seq")
    bodies = Blob.objects.in_bulk([segment.body_id for segment in segments])
    return [
        event
        for segment in segments
        for event in decode_tape(bodies[segment.body_id].raw().decode())
    ]
