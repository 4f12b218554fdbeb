"""What a step gives back: the new state and everything that must be written down."""

from __future__ import annotations

from dataclasses import dataclass
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
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """How an order stands after the step; ``expected_price`` is None where no price could be told."""

    client_order_id: str
    status: OrderStatus
    reserved: Decimal
    filled: Decimal
    expected_price: Decimal | None


class FillCause(StrEnum):
    """Why something was executed: an order was, or the account's cover gave out (no order was asked then)."""

    ORDER = "ORDER"
    LIQUIDATION = "LIQUIDATION"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedFill:
    """One execution with the profit of the part that it closed, before the fee.

    A liquidation has no client order id; its ``fee`` is what was taken of it, clearance included, and its trade id names the position.
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
