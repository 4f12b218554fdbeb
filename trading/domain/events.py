"""Everything that can happen to an account. Times are market time, UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from marketdata.domain.facts import Candle, Quote, Timeframe
from trading.domain.intents import Exits, OrderIntent


class EndStatus(StrEnum):
    """How an order ends without being filled in full."""

    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class Act(StrEnum):
    START = "START"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    STOP = "STOP"
    FINISH = "FINISH"
    EMERGENCY_CLOSE = "EMERGENCY_CLOSE"


@dataclass(frozen=True, slots=True)
class CapitalPaid:
    """The house hands out start capital; at most once an account."""

    at: datetime
    amount: Decimal


@dataclass(frozen=True, slots=True)
class QuoteSeen:
    quote: Quote


@dataclass(frozen=True, slots=True)
class MarksSeen:
    at: datetime
    marks: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class BarClosed:
    """A candle of trades, and the same span of the mark where the venue publishes one."""

    symbol: str
    candle: Candle
    mark: Candle | None = None
    timeframe: Timeframe = Timeframe.M1

    @property
    def closed_at(self) -> datetime:
        return self.candle.open_at + self.timeframe.delta


@dataclass(frozen=True, slots=True)
class FundingSettled:
    """``rate`` is a fraction of notional at ``mark``, paid by longs when it is positive; ``cfd`` books have none.

    ``held`` is the signed quantity of the stamp's instant where that is no longer what is held; None where it is.
    """

    at: datetime
    symbol: str
    rate: Decimal
    mark: Decimal
    held: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OvernightPassed:
    """A trading day ended at ``at``; ``marks`` are those on which financing is counted, by symbol."""

    at: datetime
    marks: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class OrderAsked:
    """``decisions_last_hour`` counts the other turns with an accepted opening order in the hour before; only where a rule asks."""

    at: datetime
    client_order_id: str
    intent: OrderIntent
    quote: Quote | None
    decisions_last_hour: int = 0


@dataclass(frozen=True, slots=True)
class VenueReport:
    """One execution as the venue tells it.

    ``quantity`` is unsigned and of this execution alone; ``fee`` is in the settlement currency, negative for a rebate; ``is_final``
    says that no further execution follows. A ``quantity`` of 0 that is final ends the order unfilled.
    """

    at: datetime
    client_order_id: str
    trade_id: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    reference_price: Decimal
    is_maker: bool = False
    is_final: bool = True
    venue_order_id: str = ""


@dataclass(frozen=True, slots=True)
class OrderEnded:
    at: datetime
    client_order_id: str
    status: EndStatus


@dataclass(frozen=True, slots=True)
class ExitsSet:
    """The exits of an open position become exactly these; None takes one away."""

    at: datetime
    symbol: str
    exits: Exits


@dataclass(frozen=True, slots=True)
class ActTaken:
    at: datetime
    kind: Act


Event = (
    CapitalPaid
    | QuoteSeen
    | MarksSeen
    | BarClosed
    | FundingSettled
    | OvernightPassed
    | OrderAsked
    | VenueReport
    | OrderEnded
    | ExitsSet
    | ActTaken
)
