"""What a step gives back: the new state and everything that must be written down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from trading.domain.denials import Denial, RuleCheck
from trading.domain.intents import OrderIntent, Side
from trading.domain.state import AccountState, PositionState


class House(StrEnum):
    """The book's own accounts: the other side of every posting."""

    CAPITAL = "CAPITAL"
    CLEARING = "CLEARING"
    FEES = "FEES"
    FUNDING = "FUNDING"
    INSURANCE = "INSURANCE"
    ROUNDING = "ROUNDING"


class EntryKind(StrEnum):
    DEPOSIT = "DEPOSIT"
    REALISED = "REALISED"
    FEE = "FEE"
    FUNDING = "FUNDING"
    CLEARANCE = "CLEARANCE"
    INSURANCE = "INSURANCE"
    ROUNDING = "ROUNDING"
    EXTERNAL = "EXTERNAL"


@dataclass(frozen=True, slots=True)
class PostingLine:
    """One signed line of a balanced group; ``house`` None means the account of the step."""

    cause_id: str
    line: int
    kind: EntryKind
    amount: Decimal
    at: datetime
    house: House | None = None


class OrderStatus(StrEnum):
    """Where an order stands; the same codes as in the order table."""

    DENIED = "DENIED"
    SUBMITTING = "SUBMITTING"
    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class FillCause(StrEnum):
    """What made a fill; all but the first have no order of their own until a service writes one."""

    ORDER = "ORDER"
    EXIT = "EXIT"
    LIQUIDATION = "LIQUIDATION"
    DRAWDOWN = "DRAWDOWN"


class ExitName(StrEnum):
    """Which exit of a position acted; the words of its trade ids."""

    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING = "trailing"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """How an order stands after the step; ``expected_price`` is None where no price could be told.

    ``quantity`` is told when the order was made to fit its position, ``denial`` when it was rejected at its trigger;
    ``trail_extreme`` is what a trailing stop has followed to.
    """

    client_order_id: str
    status: OrderStatus
    reserved: Decimal
    filled: Decimal
    expected_price: Decimal | None
    quantity: Decimal | None = None
    trail_extreme: Decimal | None = None
    denial: Denial | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedFill:
    """One execution with the profit of the part that it closed, before the fee.

    A liquidation has no client order id; its ``fee`` is what was taken of it, clearance included. Nor has an exit or a closing for
    drawdown; ``position_seq`` says of which holding each was, ``exit_name`` which exit.
    """

    seq: int
    client_order_id: str
    trade_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    realised: Decimal
    is_maker: bool
    reference_price: Decimal
    at: datetime
    cause: FillCause = FillCause.ORDER
    exit_name: ExitName | None = None
    position_seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``positions`` are the holdings that were touched, closed ones included, oldest first; ``intents`` are orders to be asked next."""

    state: AccountState
    postings: tuple[PostingLine, ...] = ()
    fills: tuple[BookedFill, ...] = ()
    positions: tuple[PositionState, ...] = ()
    orders: tuple[OrderChange, ...] = ()
    intents: tuple[OrderIntent, ...] = ()
    denials: tuple[Denial, ...] = ()
    checks: tuple[RuleCheck, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to write down but marks."""
        told = (self.postings, self.fills, self.positions, self.orders, self.denials)
        return not any(told)

    def then(self, later: Outcome) -> Outcome:
        """Return both as one: the later state, and everything to be written down in order."""
        return replace(
            later,
            postings=self.postings + later.postings,
            fills=self.fills + later.fills,
            positions=self.positions + later.positions,
            orders=self.orders + later.orders,
            intents=self.intents + later.intents,
            denials=self.denials + later.denials,
            checks=self.checks + later.checks,
        )
