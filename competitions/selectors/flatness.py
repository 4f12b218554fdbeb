"""Whether a season is flat and can trade no more, read afresh."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from competitions.models import Competition, Participant
from trading.models import Book, Order
from trading.models.books import BookState
from trading.selectors import open_positions


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """A position that is open; ``quantity`` is negative for a short."""

    participant: str
    symbol: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Flatness:
    """What a season's book holds: its state, open positions, and orders that may still fill."""

    book_state: str
    still_open: tuple[OpenPosition, ...]
    waiting_orders: int

    @property
    def is_flat(self) -> bool:
        return not self.still_open and self.waiting_orders == 0

    @property
    def is_safe(self) -> bool:
        """Tell whether nothing is open and nothing can be opened any more."""
        return self.is_flat and self.book_state in {BookState.HALTED, BookState.ENDED}


def flatness_of(competition: Competition) -> Flatness:
    """Return what the book of a started season holds now. Queries four times, trusting nothing that was read before."""
    book = Book.objects.get(pk=competition.opened_book.pk)
    slugs: dict[UUID | None, str] = dict(
        Participant.objects.filter(competition=competition).values_list("account_id", "slug")
    )
    positions = open_positions(book).order_by("account__ordinal", "symbol")
    return Flatness(
        book_state=book.state,
        still_open=tuple(
            OpenPosition(slugs[row.account_id], row.symbol, row.quantity) for row in positions
        ),
        waiting_orders=Order.objects.unfinished().filter(account__book=book).count(),
    )
