"""What a position is worth, what it ties up, and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from marketdata.domain.instruments import round_money
from trading.domain.money import ZERO, exact
from trading.domain.state import AccountState, PositionState


def notional(quantity: Decimal, price: Decimal) -> Decimal:
    """Return the unsigned value of a quantity at a price."""
    return round_money(abs(quantity) * price)


def initial_margin(quantity: Decimal, price: Decimal, *, leverage: int) -> Decimal:
    """Return the margin that a quantity ties up: notional over leverage (EXCHANGE formula; the same for ``cfd`` at this stage)."""
    return round_money(notional(quantity, price) / leverage)


def unrealised(position: PositionState, mark: Decimal) -> Decimal:
    """Return the profit that closing at ``mark`` would bring, before fees."""
    worth = notional(position.quantity, mark)
    return worth - position.entry_cost if position.quantity > 0 else position.entry_cost - worth


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
def account_figures(state: AccountState) -> AccountFigures:
    """Return the account's figures at the marks in ``state``; raise KeyError when an open position has none."""
    profit = used = exposure = gross = ZERO
    for symbol, position in state.positions.items():
        mark = mark_of(state, symbol)
        worth = notional(position.quantity, mark)
        profit += unrealised(position, mark)
        used += initial_margin(position.quantity, mark, leverage=position.leverage)
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
