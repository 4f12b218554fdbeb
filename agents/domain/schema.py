"""The JSON Schema of a decision: published, and sent to providers that can hold a model to it."""

from __future__ import annotations

from typing import Any

from agents.domain.decisions import Action
from trading.domain.intents import OrderKind, TimeInForce

_NUMBER = {"type": ["number", "null"]}


def decision_schema(*, resting_orders: bool = False) -> dict[str, Any]:
    """Return the schema in the strict dialect: every key required, null for "not given", nothing else allowed.

    Bounds that this dialect cannot say (one size for an open, at most 16 instructions) are told in words and checked when the
    answer is read. ``resting_orders`` adds what an instruction may say where orders rest in the book.
    """
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["summary", "instructions"],
        "properties": {
            "summary": {
                "type": "string",
                "description": "Your view of the market and the plan, in a few sentences.",
            },
            "instructions": {
                "type": "array",
                "description": "At most 16, carried out in order; empty to hold everything.",
                "items": _instruction_schema(resting_orders),
            },
        },
    }


def _instruction_schema(resting_orders: bool) -> dict[str, Any]:
    properties = _properties()
    if resting_orders:
        properties |= _resting_properties()
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def _properties() -> dict[str, Any]:
    return {
        "action": {
            "type": "string",
            "enum": [action.wire for action in Action.known(resting_orders=False)],
        },
        "symbol": {"type": "string", "description": "As listed in the rules."},
        "quantity": {
            **_NUMBER,
            "description": "Size in base units. An open needs exactly one size.",
        },
        "notional": {**_NUMBER, "description": "Size as value in the settlement currency."},
        "margin_fraction": {
            **_NUMBER,
            "description": "Size as the part of the free margin to use.",
        },
        "leverage": {"type": ["integer", "null"], "description": "Whole multiplier for an open."},
        "stop_loss": {**_NUMBER, "description": "Price."},
        "take_profit": {**_NUMBER, "description": "Price."},
        "invalidation": {
            "type": ["string", "null"],
            "description": "The observable condition under which the idea is wrong.",
        },
        "confidence": {**_NUMBER, "description": "0 to 1."},
        "reasoning": {"type": ["string", "null"], "description": "Why, in a few sentences."},
    }


def _resting_properties() -> dict[str, Any]:
    return {
        "action": {
            "type": "string",
            "enum": [action.wire for action in Action.known(resting_orders=True)],
        },
        "order_type": {
            "type": ["string", "null"],
            "enum": [*(kind.lower() for kind in OrderKind), None],
            "description": "How the order of an open, reduce or close waits; market when left out.",
        },
        "limit_price": {**_NUMBER, "description": "Of a limit order."},
        "trigger_price": {
            **_NUMBER,
            "description": "Of a stop_market or take_profit_market order.",
        },
        "callback_rate": {
            **_NUMBER,
            "description": "Of a trailing_stop order: percent, 0.1 to 20.",
        },
        "activation_price": {
            **_NUMBER,
            "description": "Of a trailing_stop order: follows from there.",
        },
        "time_in_force": {
            "type": ["string", "null"],
            "enum": [*(word.lower() for word in TimeInForce), None],
            "description": "Of a limit order; gtc when left out.",
        },
        "trailing_stop_pct": {
            **_NUMBER,
            "description": "Trailing exit of the position: percent behind the best price, 0.1 to 20.",
        },
        "trailing_activation": {
            **_NUMBER,
            "description": "Price from which the trailing exit follows.",
        },
    }
