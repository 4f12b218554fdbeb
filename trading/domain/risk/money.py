"""Rules on margin: what is free, and what share of the equity may be tied up."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from trading.domain.denials import Denial, DenialCode, RuleCheck
from trading.domain.drawdown import drawdown_pct, has_fallen
from trading.domain.money import figure, money_figure, round_ratio
from trading.domain.risk.projection import Projection
from trading.domain.risk.verdicts import Verdict, rule
from trading.domain.rules import HUNDRED


def margin_rules(view: Projection) -> Iterator[Verdict]:
    """Yield the rules on money; an order that only reduces is not asked."""
    if not view.opening:
        return
    free, needed = view.free, view.needed
    if needed <= free and view.reserve > view.now.free_margin:
        # Only with other orders waiting: what they may free is not free yet.
        free, needed = view.now.free_margin, view.reserve
    yield rule(
        DenialCode.INSUFFICIENT_MARGIN,
        needed <= free,
        limit=money_figure(free),
        value=money_figure(needed),
        free=money_figure(free),
        needed=money_figure(needed),
    )
    yield _percentage_rule(
        DenialCode.POSITION_SHARE_ABOVE_LIMIT,
        view.position_margin,
        view.after.equity,
        most=view.rules.max_position_size_pct,
        name="share",
    )
    yield _percentage_rule(
        DenialCode.MARGIN_USAGE_ABOVE_LIMIT,
        view.after.used_margin,
        view.after.equity,
        most=view.rules.max_margin_usage_pct,
        name="usage",
    )
    limit = view.rules.drawdown_limit_pct
    if limit is not None and view.peak is not None:
        yield _drawdown_rule(view.peak, view.now.equity, limit)


def _drawdown_rule(peak: Decimal, equity: Decimal, limit: Decimal) -> Verdict:
    found, most = figure(drawdown_pct(peak, equity)), figure(limit)
    passed = not has_fallen(peak, equity, limit_pct=limit)
    check = RuleCheck(DenialCode.DRAWDOWN_ABOVE_LIMIT, most, found, passed)
    figures = {"drawdown": found, "limit": most, "peak": money_figure(peak)}
    return check, None if passed else Denial(check.rule, figures)


def _percentage_rule(
    code: DenialCode, part: Decimal, whole: Decimal, *, most: Decimal, name: str
) -> Verdict:
    limit = figure(most)
    if whole <= 0:
        return rule(code, False, limit=limit, value=None, equity=money_figure(whole), max=limit)
    found = figure(round_ratio(part / whole * HUNDRED))
    return rule(
        code, part * HUNDRED <= most * whole, limit=limit, value=found, max=limit, **{name: found}
    )
