"""How a fault of an answer is told: its place, what was found, what is wanted."""

from __future__ import annotations

from typing import Any

MAX_FOUND = 60


class Fault(Exception):
    """The answer holds no decision; ends at :func:`agents.domain.parsing.parse_decision` and becomes its error text."""


def fault(path: str, found: Any, wanted: str) -> Fault:
    """Return the fault "path: found ..., wanted ..."; ``found`` is shown as plain ASCII, cut short."""
    return Fault(f"{path or 'the answer'}: found {show(found)}, {wanted} is wanted")


def show(found: Any) -> str:
    """Return a short, safe picture of a JSON value."""
    if found is None or isinstance(found, bool):
        return {None: "null", True: "true", False: "false"}[found]
    if isinstance(found, dict):
        return f"an object of {len(found)} keys"
    if isinstance(found, list):
        return f"a list of {len(found)}"
    text = ascii(found) if isinstance(found, str) else str(found)
    return text if len(text) <= MAX_FOUND else text[:MAX_FOUND] + "..."
