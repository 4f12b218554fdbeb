"""Whether the market can change anything of a book."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.utils import timezone

from trading.models import Fill, Order, Position

# A position that was just closed may still have to pay a funding stamp.
RECENT = timedelta(minutes=10)


def has_stakes(book_id: uuid.UUID) -> bool:
    """Return whether any account holds something, waits for something, or did until a short while ago."""
    if Position.objects.open().filter(account__book=book_id).exists():
        return True
    if Order.objects.unfinished().filter(account__book=book_id).exists():
        return True
    since = timezone.now() - RECENT
    return Fill.objects.filter(account__book=book_id, at__gt=since).exists()
