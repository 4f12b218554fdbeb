"""What the rules do to an account beyond its orders, told only where a season has such rules."""

from __future__ import annotations

from collections.abc import Iterator

from agents.domain.context import RulesView
from agents.domain.prompts.numbers import plain


def account_rules(rules: RulesView) -> Iterator[str]:
    """Yield one line a rule; nothing for a season that has none of them."""
    if rules.acts_between_rounds:
        yield f"- Between rounds your account is watched: {_liquidation(rules)}."
    if rules.max_decisions_per_hour is not None:
        yield f"- In at most {rules.max_decisions_per_hour} rounds of an hour you may open or add; closing and reducing are not limited."
    if limits := ", ".join(_drawdown(rules)):
        yield f"- Drawdown is how far equity is below its highest so far: {limits}."
    if rules.margin_model == "cfd" and (rules.overnight_bps_long or rules.overnight_bps_short):
        yield (
            f"- Each night at {rules.overnight_hour_utc:02}:00 UTC a long pays {plain(rules.overnight_bps_long)} bps of its value and a "
            f"short {plain(rules.overnight_bps_short)} bps; a negative rate is received."
        )


def position_margin(rules: RulesView) -> str:
    """Return what the margin of a position is."""
    if rules.acts_between_rounds and rules.margin_model == "cfd":
        return f"{plain(rules.margin_requirement_pct)} % of its value, whatever its leverage"
    return "its value / leverage"


def _liquidation(rules: RulesView) -> str:
    if rules.margin_model == "cfd":
        return (
            f"when equity is below {plain(rules.maintenance_margin_pct)} % of the value of your positions, they are closed, "
            "the largest loss first"
        )
    if rules.margin_mode == "isolated":
        return (
            "a position is liquidated when its own margin and profit no longer exceed its maintenance margin; "
            "it loses no more than its own margin"
        )
    return (
        "when equity no longer exceeds the maintenance margin of your positions, they are liquidated, "
        "the largest loss first"
    )


def _drawdown(rules: RulesView) -> Iterator[str]:
    for limit, words in (
        (rules.drawdown_warn_pct, "you are warned at"),
        (rules.drawdown_stop_pct, "you may open nothing from"),
        (rules.drawdown_close_pct, "everything you hold is closed at"),
    ):
        if limit is not None:
            yield f"{words} {plain(limit)} %"
