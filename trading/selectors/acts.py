"""What an operator's act moved."""

from __future__ import annotations

from marketdata.domain.canonical import digest_of
from trading.models import Book, Fill, Posting


def act_prefix(book: Book, seq: int) -> str:
    """Return how the client order ids of the act's closing orders begin."""
    return f"a{book.code}-x{seq}-"


def act_digest(book: Book, seq: int) -> str:
    """Return the sha256 over the fills and postings of the act's orders, empty when it moved nothing. Two queries."""
    fills = list(
        Fill.objects.filter(
            account__book=book, order__client_order_id__startswith=act_prefix(book, seq)
        )
        .select_related("account")
        .order_by("account__ordinal", "seq")
    )
    if not fills:
        return ""
    lines = Posting.objects.filter(fill__in=fills).order_by("cause_id", "line")
    return digest_of(
        {
            "fills": [
                [
                    fill.account.ordinal,
                    fill.seq,
                    fill.symbol,
                    fill.side,
                    fill.quantity,
                    fill.price,
                    fill.fee,
                    fill.realised,
                    fill.at,
                ]
                for fill in fills
            ],
            "postings": [
                [line.cause_id, line.line, line.kind, line.house, line.amount] for line in lines
            ],
        }
    )
