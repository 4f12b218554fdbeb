"""Closing an account that has fallen too far from its highest equity."""

from __future__ import annotations

from datetime import datetime

from marketdata.domain.facts import Quote
from trading.domain.drawdown import DrawdownTier, drawdown_tier
from trading.domain.intents import Side
from trading.domain.liquidation import by_loss
from trading.domain.margin import mark_of
from trading.domain.money import exact
from trading.domain.outcome import FillCause, OrderStatus, Outcome
from trading.domain.pricing import taker_price
from trading.domain.reports import ended
from trading.domain.resting.executing import leave_whole
from trading.domain.rules import BookRules
from trading.domain.state import AccountState


@exact
def close_for_drawdown(state: AccountState, rules: BookRules, *, at: datetime) -> Outcome | None:
    """Return the account flat when its drawdown has reached ``drawdown_close_pct``; None otherwise, or with nothing to end.

    Open orders are cancelled first, then every position is closed as a market order at its mark would, the largest loss first (of
    equal ones the first symbol): at the taker's price, for the ordinary fee. To be asked after liquidation: a wallet that fees
    take below zero is left to it.

    Raises:
        ValueError: When the book has drawdown rules and the state no peak.
        KeyError: When an open position has no mark.
    """
    if not state.positions and not state.orders:
        return None
    if drawdown_tier(state, rules) is not DrawdownTier.CLOSE:
        return None
    outcome = Outcome(state=state)
    for _, order in sorted(state.orders.items()):
        outcome = outcome.then(ended(outcome.state, order, OrderStatus.CANCELLED))
    for held in by_loss(state):
        mark = mark_of(state, held.symbol)
        market = Quote(held.symbol, at, mark, mark, mark)
        side = Side.closing(held.quantity)
        closed = leave_whole(
            outcome.state,
            held,
            price=taker_price(market, side, rules=rules, spec=rules.spec(held.symbol)),
            reference_price=mark,
            rules=rules,
            at=at,
            trade_prefix=f"dd-{held.seq}",
            cause=FillCause.DRAWDOWN,
        )
        outcome = outcome.then(closed)
    return outcome
