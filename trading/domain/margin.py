"""What a position is worth, what it ties up, and what is left.

Functions that are given no rules, or rules that do not act between rounds, count the margin of every model as notional over leverage.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from marketdata.domain.instruments import round_money
from trading.domain.money import ZERO, exact
from trading.domain.rules import HUNDRED, BookRules, MarginMode, MarginModel, StopOutBasis
from trading.domain.state import AccountState, PositionState


def notional(quantity: Decimal, price: Decimal) -> Decimal:
    """Return the unsigned value of a quantity at a price."""
    return round_money(abs(quantity) * price)


def initial_margin(quantity: Decimal, price: Decimal, *, leverage: int) -> Decimal:
    """Return the margin that a quantity ties up: notional over leverage."""
    return round_money(notional(quantity, price) / leverage)


def unrealised(position: PositionState, mark: Decimal) -> Decimal:
    """Return the profit that closing at ``mark`` would bring, before fees."""
    worth = notional(position.quantity, mark)
    return worth - position.entry_cost if position.quantity > 0 else position.entry_cost - worth


def isolated_wallet(position: PositionState) -> Decimal:
    """Return the money put up for an isolated position: what its open part cost over its leverage.

    Fees and funding are paid from the account's wallet, so they leave it alone; a partial close gives its share back.
    """
    return round_money(position.entry_cost / position.leverage)


def margin_basis(position: PositionState, mark: Decimal, rules: BookRules) -> Decimal:
    """Return the value on which a ``cfd`` position's margins are counted: its entry cost, or its notional at ``mark``."""
    if rules.stop_out_basis is StopOutBasis.OPEN:
        return position.entry_cost
    return notional(position.quantity, mark)


def position_margin(
    position: PositionState, mark: Decimal, rules: BookRules | None = None
) -> Decimal:
    """Return what a position ties up of the equity.

    Cross: its initial margin at ``mark``. Isolated: its wallet and its unrealised profit, for neither is free; below zero where the
    loss is larger than its wallet. ``cfd``: ``margin_requirement_pct`` of its basis, whatever its leverage.
    """
    if rules is not None and rules.acts_between_rounds:
        if rules.margin_model is MarginModel.CFD:
            basis = margin_basis(position, mark, rules)
            return round_money(basis * rules.margin_requirement_pct / HUNDRED)
        if rules.margin_mode is MarginMode.ISOLATED:
            return isolated_wallet(position) + unrealised(position, mark)
    return initial_margin(position.quantity, mark, leverage=position.leverage)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFigures:
    """An account at its marks. ``exposure`` is signed notional, ``gross_exposure`` unsigned; ``used_margin`` has open orders in it."""

    wallet: Decimal
    unrealised: Decimal
    used_margin: Decimal
    exposure: Decimal
    gross_exposure: Decimal

    @property
    def equity(self) -> Decimal:
        return self.wallet + self.unrealised

    @property
    def free_margin(self) -> Decimal:
        """Return equity less used margin; negative after losses."""
        return self.equity - self.used_margin


def mark_of(state: AccountState, symbol: str) -> Decimal:
    """Return the mark of a symbol; raise KeyError naming it when the state has none."""
    try:
        return state.marks[symbol]
    except KeyError:
        raise KeyError(
            f"a mark of {symbol} is wanted, found marks of {', '.join(sorted(state.marks)) or 'nothing'}"
        ) from None


@exact
def account_figures(state: AccountState, rules: BookRules | None = None) -> AccountFigures:
    """Return the account's figures at the marks in ``state``; raise KeyError when an open position has none."""
    profit = used = exposure = gross = ZERO
    for symbol, position in state.positions.items():
        mark = mark_of(state, symbol)
        worth = notional(position.quantity, mark)
        profit += unrealised(position, mark)
        used += position_margin(position, mark, rules)
        exposure += worth if position.quantity > 0 else -worth
        gross += worth
    used += sum((order.reserved for order in state.orders.values()), ZERO)
    return AccountFigures(
        wallet=state.wallet,
        unrealised=profit,
        used_margin=used,
        exposure=exposure,
        gross_exposure=gross,
    )
