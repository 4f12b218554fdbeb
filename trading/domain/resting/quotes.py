"""Showing an account a quote."""

from __future__ import annotations

from marketdata.domain.facts import Quote
from trading.domain.money import exact
from trading.domain.outcome import Outcome
from trading.domain.resting.looks import Liquidation, Look, never, take_look
from trading.domain.resting.triggers import Span
from trading.domain.rules import BookRules
from trading.domain.state import AccountState


@exact
def walk_quote(
    state: AccountState, quote: Quote, rules: BookRules, *, liquidate: Liquidation = never
) -> Outcome:
    """Return the account after a quote: sales trigger and fill on its bid, purchases on its ask, liquidation is judged at its mark."""
    look = Look(
        symbol=quote.symbol,
        at=quote.at,
        asks=Span.point(quote.ask),
        bids=Span.point(quote.bid),
        marks=Span.point(quote.mark),
        rules=rules,
        liquidate=liquidate,
    )
    return take_look(state, look)
