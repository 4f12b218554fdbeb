"""Why an order was refused: a code and its figures. Data, not an exception."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class DenialCode(StrEnum):
    """Every reason for which the arena refuses an order; docs/accounting.md explains each."""

    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    NO_QUOTE = "NO_QUOTE"
    BOOK_NOT_RUNNING = "BOOK_NOT_RUNNING"
    ACCOUNT_NOT_ACTIVE = "ACCOUNT_NOT_ACTIVE"
    INVALID_SIZE = "INVALID_SIZE"
    LEVERAGE_BELOW_ONE = "LEVERAGE_BELOW_ONE"
    LEVERAGE_ABOVE_LIMIT = "LEVERAGE_ABOVE_LIMIT"
    QUANTITY_BELOW_STEP = "QUANTITY_BELOW_STEP"
    BELOW_MIN_QUANTITY = "BELOW_MIN_QUANTITY"
    ABOVE_MAX_QUANTITY = "ABOVE_MAX_QUANTITY"
    BELOW_MIN_NOTIONAL = "BELOW_MIN_NOTIONAL"
    ABOVE_MAX_NOTIONAL = "ABOVE_MAX_NOTIONAL"
    NO_POSITION = "NO_POSITION"
    REDUCE_ONLY_WOULD_INCREASE = "REDUCE_ONLY_WOULD_INCREASE"
    SHORTING_NOT_ALLOWED = "SHORTING_NOT_ALLOWED"
    PYRAMIDING_NOT_ALLOWED = "PYRAMIDING_NOT_ALLOWED"
    LEVERAGE_CONFLICT = "LEVERAGE_CONFLICT"
    TOO_MANY_POSITIONS = "TOO_MANY_POSITIONS"
    RESTING_ORDERS_NOT_ALLOWED = "RESTING_ORDERS_NOT_ALLOWED"
    INVALID_ORDER = "INVALID_ORDER"
    POST_ONLY_WOULD_TAKE = "POST_ONLY_WOULD_TAKE"
    TRIGGER_WOULD_FIRE_AT_ONCE = "TRIGGER_WOULD_FIRE_AT_ONCE"
    EXITS_ON_WRONG_SIDE = "EXITS_ON_WRONG_SIDE"
    EXITS_OUT_OF_RANGE = "EXITS_OUT_OF_RANGE"
    INSUFFICIENT_MARGIN = "INSUFFICIENT_MARGIN"
    POSITION_SHARE_ABOVE_LIMIT = "POSITION_SHARE_ABOVE_LIMIT"
    MARGIN_USAGE_ABOVE_LIMIT = "MARGIN_USAGE_ABOVE_LIMIT"
    DRAWDOWN_ABOVE_LIMIT = "DRAWDOWN_ABOVE_LIMIT"
    TOO_MANY_DECISIONS = "TOO_MANY_DECISIONS"


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal; ``context`` holds its figures as text."""

    code: DenialCode
    context: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        # Sorted: a database may hand the figures back in another order.
        figures = "".join(f" {key}={self.context[key]}" for key in sorted(self.context))
        return f"{self.code.value}{figures}"

    @classmethod
    def from_text(cls, text: str) -> Denial:
        """Return the refusal that :meth:`__str__` wrote, its figures without spaces; raise ValueError for an unknown code.

        >>> Denial.from_text("BOOK_NOT_RUNNING state=PAUSED").context
        {'state': 'PAUSED'}
        """
        code, *figures = text.split(" ")
        told = dict(figure.split("=", 1) for figure in figures if "=" in figure)
        return cls(DenialCode(code), told)

    def as_check(self) -> RuleCheck:
        """Return the refusal as the one rule that was looked at: where there is no more to tell of it."""
        limit, value = self.context.get("wanted", ""), self.context.get("found")
        return RuleCheck(self.code, limit, value, passed=False)


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """One rule that was looked at: what it allows and what was found, as text; ``value`` is None where there is none to tell."""

    rule: DenialCode
    limit: str
    value: str | None
    passed: bool

    def as_json(self) -> dict[str, str | bool | None]:
        return {
            "rule": self.rule.value,
            "limit": self.limit,
            "value": self.value,
            "passed": self.passed,
        }
