"""The decision formats that are understood, each by its own small reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

from agents.domain.decisions import (
    MAX_INSTRUCTIONS,
    MAX_INVALIDATION,
    MAX_REASONING,
    MAX_SUMMARY,
    MAX_SYMBOL,
    SIZE_FIELDS,
    Action,
    Instruction,
)
from agents.domain.parsing.documents import RawNumber, check_number
from agents.domain.parsing.faults import Fault, fault, show
from marketdata.domain.canonical import parse_decimal

MAX_LEVERAGE = 1000
MAX_MAGNITUDE = Decimal("1e15")

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

# PostgreSQL refuses NUL and lone surrogates; other controls only serve to confuse a reader.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

Reading = tuple[str, tuple[Instruction, ...], tuple[str, ...]]
Reader = Callable[[dict[str, Any], Collection[str]], Reading | None]


def read_decision(document: dict[str, Any], symbols: Collection[str]) -> Reading:
    """Return summary, instructions and repairs by the first reader that knows the document's shape.

    Raises:
        Fault: If no reader knows it, or the one that does finds a fault.
    """
    for reader in READERS:
        reading = reader(document, symbols)
        if reading is not None:
            return reading
    keys = ", ".join(show(key) for key in list(document)[:5]) or "no keys"
    raise Fault(f'found {keys} in the object, the key "instructions" is wanted')


def read_canonical(document: dict[str, Any], symbols: Collection[str]) -> Reading | None:
    """Read the canonical schema (agents.domain.schema)."""
    if "instructions" not in document:
        return None
    _check_keys(document, DECISION_KEYS, "")
    entries = document["instructions"]
    if not isinstance(entries, list):
        raise fault("instructions", entries, "a list")
    if len(entries) > MAX_INSTRUCTIONS:
        raise Fault(f"instructions: found {len(entries)}, at most {MAX_INSTRUCTIONS} are wanted")
    summary = _text(document, "summary", "", MAX_SUMMARY)
    repairs: list[str] = []
    instructions = tuple(
        _instruction(entry, f"instructions[{index}]", symbols, repairs)
        for index, entry in enumerate(entries)
    )
    return summary, instructions, tuple(repairs)


READERS: list[Reader] = [read_canonical]


def _instruction(
    entry: Any, path: str, symbols: Collection[str], repairs: list[str]
) -> Instruction:
    if not isinstance(entry, dict):
        raise fault(path, entry, "an object")
    _check_keys(entry, INSTRUCTION_KEYS, path)
    action = _action(entry, path)
    sizes = {name: _decimal(entry, name, path) for name in SIZE_FIELDS}
    _check_sizes(action, [name for name, size in sizes.items() if size is not None], path)
    return Instruction(
        action=action,
        symbol=_symbol(entry, path, action, symbols, repairs),
        leverage=_leverage(entry, path),
        stop_loss=_price(entry, "stop_loss", path),
        take_profit=_price(entry, "take_profit", path),
        invalidation=_text(entry, "invalidation", path, MAX_INVALIDATION),
        confidence=_confidence(entry, path),
        reasoning=_text(entry, "reasoning", path, MAX_REASONING),
        **sizes,
    )


def _check_keys(fields: dict[str, Any], known: Collection[str], path: str) -> None:
    for key in fields:
        if key not in known:
            raise Fault(
                f"{path or 'the answer'}: found the unknown key {show(key)}, known are {', '.join(known)}"
            )


def _action(entry: dict[str, Any], path: str) -> Action:
    word = entry.get("action")
    if isinstance(word, str) and word in {action.wire for action in Action}:
        return Action(word.upper())
    raise fault(f"{path}.action", word, f"one of {', '.join(action.wire for action in Action)}")


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
    symbol = _text(entry, "symbol", path, MAX_SYMBOL)
    if not symbol and action is not Action.HOLD:
        raise fault(f"{path}.symbol", entry.get("symbol"), "a symbol")
    plain = symbol.strip().upper()
    if symbol not in symbols and plain in symbols:
        repairs.append(f"{path}.symbol {show(symbol)} read as {plain}")
        return plain
    return symbol


def _leverage(entry: dict[str, Any], path: str) -> int | None:
    leverage = _decimal(entry, "leverage", path)
    if leverage is None:
        return None
    if leverage != leverage.to_integral_value() or not 0 <= leverage <= MAX_LEVERAGE:
        raise fault(f"{path}.leverage", leverage, f"a whole number from 0 to {MAX_LEVERAGE}")
    return int(leverage)


def _price(entry: dict[str, Any], name: str, path: str) -> Decimal | None:
    price = _decimal(entry, name, path)
    if price is not None and price <= 0:
        raise fault(f"{path}.{name}", price, "a price above 0 (or null)")
    return price


def _confidence(entry: dict[str, Any], path: str) -> Decimal | None:
    confidence = _decimal(entry, "confidence", path)
    if confidence is not None and not 0 <= confidence <= 1:
        raise fault(f"{path}.confidence", confidence, "a number from 0 to 1")
    return confidence


def _decimal(entry: dict[str, Any], name: str, path: str) -> Decimal | None:
    value = entry.get(name)
    if value is None:
        return None
    place = f"{path}.{name}"
    if not isinstance(value, (RawNumber, str)):
        raise fault(place, value, "a decimal number")
    text = str(value)
    check_number(text, place)
    try:
        number = parse_decimal(text)
    except ValueError:
        raise fault(place, text, "a number of at most 24 decimals") from None
    if abs(number) >= MAX_MAGNITUDE:
        raise fault(place, text, "a number below 1e15")
    return number


def _text(fields: dict[str, Any], name: str, path: str, cap: int) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise fault(f"{path}.{name}" if path else name, value, "text")
    return _UNPRINTABLE.sub("\ufffd", value)[:cap]
