"""How an account stands: what covers each position, how far its liquidation is, where its trailing exit waits."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading.domain.intents import Side
from trading.domain.maintenance import (
    MarginHealth,
    account_health,
    bankruptcy_price,
    liquidation_price,
    maintenance_margin,
    position_health,
)
from trading.domain.margin import (
    AccountFigures,
    account_figures,
    isolated_wallet,
    position_margin,
)
from trading.domain.money import ZERO, exact
from trading.domain.resting.triggers import Trail, trail_trigger
from trading.domain.rules import BookRules, MarginMode
from trading.domain.state import AccountState, PositionState


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionOutlook:
    """Figures of one position at the marks; None where the rules liquidate nothing, or a mark that they need is not known.

    ``margin`` is what it ties up. ``ratio`` (a ``perpetual``'s) and ``level`` (a ``cfd``'s) are those of what covers it: its own when
    it is isolated, else the account's. ``distance`` is how far the mark may go against it before it is liquidated, as a fraction of
    the mark; below zero when the mark is beyond. ``isolated_wallet`` and ``bankruptcy_price`` belong to isolated ones.
    """

    margin: Decimal | None = None
    maintenance: Decimal | None = None
    ratio: Decimal | None = None
    level: Decimal | None = None
    liquidation_price: Decimal | None = None
    distance: Decimal | None = None
    isolated_wallet: Decimal | None = None
    bankruptcy_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOutlook:
    """An account at its marks, by the margins of its rules; ``reserved`` is the part of the used margin that open orders set aside.

    ``health`` is what covers all positions together; None where the rules liquidate nothing or each position covers itself.
    """

    figures: AccountFigures
    reserved: Decimal
    health: MarginHealth | None


@exact
def position_outlook(state: AccountState, symbol: str, rules: BookRules) -> PositionOutlook:
    """Return the figures of one position at the marks in ``state``.

    Raises:
        KeyError: When there is no such position.
    """
    held = state.positions[symbol]
    mark = state.marks.get(symbol)
    if mark is None:
        return PositionOutlook()
    margin = position_margin(held, mark, rules)
    is_isolated = rules.margin_mode is MarginMode.ISOLATED
    if not rules.acts_between_rounds or not (is_isolated or _is_marked(state)):
        return PositionOutlook(margin=margin)
    health = position_health(state, symbol, rules)
    price = liquidation_price(state, symbol, rules)
    # A price that is not above 0 is never reached.
    price = price if price is not None and price > 0 else None
    return PositionOutlook(
        margin=margin,
        maintenance=maintenance_margin(held, mark, rules),
        ratio=health.ratio if rules.has_tiers else None,
        level=None if rules.has_tiers else health.level,
        liquidation_price=price,
        distance=None if price is None else distance_to(price, held, mark),
        isolated_wallet=isolated_wallet(held) if is_isolated else None,
        bankruptcy_price=bankruptcy_price(state, symbol, rules) if is_isolated else None,
    )


@exact
def distance_to(price: Decimal, held: PositionState, mark: Decimal) -> Decimal:
    """Return by which fraction of ``mark`` it may move against the position before it reaches ``price``."""
    away = mark - price if held.is_long else price - mark
    return away / mark


@exact
def account_outlook(state: AccountState, rules: BookRules) -> AccountOutlook | None:
    """Return the account's figures at the marks in ``state``; None when a position has none."""
    if not _is_marked(state):
        return None
    shares = rules.acts_between_rounds and rules.margin_mode is not MarginMode.ISOLATED
    return AccountOutlook(
        figures=account_figures(state, rules),
        reserved=sum((order.reserved for order in state.orders.values()), ZERO),
        health=account_health(state, rules) if shares else None,
    )


def exit_trigger(held: PositionState, rules: BookRules) -> Decimal | None:
    """Return where the trailing exit of a position fires now; None without one, and before it is active."""
    exits = held.exits
    if exits.callback_rate is None:
        return None
    trail = Trail(Side.closing(held.quantity), exits.callback_rate, exits.activation_price)
    return trail_stands_at(trail, held.trail_extreme, held.symbol, rules)


def trail_stands_at(
    trail: Trail, extreme: Decimal | None, symbol: str, rules: BookRules
) -> Decimal | None:
    """Return where a trailing stop that has followed to ``extreme`` fires now; None before it is active."""
    return None if extreme is None else trail_trigger(trail, extreme, rules.spec(symbol))


def _is_marked(state: AccountState) -> bool:
    return state.positions.keys() <= state.marks.keys()
