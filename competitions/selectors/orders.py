"""Orders that wait, those that were refused, and what became of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from competitions.selectors.causes import KINDS, LIVES
from competitions.selectors.checks import figures_shown
from competitions.selectors.exits import exits_in_words, trail_in_words
from competitions.selectors.seasons import Entrant, Grid, Season
from competitions.selectors.shown import shown
from competitions.templatetags.arena_format import on_grid
from trading.domain.intents import Side
from trading.domain.outlook import trail_stands_at
from trading.domain.resting.triggers import Trail
from trading.models import Fill, Order
from trading.models.orders import OrderStatus

DENIALS_LENGTH = 12


@dataclass(frozen=True, slots=True)
class OrderView:
    """One order as it stands; ``kind`` and ``life`` in words, ``trail_trigger`` is where a trailing stop fires now.

    ``refusal`` is the code of a refused order, ``figures`` its figures in words. ``number`` is the round that it was asked in, None
    for an order that no turn made. ``placed_at`` is market time.
    """

    row: Order
    entrant: Entrant
    grid: Grid | None
    base: str
    kind: str
    life: str
    trail_trigger: Decimal | None
    refusal: str
    figures: str
    number: int | None

    @property
    def placed_at(self) -> datetime:
        return self.row.market_at

    @property
    def trail(self) -> str:
        """Return how a trailing stop follows, in words; empty for other orders."""
        rate = self.row.callback_rate
        if rate is None:
            return ""
        return trail_in_words(self.grid, rate, self.row.activation_price, self.trail_trigger)

    @property
    def exits(self) -> tuple[str, ...]:
        """Return the exits that the position gets with the first fill, in words."""
        return exits_in_words(
            self.grid,
            stop_loss=self.row.stop_loss,
            take_profit=self.row.take_profit,
            callback_rate=self.row.exit_callback_rate,
            activation_price=self.row.exit_activation_price,
        )

    @property
    def is_refused_at_trigger(self) -> bool:
        return self.row.status == OrderStatus.REJECTED


def open_orders_of(season: Season, entrant: Entrant) -> tuple[OrderView, ...]:
    """Return the participant's orders that have not ended, in the order in which they were accepted. Queries once."""
    rows = Order.objects.unfinished().filter(account=entrant.account_id)
    return tuple(order_view(season, row) for row in rows.in_order_of_acceptance())


def denials_of(
    season: Season, entrant: Entrant, *, limit: int = DENIALS_LENGTH
) -> tuple[OrderView, ...]:
    """Return the latest orders that were refused, at once or at their trigger, newest first. Queries once."""
    rows = Order.objects.filter(
        account=entrant.account_id, status__in=[OrderStatus.DENIED, OrderStatus.REJECTED]
    )
    return tuple(order_view(season, row) for row in rows.order_by("-updated_at", "-leg")[:limit])


def order_view(season: Season, row: Order) -> OrderView:
    """Return an order as it is shown."""
    grid = season.grid(row.symbol)
    return OrderView(
        row=row,
        entrant=season.by_account[row.account_id],
        grid=grid,
        base=season.base(row.symbol),
        kind=KINDS[row.kind],
        life=LIVES.get(row.time_in_force, ""),
        trail_trigger=_trail_trigger(season, row),
        refusal=shown(row.denial_code),
        figures=figures_shown(row.denial_code, row.denial_context, grid),
        number=_round_of(row.turn_key),
    )


def _trail_trigger(season: Season, row: Order) -> Decimal | None:
    rules = season.rules
    if rules is None or row.callback_rate is None or rules.find_spec(row.symbol) is None:
        return None
    trail = Trail(Side(row.side), row.callback_rate, row.activation_price)
    return trail_stands_at(trail, row.trail_extreme, row.symbol, rules)


def _round_of(turn_key: str) -> int | None:
    """Return the round of a turn's key ({book code}-{round}-{ordinal}); None for none."""
    parts = turn_key.split("-")
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else None


_FATES: Mapping[str, str] = {
    OrderStatus.CANCELLED: "cancelled",
    OrderStatus.EXPIRED: "expired",
    OrderStatus.REJECTED: "rejected",
    OrderStatus.UNKNOWN: "outcome unknown",
}


def fate_of(order: Order, fills: Iterable[Fill], grid: Grid | None) -> str:
    """Return what became of an order that was left waiting: waits at 60,000.0; filled at 60,000.0; cancelled."""
    quantity, price = filled(fills)
    tick, step = (grid.tick, grid.step) if grid else (None, None)
    part = ""
    if price is not None:
        part = f"{on_grid(quantity, step)} of {on_grid(order.quantity, step)} filled at {on_grid(price, tick)}"
    if order.status == OrderStatus.FILLED:
        return "filled" if price is None else f"filled at {on_grid(price, tick)}"
    ended = _FATES.get(order.status)
    if ended is not None:
        return f"{ended}, {part}" if part else ended
    level = order.limit_price or order.trigger_price
    waits = f"waits at {on_grid(level, tick)}" if level else "waits"
    return f"{waits}, {part}" if part else waits


def filled(fills: Iterable[Fill]) -> tuple[Decimal | None, Decimal | None]:
    """Return quantity and average price of fills, None without any."""
    quantity = spent = Decimal(0)
    for fill in fills:
        quantity += fill.quantity
        spent += fill.quantity * fill.price
    return (quantity, spent / quantity) if quantity else (None, None)
