"""The decision formats that are understood, each by its own small reader."""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

from agents.domain.decisions import (
    MAX_INSTRUCTIONS,
    MAX_INVALIDATION,
    MAX_REASONING,
    MAX_SUMMARY,
    MAX_SYMBOL,
    ORDER_FIELDS,
    SIZE_FIELDS,
    TRAILING_FIELDS,
    Action,
    Instruction,
)
from agents.domain.parsing.faults import Fault, fault, show
from agents.domain.parsing.orders import read_order
from agents.domain.parsing.values import read_decimal, read_price, read_text

MAX_LEVERAGE = 1000

DECISION_KEYS = ("summary", "instructions")
INSTRUCTION_KEYS = (
    "action",
    "symbol",
    *SIZE_FIELDS,
    "leverage",
    "stop_loss",
    "take_profit",
    "invalidation",
    "confidence",
    "reasoning",
)
RESTING_KEYS = (*INSTRUCTION_KEYS, *ORDER_FIELDS, *TRAILING_FIELDS)

Reading = tuple[str, tuple[Instruction, ...], tuple[str, ...]]
Reader = Callable[[dict[str, Any], Collection[str], bool], Reading | None]


def read_decision(
    document: dict[str, Any], symbols: Collection[str], resting_orders: bool
) -> Reading:
    """Return summary, instructions and repairs by the first reader that knows the document's shape.

    Only where ``resting_orders`` is true may an instruction say how an order waits; elsewhere those keys are unknown ones.

    Raises:
        Fault: If no reader knows it, or the one that does finds a fault.
    """
    for reader in READERS:
        reading = reader(document, symbols, resting_orders)
        if reading is not None:
            return reading
    keys = ", ".join(show(key) for key in list(document)[:5]) or "no keys"
    raise Fault(f'found {keys} in the object, the key "instructions" is wanted')


def read_canonical(
    document: dict[str, Any], symbols: Collection[str], resting_orders: bool
) -> Reading | None:
    """Read the canonical schema (agents.domain.schema)."""
    if "instructions" not in document:
        return None
    _check_keys(document, DECISION_KEYS, "")
    entries = document["instructions"]
    if not isinstance(entries, list):
        raise fault("instructions", entries, "a list")
    if len(entries) > MAX_INSTRUCTIONS:
        raise Fault(f"instructions: found {len(entries)}, at most {MAX_INSTRUCTIONS} are wanted")
    summary = read_text(document, "summary", "", MAX_SUMMARY)
    repairs: list[str] = []
    instructions = tuple(
        _instruction(entry, f"instructions[{index}]", symbols, repairs, resting_orders)
        for index, entry in enumerate(entries)
    )
    return summary, instructions, tuple(repairs)


READERS: list[Reader] = [read_canonical]


def _instruction(
    entry: Any,
    path: str,
    symbols: Collection[str],
    repairs: list[str],
    resting_orders: bool,
) -> Instruction:
    if not isinstance(entry, dict):
        raise fault(path, entry, "an object")
    _check_keys(entry, RESTING_KEYS if resting_orders else INSTRUCTION_KEYS, path)
    action = _action(entry, path, Action.known(resting_orders=resting_orders))
    sizes: dict[str, Any] = {name: read_decimal(entry, name, path) for name in SIZE_FIELDS}
    _check_sizes(action, [name for name, size in sizes.items() if size is not None], path)
    return Instruction(
        action=action,
        symbol=_symbol(entry, path, action, symbols, repairs),
        leverage=_leverage(entry, path),
        stop_loss=read_price(entry, "stop_loss", path),
        take_profit=read_price(entry, "take_profit", path),
        invalidation=read_text(entry, "invalidation", path, MAX_INVALIDATION),
        confidence=_confidence(entry, path),
        reasoning=read_text(entry, "reasoning", path, MAX_REASONING),
        **sizes,
        **read_order(entry, action, path),
    )


def _check_keys(fields: dict[str, Any], known: Collection[str], path: str) -> None:
    for key in fields:
        if key not in known:
            raise Fault(
                f"{path or 'the answer'}: found the unknown key {show(key)}, known are {', '.join(known)}"
            )


def _action(entry: dict[str, Any], path: str, known: Collection[Action]) -> Action:
    word = entry.get("action")
    if isinstance(word, str) and word in {action.wire for action in known}:
        return Action(word.upper())
    raise fault(f"{path}.action", word, f"one of {', '.join(action.wire for action in known)}")


def _check_sizes(action: Action, given: list[str], path: str) -> None:
    if action.is_open:
        wanted, fits = f"exactly one of {', '.join(SIZE_FIELDS)}", len(given) == 1
    elif action is Action.REDUCE:
        wanted, fits = f"at most one of {', '.join(SIZE_FIELDS)}", len(given) <= 1
    else:
        wanted, fits = f"no size for {action.wire}", not given
    if not fits:
        raise Fault(f"{path}: found {', '.join(given) or 'no size'}, {wanted} is wanted")


def _symbol(
    entry: dict[str, Any],
    path: str,
    action: Action,
    symbols: Collection[str],
    repairs: list[str],
) -> str:
    symbol = read_text(entry, "symbol", path, MAX_SYMBOL)
    if not symbol and action not in {Action.HOLD, Action.CANCEL_ORDERS}:
        raise fault(f"{path}.symbol", entry.get("symbol"), "a symbol")
    plain = symbol.strip().upper()
    if symbol not in symbols and plain in symbols:
        repairs.append(f"{path}.symbol {show(symbol)} read as {plain}")
        return plain
    return symbol


def _leverage(entry: dict[str, Any], path: str) -> int | None:
    leverage = read_decimal(entry, "leverage", path)
    if leverage is None:
        return None
    if leverage != leverage.to_integral_value() or not 0 <= leverage <= MAX_LEVERAGE:
        raise fault(f"{path}.leverage", leverage, f"a whole number from 0 to {MAX_LEVERAGE}")
    return int(leverage)


def _confidence(entry: dict[str, Any], path: str) -> Decimal | None:
    confidence = read_decimal(entry, "confidence", path)
    if confidence is not None and not 0 <= confidence <= 1:
        raise fault(f"{path}.confidence", confidence, "a number from 0 to 1")
    return confidence
