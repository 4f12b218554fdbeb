"""What a participant wants done: the canonical decision and its instructions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from marketdata.domain.canonical import canonical_decimal
from trading.domain.intents import OrderKind, TimeInForce

MAX_INSTRUCTIONS = 16
MAX_SYMBOL = 32
MAX_REASONING = 4000
MAX_SUMMARY = 2000
MAX_INVALIDATION = 500

SIZE_FIELDS = ("quantity", "notional", "margin_fraction")
# What an order that may rest waits for, and the trailing exit of a position.
ORDER_PRICES = ("limit_price", "trigger_price", "callback_rate", "activation_price")
TRAILING_FIELDS = ("trailing_stop_pct", "trailing_activation")
ORDER_FIELDS = ("order_type", *ORDER_PRICES, "time_in_force")
DECIMAL_FIELDS = (
    *SIZE_FIELDS,
    "stop_loss",
    "take_profit",
    "confidence",
    *ORDER_PRICES,
    *TRAILING_FIELDS,
)


class Action(StrEnum):
    """What is wished; ``wire`` is the form that models write."""

    OPEN_LONG = "OPEN_LONG"
    OPEN_SHORT = "OPEN_SHORT"
    CLOSE = "CLOSE"
    REDUCE = "REDUCE"
    HOLD = "HOLD"
    SET_EXITS = "SET_EXITS"
    CANCEL_ORDERS = "CANCEL_ORDERS"

    @classmethod
    def known(cls, *, resting_orders: bool) -> tuple[Action, ...]:
        """Return the actions of a season, by whether orders may rest in its book."""
        return tuple(action for action in cls if resting_orders or action is not cls.CANCEL_ORDERS)

    @property
    def wire(self) -> str:
        return self.value.lower()

    @property
    def is_open(self) -> bool:
        return self in {Action.OPEN_LONG, Action.OPEN_SHORT}

    @property
    def is_order(self) -> bool:
        """Return whether it is carried out by an order of its own."""
        return self.is_open or self in {Action.REDUCE, Action.CLOSE}


class ParseStatus(StrEnum):
    VALID = "VALID"
    REPAIRED = "REPAIRED"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One wish.

    Opens carry exactly one size: ``quantity`` in base units, ``notional`` in the settlement currency, or ``margin_fraction`` of the
    free margin. A reduce carries at most one; the others none. ``symbol`` is empty only for a hold or a cancel of everything.
    ``leverage`` None means the default of the rules. Exits are prices; ``confidence`` is 0 to 1. ``order_type`` and the fields after
    it say how the order of an open, reduce or close waits (see trading.domain.intents.OrderIntent); ``trailing_stop_pct`` (percent)
    and ``trailing_activation`` (price) are the trailing exit.
    """

    action: Action
    symbol: str = ""
    quantity: Decimal | None = None
    notional: Decimal | None = None
    margin_fraction: Decimal | None = None
    leverage: int | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    invalidation: str = ""
    confidence: Decimal | None = None
    reasoning: str = ""
    order_type: OrderKind = OrderKind.MARKET
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    callback_rate: Decimal | None = None
    activation_price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    trailing_stop_pct: Decimal | None = None
    trailing_activation: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ParsedDecision:
    """What was read out of an answer; an INVALID one has no instructions and tells why in ``error``."""

    status: ParseStatus
    summary: str = ""
    instructions: tuple[Instruction, ...] = ()
    repairs: tuple[str, ...] = ()
    error: str = ""


def instruction_json(instruction: Instruction) -> dict[str, Any]:
    """Return the canonical object of the instruction: wire action, decimals as strings, empty fields left out."""
    fields: dict[str, Any] = {"action": instruction.action.wire, "symbol": instruction.symbol}
    for name in (*SIZE_FIELDS, "leverage", "stop_loss", "take_profit", *TRAILING_FIELDS):
        fields[name] = getattr(instruction, name)
    if instruction.order_type is not OrderKind.MARKET:
        fields["order_type"] = instruction.order_type.lower()
    for name in ORDER_PRICES:
        fields[name] = getattr(instruction, name)
    if instruction.time_in_force is not None:
        fields["time_in_force"] = instruction.time_in_force.lower()
    fields["invalidation"] = instruction.invalidation
    fields["confidence"] = instruction.confidence
    fields["reasoning"] = instruction.reasoning
    return {name: _plain(value) for name, value in fields.items() if value not in (None, "")}


def instruction_from_json(fields: Mapping[str, Any]) -> Instruction:
    """Return the instruction that :func:`instruction_json` wrote; raise KeyError or ValueError for anything else."""
    return Instruction(
        action=Action(fields["action"].upper()),
        symbol=fields.get("symbol", ""),
        leverage=fields.get("leverage"),
        invalidation=fields.get("invalidation", ""),
        reasoning=fields.get("reasoning", ""),
        order_type=OrderKind(fields.get("order_type", "market").upper()),
        time_in_force=TimeInForce(fields["time_in_force"].upper())
        if "time_in_force" in fields
        else None,
        **{name: Decimal(fields[name]) for name in DECIMAL_FIELDS if name in fields},
    )


def decision_text(summary: str, instructions: Sequence[Instruction]) -> str:
    """Return the decision as the JSON text that a model would write."""
    decision = {
        "summary": summary,
        "instructions": [instruction_json(instruction) for instruction in instructions],
    }
    return json.dumps(decision, ensure_ascii=False, indent=1)


def _plain(value: Any) -> Any:
    return canonical_decimal(value) if isinstance(value, Decimal) else value
