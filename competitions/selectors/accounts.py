"""One account as it stands at the marks of the last close."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from competitions.selectors.holdings import margin_mode_of
from competitions.selectors.market import ClosingMarks
from competitions.selectors.seasons import Entrant, Season
from trading.domain.outlook import account_outlook
from trading.domain.state import AccountState
from trading.models import Account, Order, Position, Standing
from trading.selectors.states import order_state, position_state


@dataclass(frozen=True, slots=True)
class AccountView:
    """Money by the margins of the season's rules; ``mode`` as of :class:`PositionView`.

    ``maintenance``, ``ratio`` (perpetual) and ``level`` (cfd) are those of all positions together; None where nothing is liquidated,
    and where each position covers itself.
    """

    mode: str
    equity: Decimal
    wallet: Decimal
    unrealised: Decimal
    used_margin: Decimal
    reserved: Decimal
    free_margin: Decimal
    maintenance: Decimal | None
    ratio: Decimal | None
    level: Decimal | None
    open_orders: int


def account_of(season: Season, entrant: Entrant, marks: ClosingMarks) -> AccountView | None:
    """Return the entrant's account with what has happened since the last close, too; None before the start, and without marks.

    Queries three times.
    """
    rules = season.rules
    if rules is None or entrant.account_id is None:
        return None
    account = Account.objects.get(pk=entrant.account_id)
    positions = Position.objects.open().filter(account=account)
    orders = Order.objects.unfinished().filter(account=account).in_order_of_acceptance()
    state = AccountState(
        ordinal=account.ordinal,
        wallet=account.wallet,
        positions={row.symbol: position_state(row) for row in positions},
        orders={row.client_order_id: order_state(row) for row in orders},
        marks=marks.marks,
    )
    seen = account_outlook(state, rules)
    if seen is None:
        return None
    figures, health = seen.figures, seen.health
    return AccountView(
        mode=margin_mode_of(rules),
        equity=figures.equity,
        wallet=figures.wallet,
        unrealised=figures.unrealised,
        used_margin=figures.used_margin,
        reserved=seen.reserved,
        free_margin=figures.free_margin,
        maintenance=health.maintenance if health else None,
        ratio=health.ratio if health and rules.has_tiers else None,
        level=health.level if health and not rules.has_tiers else None,
        open_orders=len(state.orders),
    )


def drawdown_of(standing: Standing) -> Decimal:
    """Return how far the equity of the last close is below its peak, as a fraction of it."""
    return max(Decimal(0), 1 - standing.equity / standing.peak) if standing.peak else Decimal(0)
