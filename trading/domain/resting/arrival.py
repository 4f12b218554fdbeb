"""What happens to a limit order when it reaches the market."""

from __future__ import annotations

from decimal import Decimal

from marketdata.domain.facts import Quote
from marketdata.domain.instruments import InstrumentSpec
from trading.domain.events import VenueReport
from trading.domain.fees import execution_fee
from trading.domain.intents import OrderIntent, OrderKind, Side, TimeInForce
from trading.domain.money import ZERO
from trading.domain.pricing import taker_price
from trading.domain.rules import BookRules


def passive_price(limit: Decimal, side: Side, spec: InstrumentSpec) -> Decimal:
    """Return a limit on the tick away from aggression: down for a purchase, up for a sale; at least one tick."""
    put = spec.price_against_seller if side is Side.BUY else spec.price_against_buyer
    return max(put(limit), spec.tick)


def takes_at(
    intent: OrderIntent, quote: Quote, *, rules: BookRules, spec: InstrumentSpec
) -> Decimal | None:
    """Return the price at which an order takes at once: a taker's, for a limit order never worse than its limit; None when it waits."""
    price = taker_price(quote, intent.side, rules=rules, spec=spec)
    if intent.kind is OrderKind.MARKET:
        return price
    limit = intent.limit_price
    if intent.kind is not OrderKind.LIMIT or limit is None:
        return None
    if intent.side is Side.BUY:
        return min(price, limit) if quote.ask <= limit else None
    return max(price, limit) if quote.bid >= limit else None


def arrival_report(
    client_order_id: str, intent: OrderIntent, quote: Quote, rules: BookRules
) -> VenueReport:
    """Return what the paper venue says of an accepted order: all of it taken, nothing yet, or nothing ever (IOC)."""
    spec = rules.spec(intent.symbol)
    price = takes_at(intent, quote, rules=rules, spec=spec)
    taken = ZERO if price is None else intent.quantity
    at = quote.mark if price is None else price
    return VenueReport(
        at=quote.at,
        client_order_id=client_order_id,
        trade_id=f"{client_order_id}:1",
        quantity=taken,
        price=at,
        fee=execution_fee(taken, at, rules=rules),
        reference_price=quote.mark,
        is_final=price is not None or intent.time_in_force is TimeInForce.IOC,
    )
