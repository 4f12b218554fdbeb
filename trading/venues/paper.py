"""The paper venue: fills market orders whole, at the quote, as a taker."""

from __future__ import annotations

from django.db import connection

from marketdata.domain.facts import Quote
from trading.domain.events import VenueReport
from trading.domain.fees import execution_fee
from trading.domain.intents import OrderKind, Side
from trading.domain.pricing import taker_price
from trading.domain.rules import BookRules
from trading.models import Order


class PaperVenue:
    """Executes by arithmetic alone; the trade id follows from the order id, so a repeated order books nothing twice."""

    def send(self, order: Order, quote: Quote, rules: BookRules) -> VenueReport:
        """Return the full execution of a market order at ``quote``; raise RuntimeError inside a transaction."""
        refuse_open_transaction(order.client_order_id)
        if order.kind != OrderKind.MARKET:
            raise NotImplementedError("resting orders are matched from the account issue on")
        spec = rules.spec(order.symbol)
        price = taker_price(quote, Side(order.side), rules=rules, spec=spec)
        return VenueReport(
            at=quote.at,
            client_order_id=order.client_order_id,
            trade_id=f"{order.client_order_id}:1",
            quantity=order.quantity,
            price=price,
            fee=execution_fee(order.quantity, price, rules=rules),
            reference_price=quote.mark,
        )


def refuse_open_transaction(subject: str) -> None:
    """Raise RuntimeError inside a transaction (a test's own around the whole test does not count)."""
    blocks = connection.atomic_blocks
    if blocks and not getattr(blocks[-1], "_from_testcase", False):
        raise RuntimeError(f"{subject} must be sent outside any transaction, found one open")
