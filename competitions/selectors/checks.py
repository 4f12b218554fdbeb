"""The rules of the risk check and their refusals, written for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from competitions.selectors.seasons import Grid
from competitions.selectors.shown import shown
from competitions.templatetags.arena_format import UNKNOWN, number, on_grid

# What each rule limits, in which direction the limit reads, and its decimals (None: as many as the figure has).
RULES: Mapping[str, tuple[str, str, int | None]] = {
    "UNKNOWN_SYMBOL": ("Symbol is traded", "", None),
    "NO_QUOTE": ("A quote", "", None),
    "BOOK_NOT_RUNNING": ("Season is running", "", None),
    "ACCOUNT_NOT_ACTIVE": ("Account is active", "", None),
    "INVALID_SIZE": ("A usable size", "", None),
    "LEVERAGE_BELOW_ONE": ("Leverage, least", "≥", None),
    "LEVERAGE_ABOVE_LIMIT": ("Leverage, most", "≤", None),
    "QUANTITY_BELOW_STEP": ("Quantity on step", "", None),
    "BELOW_MIN_QUANTITY": ("Minimum quantity", "≥", None),
    "ABOVE_MAX_QUANTITY": ("Maximum quantity", "≤", None),
    "BELOW_MIN_NOTIONAL": ("Minimum notional", "≥", 2),
    "ABOVE_MAX_NOTIONAL": ("Maximum notional", "≤", 2),
    "NO_POSITION": ("Position open", "", None),
    "REDUCE_ONLY_WOULD_INCREASE": ("Reduces, not more than held", "≤", None),
    "SHORTING_NOT_ALLOWED": ("Direction allowed", "", None),
    "PYRAMIDING_NOT_ALLOWED": ("Adding to a position", "", None),
    "LEVERAGE_CONFLICT": ("Leverage of the position", "=", None),
    "TOO_MANY_POSITIONS": ("Open positions", "≤", None),
    "RESTING_ORDERS_NOT_ALLOWED": ("Orders may wait", "", None),
    "INVALID_ORDER": ("A usable order", "", None),
    "POST_ONLY_WOULD_TAKE": ("Post only does not take", "", None),
    "TRIGGER_WOULD_FIRE_AT_ONCE": ("Trigger lies ahead", "", None),
    "EXITS_ON_WRONG_SIDE": ("Exits on the right side", "", None),
    "EXITS_OUT_OF_RANGE": ("Exits within reach", "", None),
    "POSITION_SHARE_ABOVE_LIMIT": ("Position share, %", "≤", 2),
    "MARGIN_USAGE_ABOVE_LIMIT": ("Margin usage, %", "≤", 2),
    "DRAWDOWN_ABOVE_LIMIT": ("Drawdown, %", "<", 2),
    "TOO_MANY_DECISIONS": ("Other rounds of the hour that opened", "<", None),
    # The limit is what is free, the value what the order needs.
    "INSUFFICIENT_MARGIN": ("Margin needed, of what is free", "≤", 2),
}

# Money and percentages in a refusal that carry more digits than they mean.
_MONEY = {"equity", "free", "needed", "notional", "peak", "tier_above"}
_SHARES = {"drawdown", "share", "usage"}
_SHARE_CODES = {
    "DRAWDOWN_ABOVE_LIMIT",
    "POSITION_SHARE_ABOVE_LIMIT",
    "MARGIN_USAGE_ABOVE_LIMIT",
}
_PRICES = {"level", "limit", "price", "trigger"}
_LONG_FIGURE = re.compile(
    r"\b(drawdown|equity|free|needed|notional|peak|share|usage)=(-?\d+\.\d{3,})(?=\s|$)"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One rule as it was looked at."""

    name: str
    limit: str
    value: str
    passed: bool


def check_of(row: Mapping[str, Any]) -> Check:
    """Return a stored check as it is shown."""
    rule = str(row.get("rule", ""))
    name, sign, places = RULES.get(rule, (rule.replace("_", " ").capitalize(), "", None))
    limit, value = row.get("limit"), row.get("value")
    limit_text, value_text = _figure(limit, places), _figure(value, places)
    if limit_text == value_text and limit != value:
        # Rounding hides by how little it passed or failed.
        limit_text, value_text = _figure(limit, None), _figure(value, None)
    return Check(name, f"{sign} {limit_text}".strip(), value_text, bool(row.get("passed")))


def denial_shown(denial: str) -> str:
    """Return a refusal with money and percentages cut to two decimals, unless that hides what is compared."""
    text = shown(denial)
    cut = _LONG_FIGURE.sub(lambda match: f"{match[1]}={Decimal(match[2]):.2f}", text)
    return cut if len(_figures(cut)) == len(_figures(text)) else text


def figures_shown(code: str, context: Mapping[str, Any], grid: Grid | None) -> str:
    """Return the figures of a refusal in words: free 12.30, needed 45.00; empty when it has none.

    Money and percentages have two decimals, prices those of the tick, unless that hides what is compared.
    """
    figures = [(key, shown(str(context[key]), limit=60)) for key in sorted(context)]
    cut = [_worded(code, key, text, grid) for key, text in figures]
    numbers = {Decimal(text) for _, text in figures if _is_number(text)}
    if len({text for text, (_, raw) in zip(cut, figures, strict=True) if _is_number(raw)}) < len(
        numbers
    ):
        cut = [_figure(text, None) for _, text in figures]
    return ", ".join(
        f"{key.replace('_', ' ')} {text}" for (key, _), text in zip(figures, cut, strict=True)
    )


def _worded(code: str, key: str, text: str, grid: Grid | None) -> str:
    if not _is_number(text):
        return text
    if key in _MONEY:
        return number(Decimal(text), 2)
    if key in _SHARES or (key in {"limit", "max"} and code in _SHARE_CODES):
        return f"{number(Decimal(text), 2)}\u00a0%"
    return on_grid(Decimal(text), grid.tick if grid and key in _PRICES else None)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None


def _figures(denial: str) -> set[Decimal]:
    return {Decimal(digits) for digits in re.findall(r"=(-?\d+(?:\.\d+)?)(?=\s|$)", denial)}


def _figure(value: object, places: int | None) -> str:
    if value is None:
        return UNKNOWN
    text = shown(str(value), limit=60)
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return text
    if not exact.is_finite():
        return text
    return on_grid(exact, None) if places is None else number(exact, places)
