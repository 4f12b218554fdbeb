"""How an order waits, and the trailing exit: the fields that count where orders may rest."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from agents.domain.decisions import ORDER_FIELDS, ORDER_PRICES, TRAILING_FIELDS, Action
from agents.domain.parsing.faults import Fault, fault
from agents.domain.parsing.values import read_price
from trading.domain.intents import OrderKind, TimeInForce

Word = TypeVar("Word", bound=StrEnum)

# Per type the prices that it needs, and those that it may have.
WANTED: dict[OrderKind, tuple[str, ...]] = {
    OrderKind.LIMIT: ("limit_price",),
    OrderKind.STOP_MARKET: ("trigger_price",),
    OrderKind.TAKE_PROFIT_MARKET: ("trigger_price",),
    OrderKind.TRAILING_STOP: ("callback_rate",),
}
ALLOWED = {OrderKind.TRAILING_STOP: ("callback_rate", "activation_price")}


def read_order(entry: dict[str, Any], action: Action, path: str) -> dict[str, Any]:
    """Return the order's and the trailing exit's fields of an instruction.

    Raises:
        Fault: At the first that is none, that the action or the type has no use for, or that is missing.
    """
    for name in ORDER_FIELDS:
        if entry.get(name) is not None and not action.is_order:
            raise fault(f"{path}.{name}", entry[name], f"none for {action.wire}")
    for name in TRAILING_FIELDS:
        if entry.get(name) is not None and not (action.is_open or action is Action.SET_EXITS):
            raise fault(f"{path}.{name}", entry[name], f"none for {action.wire}")
    kind = _word(entry, "order_type", path, OrderKind) or OrderKind.MARKET
    waits = _word(entry, "time_in_force", path, TimeInForce)
    if waits is not None and kind is not OrderKind.LIMIT:
        raise fault(f"{path}.time_in_force", entry["time_in_force"], f"none for {kind.lower()}")
    trailing = {name: read_price(entry, name, path) for name in TRAILING_FIELDS}
    if trailing["trailing_activation"] is not None and trailing["trailing_stop_pct"] is None:
        raise Fault(f"{path}: found trailing_activation alone, trailing_stop_pct is wanted with it")
    return {
        "order_type": kind,
        "time_in_force": waits,
        **_prices(entry, kind, path),
        **trailing,
    }


def _prices(entry: dict[str, Any], kind: OrderKind, path: str) -> dict[str, Decimal | None]:
    prices = {name: read_price(entry, name, path) for name in ORDER_PRICES}
    wanted = WANTED.get(kind, ())
    for name, price in prices.items():
        if price is None and name in wanted:
            raise fault(f"{path}.{name}", None, f"a number above 0 for {kind.lower()}")
        if price is not None and name not in ALLOWED.get(kind, wanted):
            raise fault(f"{path}.{name}", entry[name], f"none for {kind.lower()}")
    return prices


def _word(entry: dict[str, Any], name: str, path: str, words: type[Word]) -> Word | None:
    found = entry.get(name)
    if found is None:
        return None
    known = {word.lower(): word for word in words}
    if not isinstance(found, str) or found not in known:
        raise fault(f"{path}.{name}", found, f"one of {', '.join(known)}")
    return known[found]
