"""One rule's answer: what it allows, what was found, and the refusal if that is too much."""

from __future__ import annotations

from trading.domain.denials import Denial, DenialCode, RuleCheck

Verdict = tuple[RuleCheck, Denial | None]


def rule(
    code: DenialCode, passed: bool, *, limit: str, value: str | None, **context: str
) -> Verdict:
    """Return the answer of the rule ``code``; ``context`` holds the figures of its refusal."""
    return RuleCheck(code, limit, value, passed), None if passed else Denial(code, context)
