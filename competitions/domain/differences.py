"""Where two records of the same thing disagree first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any


def first_difference(stored: Any, computed: Any, place: str = "") -> str | None:
    """Return a sentence on the first disagreement between two values of the same shape; None when they are equal."""
    if is_dataclass(stored) and is_dataclass(computed):
        for entry in fields(stored):
            found = first_difference(
                getattr(stored, entry.name),
                getattr(computed, entry.name, None),
                f"{place}{', ' if place else ''}{entry.name}",
            )
            if found:
                return found
        return None
    if _is_list(stored) and _is_list(computed):
        return _first_in_lists(stored, computed, place)
    if stored != computed:
        return f"{place}: stored {_short(stored)}, recomputed {_short(computed)}"
    return None


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _first_in_lists(stored: Sequence[Any], computed: Sequence[Any], place: str) -> str | None:
    for index, (left, right) in enumerate(zip(stored, computed, strict=False), start=1):
        found = first_difference(left, right, f"{place} {index}")
        if found:
            return found
    if len(stored) != len(computed):
        return f"{place}: stored {len(stored)}, recomputed {len(computed)}"
    return None


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
