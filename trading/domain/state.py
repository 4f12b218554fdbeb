"""One account as the engine sees it: money, holdings, open orders, marks. Values; a step makes new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from trading.domain.intents import Exits, OrderIntent, Side
from trading.domain.money import ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionState:
    """One holding from flat to flat.

    ``quantity`` is signed (0 once closed); ``entry_cost`` is what the open part cost, unsigned. ``entered_*`` and ``exited_*`` are
    unsigned sums over the whole holding. ``realised`` is before fees and funding. ``trail_extreme`` is the best price that the
    trailing exit has followed to, None before it is active.
    """

    symbol: str
    seq: int
    quantity: Decimal
    entry_cost: Decimal
    leverage: int
    opened_at: datetime
    is_long: bool
    entered_quantity: Decimal = ZERO
    entered_cost: Decimal = ZERO
    exited_quantity: Decimal = ZERO
    exited_proceeds: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    exits: Exits = field(default_factory=Exits)
    trail_extreme: Decimal | None = None
    closed_at: datetime | None = None

    @property
    def is_closed(self) -> bool:
        return self.quantity == 0

    @property
    def net_result(self) -> Decimal:
        """Return realised profit after fees and funding."""
        return self.realised - self.fees + self.funding


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """An accepted order that may still be filled; ``reserved`` is the money set aside for its unfilled part.

    ``trail_extreme`` is the best price that a trailing stop has followed to, None before it is active.
    """

    client_order_id: str
    intent: OrderIntent
    reserved: Decimal
    expected_price: Decimal
    filled: Decimal = ZERO
    trail_extreme: Decimal | None = None

    @property
    def symbol(self) -> str:
        return self.intent.symbol

    @property
    def side(self) -> Side:
        return self.intent.side

    @property
    def remaining(self) -> Decimal:
        return self.intent.quantity - self.filled


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """An account between two events.

    ``positions`` by symbol holds the open ones only, ``orders`` by client order id those that have not ended, in the order in which
    they were accepted. ``next_position`` and ``next_fill`` are the numbers that the next of each gets, from 1. ``funded_at`` is the
    last funding stamp settled by symbol. ``peak`` is the highest equity recorded, None where no rule asks for it.
    """

    ordinal: int
    wallet: Decimal = ZERO
    positions: Mapping[str, PositionState] = field(default_factory=dict)
    orders: Mapping[str, OrderState] = field(default_factory=dict)
    marks: Mapping[str, Decimal] = field(default_factory=dict)
    next_position: int = 1
    next_fill: int = 1
    funded_at: Mapping[str, datetime] = field(default_factory=dict)
    peak: Decimal | None = None

    def with_marks(self, marks: Mapping[str, Decimal]) -> AccountState:
        return replace(self, marks={**self.marks, **marks})

    def with_position(self, position: PositionState) -> AccountState:
        """Return the state with this holding put in, or taken out when it is closed."""
        others = {
            symbol: held for symbol, held in self.positions.items() if symbol != position.symbol
        }
        if not position.is_closed:
            others[position.symbol] = position
        return replace(self, positions=others)

    def with_order(self, order: OrderState) -> AccountState:
        return replace(self, orders={**self.orders, order.client_order_id: order})

    def without_order(self, client_order_id: str) -> AccountState:
        kept = {key: order for key, order in self.orders.items() if key != client_order_id}
        return replace(self, orders=kept)

    def without_sleepers(self) -> AccountState:
        """Return the state without orders that wait for a trigger: they tie up nothing, and are checked when it comes."""
        awake = {
            key: order
            for key, order in self.orders.items()
            if not order.intent.kind.waits_for_trigger
        }
        return replace(self, orders=awake)

    def quantity(self, symbol: str) -> Decimal:
        """Return the signed quantity held of ``symbol``, 0 when flat."""
        held = self.positions.get(symbol)
        return held.quantity if held else ZERO
