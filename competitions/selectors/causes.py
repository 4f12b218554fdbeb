"""What made a fill, in words: the instruction, an exit of the position, a rule, an operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trading.models import Fill, Order
from trading.models.orders import OrderCause, OrderKind

KINDS: Mapping[str, str] = {
    OrderKind.MARKET: "market",
    OrderKind.LIMIT: "limit",
    OrderKind.STOP_MARKET: "stop",
    OrderKind.TAKE_PROFIT_MARKET: "target",
    OrderKind.TRAILING_STOP: "trailing stop",
}
LIVES: Mapping[str, str] = {
    "GTC": "until cancelled",
    "IOC": "at once or not",
    "POST_ONLY": "post only",
}
_EXITS: Mapping[str, str] = {
    "stop_loss": "stop loss",
    "take_profit": "take profit",
    "trailing": "trailing stop",
}
_EXIT_OF_KIND: Mapping[str, str] = {
    OrderKind.STOP_MARKET: "stop_loss",
    OrderKind.TAKE_PROFIT_MARKET: "take_profit",
    OrderKind.TRAILING_STOP: "trailing",
}
_CAUSES: Mapping[str, str] = {
    OrderCause.INSTRUCTION: "instruction",
    OrderCause.EXIT: "exit",
    OrderCause.LIQUIDATION: "liquidation",
    OrderCause.DRAWDOWN: "drawdown rule",
    OrderCause.OPERATOR: "operator",
    OrderCause.BOT: "bot",
    OrderCause.EXTERNAL: "booked from outside",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """What made a fill: the code of its order's cause, which exit it was, and both in words."""

    code: str
    exit: str | None
    words: str


def cause_of(order: Order, fill: Fill) -> Cause:
    return Cause(order.cause, exit_of(order, fill), cause_words(order, fill))


def exit_of(order: Order, fill: Fill) -> str | None:
    """Return which exit of a position acted: stop_loss, take_profit or trailing; None where none did.

    The fill's trade id names it (exit-<position>-<exit>-<piece>), else the kind of the order that stands for the exit.
    """
    if order.cause != OrderCause.EXIT:
        return None
    parts = fill.trade_id.split("-")
    named = parts[2] if len(parts) == 4 and parts[0] == "exit" else ""
    return named if named in _EXITS else _EXIT_OF_KIND.get(order.kind)


def cause_words(order: Order, fill: Fill) -> str:
    """Return what made the fill: instruction, stop loss, liquidation; of an order that waited also its kind."""
    named = exit_of(order, fill)
    if named is not None:
        return _EXITS[named]
    words = _CAUSES.get(order.cause, order.cause.lower())
    is_wish = order.cause in {OrderCause.INSTRUCTION, OrderCause.BOT}
    if is_wish and order.kind != OrderKind.MARKET:
        return f"{words}, {KINDS[order.kind]} order"
    return words
