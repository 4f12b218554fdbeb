"""How far an account has fallen from its highest equity, and what its book does about that."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from trading.domain.margin import account_figures
from trading.domain.money import ZERO, exact, round_ratio
from trading.domain.rules import HUNDRED, BookRules
from trading.domain.state import AccountState


class DrawdownTier(StrEnum):
    """What a fall has come to: a warning, no new exposure, or the closing of all that is held."""

    NONE = "NONE"
    WARN = "WARN"
    STOP = "STOP"
    CLOSE = "CLOSE"


@exact
def drawdown_pct(peak: Decimal, equity: Decimal) -> Decimal:
    """Return (peak - equity) / peak in percent with 10 decimals; 0 at a new high, above 100 when more is lost than there was.

    Source: docs/accounting.md, Drawdown
    """
    return round_ratio(max(ZERO, peak - equity) / peak * HUNDRED)


@exact
def has_fallen(peak: Decimal, equity: Decimal, *, limit_pct: Decimal) -> bool:
    """Return whether the drawdown has reached the limit, without rounding."""
    return (peak - equity) * HUNDRED >= limit_pct * peak


def peak_of(state: AccountState) -> Decimal:
    """Return the account's highest equity; raise ValueError when the state was loaded without it."""
    if state.peak is None:
        raise ValueError(f"account {state.ordinal} needs its peak for a drawdown rule, found none")
    return state.peak


def drawdown_tier(state: AccountState, rules: BookRules) -> DrawdownTier:
    """Return the highest tier that the account's drawdown at its marks has reached; NONE in a book without such rules.

    Raises:
        ValueError: When the book has drawdown rules and the state no peak.
        KeyError: When an open position has no mark.
    """
    if not rules.watches_drawdown:
        return DrawdownTier.NONE
    peak, equity = peak_of(state), account_figures(state, rules).equity
    limits = (
        (DrawdownTier.CLOSE, rules.drawdown_close_pct),
        (DrawdownTier.STOP, rules.drawdown_stop_pct),
        (DrawdownTier.WARN, rules.drawdown_warn_pct),
    )
    for tier, limit in limits:
        if limit is not None and has_fallen(peak, equity, limit_pct=limit):
            return tier
    return DrawdownTier.NONE
