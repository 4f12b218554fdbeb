"""Which parameters a provider can take: tables as data, and the sieve that uses them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from agents.models.agents import Provider, ProviderKind
from marketdata.domain.canonical import canonical_decimal

DEFAULT_MAX_TOKENS = 8192
MOST_TOKENS = 128_000
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

# By kind; a provider's own ``capabilities`` override single entries. ``structured_output`` is "strict" (JSON Schema), "object"
# (some JSON object) or "none"; ``token_limit`` is the wire name of max_tokens.
CAPABILITIES: dict[str, dict[str, Any]] = {
    ProviderKind.ANTHROPIC: {
        "temperature": False,
        "top_p": False,
        "seed": False,
        "effort": ["low", "medium", "high", "xhigh", "max"],
        "structured_output": "strict",
        "token_limit": "max_tokens",
    },
    ProviderKind.OPENAI_COMPATIBLE: {
        "temperature": True,
        "top_p": True,
        "seed": True,
        "effort": False,
        "structured_output": "object",
        "token_limit": "max_tokens",
    },
    ProviderKind.BASELINE: {"max_tokens": False, "structured_output": "none"},
    ProviderKind.BOT: {"max_tokens": False, "structured_output": "none"},
}


# What a provider's own entries may say, beside lists of efforts.
_CHOICES: dict[str, tuple[Any, ...]] = {
    "effort": (True, False),
    "max_tokens": (True, False),
    "seed": (True, False),
    "structured_output": ("strict", "object", "none"),
    "temperature": (True, False),
    "token_limit": ("max_tokens", "max_completion_tokens"),
    "top_p": (True, False),
}


def problems_of_capabilities(own: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a provider's own entries, one message for each; what was found and what is allowed."""
    problems = []
    for name, value in own.items():
        if name not in _CHOICES:
            problems.append(f"{name!r} is no known entry; known: {', '.join(_CHOICES)}")
        elif not _is_choice(name, value):
            problems.append(f"{name} must be {_allowed(name)}, was {json.dumps(value)[:60]}")
    return problems


def problems_of_parameters(parameters: Mapping[str, Any]) -> list[str]:
    """Return what no provider could take of an agent's parameters: unknown names, values out of range."""
    problems = []
    for name, value in sorted(parameters.items()):
        try:
            _read(name, value)
        except ValueError as error:
            problems.append(str(error))
    return problems


def _is_choice(name: str, value: Any) -> bool:
    if name == "effort" and isinstance(value, list):
        return bool(value) and all(level in EFFORTS for level in value)
    # 1 == True, but it is not what anybody means by it.
    return any(
        value is choice or (isinstance(value, str) and value == choice) for choice in _CHOICES[name]
    )


def _allowed(name: str) -> str:
    words = " or ".join(json.dumps(choice) for choice in _CHOICES[name])
    return f"{words} or a list of {', '.join(EFFORTS)}" if name == "effort" else words


def capabilities_of(provider: Provider) -> dict[str, Any]:
    """Return the kind's table with the provider's own entries over it."""
    own = provider.capabilities if isinstance(provider.capabilities, dict) else {}
    return {**CAPABILITIES.get(provider.kind, {}), **own}


def effective_parameters(
    provider: Provider, agent_parameters: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters that requests will carry, and a warning for each one that is left out.

    Fractions become decimal strings. ``structured_output`` and ``token_limit`` tell the adapter how to send; ``max_tokens`` is
    always there for models.
    """
    capabilities = capabilities_of(provider)
    effective: dict[str, Any] = {}
    warnings: list[str] = []
    for name, value in sorted(agent_parameters.items()):
        try:
            effective[name] = _accepted(name, value, capabilities, provider)
        except ValueError as error:
            warnings.append(str(error))
    if capabilities.get("max_tokens", True):
        effective.setdefault("max_tokens", DEFAULT_MAX_TOKENS)
        effective["token_limit"] = capabilities.get("token_limit", "max_tokens")
        effective["structured_output"] = capabilities.get("structured_output", "none")
    return effective, warnings


def _accepted(
    name: str, value: Any, capabilities: Mapping[str, Any], provider: Provider
) -> str | int:
    accepted = capabilities.get(name, name == "max_tokens")
    if name in _READERS and not accepted:
        raise ValueError(f"{provider.name} does not take {name}: it is left out")
    try:
        found = _read(name, value)
    except ValueError as error:
        raise ValueError(f"{error}: it is left out") from None
    if isinstance(accepted, list) and found not in accepted:
        raise ValueError(
            f"{provider.name} takes {name} {', '.join(accepted)}, was {found}: it is left out"
        )
    return found


def _read(name: str, value: Any) -> str | int:
    read = _READERS.get(name)
    if read is None:
        raise ValueError(f"{name} is not a known parameter (known: {', '.join(_READERS)})")
    return read(name, value)


def _fraction(most: Decimal) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        wanted = f"{name} must be a number from 0 to {most}, was {value!r}"
        if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(wanted)
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            raise ValueError(wanted) from None
        if not number.is_finite() or not 0 <= number <= most:
            raise ValueError(wanted)
        return canonical_decimal(number)

    return read


def _whole(least: int, most: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{name} must be a whole number from {least} to {most}, was {value!r}")
        return value

    return read


def _effort(name: str, value: Any) -> str:
    if value not in EFFORTS:
        raise ValueError(f"{name} must be one of {', '.join(EFFORTS)}, was {value!r}")
    return str(value)


_READERS: dict[str, Callable[[str, Any], str | int]] = {
    "effort": _effort,
    "max_tokens": _whole(1, MOST_TOKENS),
    "seed": _whole(0, 2**31 - 1),
    "temperature": _fraction(Decimal(2)),
    "top_p": _fraction(Decimal(1)),
}
