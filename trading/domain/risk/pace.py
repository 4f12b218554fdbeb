"""The rule on how often an account may open: turns with an opening order within an hour of market time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from trading.domain.denials import Denial, DenialCode, RuleCheck
from trading.domain.fills import closing_part
from trading.domain.intents import OrderIntent
from trading.domain.money import ZERO
from trading.domain.risk.checking import OrderCheck
from trading.domain.rules import BookRules
from trading.domain.state import AccountState

PACE_SPAN = timedelta(hours=1)


def with_pace(
    check: OrderCheck, state: AccountState, intent: OrderIntent, rules: BookRules, *, made: int
) -> OrderCheck:
    """Return ``check`` with the rule on decisions per hour added, if the book has it and the order opens or adds.

    ``made`` is in how many other turns of the hour before such an order was accepted. Reductions and exits are never bounded.
    """
    most = rules.max_decisions_per_hour
    if most is None or check.expected_price is None or not _opens(state, intent):
        return check
    limit, found = str(most), str(made)
    answer = RuleCheck(DenialCode.TOO_MANY_DECISIONS, limit, found, passed=made < most)
    figures = {"limit": limit, "made": found, "per": "1h"}
    denial = check.denial
    if not answer.passed:
        denial = denial or Denial(answer.rule, figures)
    return replace(
        check,
        checks=(*check.checks, answer),
        denial=denial,
        reserved=ZERO if denial else check.reserved,
    )


def _opens(state: AccountState, intent: OrderIntent) -> bool:
    if intent.reduce_only:
        return False
    held = state.quantity(intent.symbol)
    return closing_part(held, intent.side, quantity=intent.quantity) < intent.quantity
