"""Bars, waiting orders and holdings for the tests of what rests."""

from __future__ import annotations

from typing import Any

from marketdata.domain.facts import Candle, Quote
from tests.trading.builders import D, at, buy, funded, play, quote, sell
from trading.domain.denials import Denial
from trading.domain.events import BarClosed
from trading.domain.intents import Exits, OrderIntent
from trading.domain.outcome import Outcome
from trading.domain.resting.asking import check_resting
from trading.domain.rules import BookRules
from trading.domain.state import AccountState, OrderState


def candle(prices: str, *, minutes: int = 1) -> Candle:
    """Return a candle of ``open high low close``."""
    first, high, low, last = map(D, prices.split())
    return Candle(at(minutes), first, high, low, last, D(0))


def bar(
    prices: str, symbol: str = "XUSDT", *, mark: str | None = None, minutes: int = 1
) -> BarClosed:
    return BarClosed(
        symbol,
        candle(prices, minutes=minutes),
        None if mark is None else candle(mark, minutes=minutes),
    )


def holding(
    rules: BookRules,
    quantity: str = "10",
    *,
    symbol: str = "XUSDT",
    state: AccountState | None = None,
    **exits: Any,
) -> AccountState:
    """Return an account that bought (sold, when negative) at 100, with these exits."""
    plan = Exits(**{name: D(value) for name, value in exits.items()})
    order = buy if D(quantity) > 0 else sell
    intent = order(quantity.lstrip("-"), symbol, exits=plan)
    return play(state or funded(rules), rules, (intent, quote("100", symbol)))[0]


def try_rest(
    state: AccountState,
    intent: OrderIntent,
    rules: BookRules,
    *,
    order_id: str = "o1",
    market: Quote | None = None,
) -> AccountState | Denial:
    """Return the account with the order accepted and waiting, or why it was refused."""
    fitted, verdict = check_resting(state, intent, market or quote("100", intent.symbol), rules)
    if verdict.denial:
        return verdict.denial
    assert verdict.expected_price is not None
    order = OrderState(
        client_order_id=order_id,
        intent=fitted,
        reserved=verdict.reserved,
        expected_price=verdict.expected_price,
    )
    return state.with_order(order)


def rest(state: AccountState, intent: OrderIntent, rules: BookRules, **more: Any) -> AccountState:
    """Return the account with the order accepted and waiting; it must be."""
    waiting = try_rest(state, intent, rules, **more)
    assert isinstance(waiting, AccountState), str(waiting)
    return waiting


def told(outcome: Outcome) -> list[tuple[str, str]]:
    """Return each fill as its trade id and price."""
    return [(fill.trade_id, format(fill.price.normalize(), "f")) for fill in outcome.fills]
