"""The paper venue: fills what takes at once whole, at the quote, as a taker; everything else waits to be met by the market."""

from __future__ import annotations

from django.db import connection

from marketdata.domain.facts import Quote
from trading.domain.events import VenueReport
from trading.domain.resting.arrival import arrival_report
from trading.domain.rules import BookRules
from trading.models import Order


class PaperVenue:
    """Executes by arithmetic alone; the trade id follows from the order id, so a repeated order books nothing twice."""

    def send(self, order: Order, quote: Quote, rules: BookRules) -> VenueReport:
        """Return the full execution at ``quote``, or that the order waits or never will; raise RuntimeError inside a transaction."""
        refuse_open_transaction(order.client_order_id)
        return arrival_report(order.client_order_id, order.intent(), quote, rules)


def refuse_open_transaction(subject: str) -> None:
    """Raise RuntimeError inside a transaction (a test's own around the whole test does not count)."""
    blocks = connection.atomic_blocks
    if blocks and not getattr(blocks[-1], "_from_testcase", False):
        raise RuntimeError(f"{subject} must be sent outside any transaction, found one open")
