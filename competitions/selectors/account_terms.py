"""What happens to an account between rounds and beyond its limits, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from competitions.domain.words import MARGIN_MODES, STOP_OUT_BASES
from competitions.models import Competition
from marketdata.domain.canonical import canonical_decimal
from trading.domain.rules import BookRules

# A table that names no day has this one.
UNDATED = 1


@dataclass(frozen=True, slots=True)
class TierRow:
    """One step of a table: notionals up to ``cap`` (None: any), maintenance margin in percent less ``amount``."""

    cap: Decimal | None
    rate_pct: str
    amount: Decimal
    max_leverage: int


@dataclass(frozen=True, slots=True)
class TierView:
    """The margin tiers of a symbol; ``source`` names the table, with its day where it has one."""

    symbol: str
    source: str
    rows: tuple[TierRow, ...]


def tier_views(rules: BookRules) -> tuple[TierView, ...]:
    """Return the tiers that a season's positions are held against, by symbol; none where they do not count."""
    return tuple(_view(rules, symbol) for symbol in rules.symbols) if rules.has_tiers else ()


def _view(rules: BookRules, symbol: str) -> TierView:
    table = rules.tier_table(symbol)
    if table.version == "instrument":
        source = "one tier, from its highest leverage"
    elif table.as_of.year == UNDATED or table.as_of.isoformat() in table.version:
        source = table.version
    else:
        source = f"{table.version} of {table.as_of}"
    rows = (
        TierRow(tier.cap, canonical_decimal(tier.rate * 100), tier.amount, tier.max_leverage)
        for tier in table.tiers
    )
    return TierView(symbol, source, tuple(rows))


def account_terms(rules: BookRules | Competition) -> Iterator[tuple[str, str]]:
    """Yield name and words of each term; a draft's fields are told like the rules that they will become."""
    if rules.margin_model == "cfd":
        yield "Margin of a CFD", _cfd_margin(rules)
        yield "Overnight", _overnight(rules)
    if rules.acts_between_rounds:
        yield from _liquidation(rules)
    else:
        yield "Liquidation", "none: nothing acts between rounds"
    if rules.max_decisions_per_hour:
        most = rules.max_decisions_per_hour
        yield (
            "Rounds that may open or add",
            f"at most {most} an hour; closing and reducing are not limited",
        )
    if drawdown := "; ".join(_drawdown(rules)):
        yield "Drawdown from the highest equity", drawdown


def _liquidation(rules: BookRules | Competition) -> Iterator[tuple[str, str]]:
    if rules.margin_model == "cfd":
        yield (
            "Stop-out",
            "when equity is below the margin to keep, positions are closed at the market, the largest loss first, until the rest "
            "is covered",
        )
    else:
        yield "What backs a position", MARGIN_MODES[rules.margin_mode]
        covered = (
            "a position whose own margin and profit do not exceed its maintenance margin is taken whole, at the mark"
            if rules.margin_mode == "isolated"
            else "when equity does not exceed the maintenance margin of all positions, they are taken whole, at the mark, the "
            "largest loss first, until the rest is covered"
        )
        yield "Liquidation", covered
        fee = rules.clearance_fee_bps
        yield "Clearance fee", f"{_percent(fee)} of what is liquidated" if fee else "none"
    yield "Debts", "none: what an account cannot pay the insurance pays"


def _cfd_margin(rules: BookRules | Competition) -> str:
    opening = canonical_decimal(rules.margin_requirement_pct)
    keeping = canonical_decimal(rules.maintenance_margin_pct)
    return f"{opening} % to open, {keeping} % to keep, of {STOP_OUT_BASES[rules.stop_out_basis]}"


def _overnight(rules: BookRules | Competition) -> str:
    rates = (("long", rules.overnight_bps_long), ("short", rules.overnight_bps_short))
    told = [
        f"a {side} {'pays' if rate > 0 else 'receives'} {_percent(abs(rate))}"
        for side, rate in rates
        if rate
    ]
    if not told:
        return "nothing is charged"
    return f"{' and '.join(told)} of its value each night at {rules.overnight_hour_utc:02}:00 UTC"


def _drawdown(rules: BookRules | Competition) -> Iterator[str]:
    for limit, words in (
        (rules.drawdown_warn_pct, "a warning at"),
        (rules.drawdown_stop_pct, "nothing is opened from"),
        (rules.drawdown_close_pct, "everything is closed at"),
    ):
        if limit is not None:
            yield f"{words} {canonical_decimal(limit)} %"


def _percent(bps: Decimal) -> str:
    return f"{canonical_decimal(bps / 100)} %"
