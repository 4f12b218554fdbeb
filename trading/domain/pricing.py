"""The price that a market order gets on paper."""

from __future__ import annotations

from decimal import Decimal

from marketdata.domain.facts import Quote
from marketdata.domain.instruments import InstrumentSpec
from trading.domain.intents import Side
from trading.domain.money import BPS, exact
from trading.domain.rules import BookRules


@exact
def taker_price(quote: Quote, side: Side, *, rules: BookRules, spec: InstrumentSpec) -> Decimal:
    """Return the ask for a buyer, the bid for a seller, slippage added, on the tick that is worse for the taker; at least one tick."""
    return slipped(quote.ask if side is Side.BUY else quote.bid, side, rules=rules, spec=spec)


@exact
def slipped(price: Decimal, side: Side, *, rules: BookRules, spec: InstrumentSpec) -> Decimal:
    """Return ``price`` with slippage added against the taker, on the tick that is worse for it; at least one tick."""
    slip = rules.slippage_bps / BPS
    if side is Side.BUY:
        return spec.price_against_buyer(price * (1 + slip))
    return max(spec.price_against_seller(price * (1 - slip)), spec.tick)
