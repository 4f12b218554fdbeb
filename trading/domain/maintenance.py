"""What must stay covered, and the prices at which it no longer is. For rules that act between rounds."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from marketdata.domain.instruments import round_money
from trading.domain.margin import (
    isolated_wallet,
    margin_basis,
    mark_of,
    notional,
    position_margin,
    unrealised,
)
from trading.domain.money import ZERO, exact
from trading.domain.rules import HUNDRED, BookRules, MarginMode, MarginModel, StopOutBasis
from trading.domain.state import AccountState, PositionState
from trading.domain.tiers import MarginTier


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginHealth:
    """Money that covers positions (``balance``: wallet and unrealised profit) against what must stay covered (``maintenance``).

    ``used_margin`` is what they tie up, open orders left out. An isolated position has a health of its own, all others share the
    account's.
    """

    model: MarginModel
    balance: Decimal
    maintenance: Decimal
    used_margin: Decimal

    @property
    def ratio(self) -> Decimal | None:
        """Return maintenance over balance, not rounded: a ``perpetual`` is liquidated at 1; None when nothing covers it."""
        with_nothing = self.balance <= 0
        return None if with_nothing else _quotient(self.maintenance, self.balance)

    @property
    def level(self) -> Decimal | None:
        """Return balance over used margin, not rounded, the figure that CFD brokers show; None without used margin."""
        return _quotient(self.balance, self.used_margin) if self.used_margin > 0 else None

    @property
    def is_covered(self) -> bool:
        """Return whether positions may stay: a ``perpetual`` needs more than its maintenance margin, a ``cfd`` at least that."""
        if self.model is MarginModel.CFD:
            return self.balance >= self.maintenance
        return self.balance > self.maintenance


@exact
def _quotient(part: Decimal, whole: Decimal) -> Decimal:
    return part / whole


@exact
def maintenance_margin(position: PositionState, mark: Decimal, rules: BookRules) -> Decimal:
    """Return what must stay covered: by the tier of the notional at ``mark``, or ``maintenance_margin_pct`` of a ``cfd``'s basis."""
    if rules.margin_model is MarginModel.CFD:
        basis = margin_basis(position, mark, rules)
        return round_money(basis * rules.maintenance_margin_pct / HUNDRED)
    worth = notional(position.quantity, mark)
    return rules.tier_table(position.symbol).maintenance_margin(worth)


@exact
def account_health(state: AccountState, rules: BookRules) -> MarginHealth:
    """Return the health that all positions share; raise KeyError when one has no mark."""
    return _health(state, tuple(state.positions.values()), state.wallet, rules)


@exact
def position_health(state: AccountState, symbol: str, rules: BookRules) -> MarginHealth:
    """Return the health of one position: its own when it is isolated, else the account's."""
    if rules.margin_mode is not MarginMode.ISOLATED:
        return account_health(state, rules)
    position = state.positions[symbol]
    return _health(state, (position,), isolated_wallet(position), rules)


def _health(
    state: AccountState, positions: tuple[PositionState, ...], wallet: Decimal, rules: BookRules
) -> MarginHealth:
    marks = [(held, mark_of(state, held.symbol)) for held in positions]
    return MarginHealth(
        model=rules.margin_model,
        balance=wallet + sum((unrealised(held, mark) for held, mark in marks), ZERO),
        maintenance=sum((maintenance_margin(held, mark, rules) for held, mark in marks), ZERO),
        used_margin=sum((position_margin(held, mark, rules) for held, mark in marks), ZERO),
    )


@exact
def liquidation_price(state: AccountState, symbol: str, rules: BookRules) -> Decimal | None:
    """Return the mark of ``symbol`` at which its position is no longer covered, all other marks as they are; None when there is none.

    Not rounded (80 digits). The tier is that of the notional at the price itself; since maintenance margin has no jumps, exactly one
    tier fits.

    Raises:
        KeyError: When there is no such position, or another one of a cross account has no mark.
    """
    position = state.positions[symbol]
    backing = _backing(state, position, rules, less_maintenance=True)
    for tier in _tiers(position, rules):
        if _holds_the_price(position, backing, tier):
            return price_in_tier(position, backing, tier)
    return None


@exact
def bankruptcy_price(state: AccountState, symbol: str, rules: BookRules) -> Decimal | None:
    """Return the mark at which nothing is left of what backs the position, not rounded; None when that is not above 0."""
    position = state.positions[symbol]
    backing = _backing(state, position, rules, less_maintenance=False)
    price = price_in_tier(position, backing, _fixed(ZERO))
    return price if price > 0 else None


@exact
def price_in_tier(position: PositionState, backing: Decimal, tier: MarginTier) -> Decimal:
    """Return the price at which ``backing`` and the position's profit equal the maintenance margin by this one tier.

    backing + side * (q * price - cost) = q * price * rate - amount, solved for the price; it may be negative or of another tier's
    notional.

    Source: docs/accounting.md, Liquidation price
    """
    side = 1 if position.is_long else -1
    quantity = abs(position.quantity)
    return (backing + tier.amount - side * position.entry_cost) / (quantity * (tier.rate - side))


def _holds_the_price(position: PositionState, backing: Decimal, tier: MarginTier) -> bool:
    """Return whether cover gives out within the tier, told from its edges: a price that falls on one is not lost to rounding."""
    side = 1 if position.is_long else -1

    def excess(worth: Decimal) -> Decimal:
        return side * (backing - worth * tier.rate + tier.amount) + worth - position.entry_cost

    return excess(tier.floor) < 0 and (tier.cap is None or excess(tier.cap) >= 0)


def _tiers(position: PositionState, rules: BookRules) -> tuple[MarginTier, ...]:
    """Return the tiers that may hold at the liquidation price; the last one has no end, as when a mark is beyond the table."""
    if rules.margin_model is MarginModel.CFD:
        share = rules.maintenance_margin_pct / HUNDRED
        if rules.stop_out_basis is StopOutBasis.OPEN:
            return (_fixed(round_money(position.entry_cost * share)),)
        return (MarginTier(ZERO, None, share, ZERO, 1),)
    *lower, last = rules.tier_table(position.symbol).tiers
    return (*lower, MarginTier(last.floor, None, last.rate, last.amount, last.max_leverage))


def _fixed(maintenance: Decimal) -> MarginTier:
    """Return a tier that asks the same at every price."""
    return MarginTier(ZERO, None, ZERO, -maintenance, 1)


def _backing(
    state: AccountState, position: PositionState, rules: BookRules, *, less_maintenance: bool
) -> Decimal:
    """Return what backs a position beside its own profit: its isolated wallet, or the account with its other positions."""
    if rules.margin_mode is MarginMode.ISOLATED:
        return isolated_wallet(position)
    others = tuple(held for held in state.positions.values() if held.symbol != position.symbol)
    health = _health(state, others, state.wallet, rules)
    return health.balance - health.maintenance if less_maintenance else health.balance
