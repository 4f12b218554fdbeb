"""What somebody wants done: a wish as it was uttered, and the sized order made of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """Return +1 for a buy, -1 for a sell: the direction in which it moves a position."""
        return 1 if self is Side.BUY else -1

    @classmethod
    def closing(cls, quantity: Decimal) -> Side:
        """Return the side that closes a position of this signed quantity."""
        return cls.SELL if quantity > 0 else cls.BUY


class OrderKind(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP = "TRAILING_STOP"

    @property
    def waits_for_trigger(self) -> bool:
        """Return whether the order sleeps outside the market until a price wakes it."""
        return self not in {OrderKind.MARKET, OrderKind.LIMIT}


class TimeInForce(StrEnum):
    """How long a limit order waits: until it is cancelled, not at all, or only if it does not trade at once (the venue's ``GTX``)."""

    GTC = "GTC"
    IOC = "IOC"
    POST_ONLY = "POST_ONLY"


class WishAction(StrEnum):
    OPEN_LONG = "OPEN_LONG"
    OPEN_SHORT = "OPEN_SHORT"
    CLOSE = "CLOSE"
    REDUCE = "REDUCE"
    SET_EXITS = "SET_EXITS"


@dataclass(frozen=True, slots=True)
class Exits:
    """The plan for leaving a position: prices in quote currency, and in words what would prove it wrong.

    ``callback_rate`` (percent, as the venue counts it) makes a trailing stop; it follows from ``activation_price`` on, at once
    without one.
    """

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    invalidation: str = ""
    callback_rate: Decimal | None = None
    activation_price: Decimal | None = None

    @property
    def trails(self) -> bool:
        return self.callback_rate is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One wish before it is sized.

    Exactly one of ``quantity`` (base units), ``notional`` (settlement currency) and ``margin_fraction`` (of the free margin, above 0
    up to 1) for an open; ``quantity`` or ``notional`` for a reduce; none for a close. ``leverage`` None takes the open position's,
    else the book's default. ``kind`` and the prices after it are those of the order (see :class:`OrderIntent`), ``exit_*`` those of
    the position's trailing exit.
    """

    action: WishAction
    symbol: str
    quantity: Decimal | None = None
    notional: Decimal | None = None
    margin_fraction: Decimal | None = None
    leverage: int | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    invalidation: str = ""
    kind: OrderKind = OrderKind.MARKET
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    callback_rate: Decimal | None = None
    activation_price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    exit_callback_rate: Decimal | None = None
    exit_activation_price: Decimal | None = None

    @property
    def opens(self) -> bool:
        return self.action in {WishAction.OPEN_LONG, WishAction.OPEN_SHORT}

    @property
    def exits(self) -> Exits:
        return Exits(
            self.stop_loss,
            self.take_profit,
            self.invalidation,
            self.exit_callback_rate,
            self.exit_activation_price,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """A sized order, not yet checked: ``quantity`` in base units, unsigned.

    A limit order needs ``limit_price`` (``time_in_force`` None is GTC), a stop or target ``trigger_price``, a trailing stop
    ``callback_rate`` (percent). ``close_position`` makes a stop or target take all that is held when it triggers, whatever its
    ``quantity``.
    """

    symbol: str
    side: Side
    quantity: Decimal
    leverage: int
    reduce_only: bool = False
    kind: OrderKind = OrderKind.MARKET
    exits: Exits = field(default_factory=Exits)
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    callback_rate: Decimal | None = None
    activation_price: Decimal | None = None
    time_in_force: TimeInForce | None = None
    close_position: bool = False

    @property
    def rests(self) -> bool:
        """Return whether the order may wait in the market or for its trigger."""
        return self.kind is not OrderKind.MARKET

    def unpriced(self) -> OrderIntent:
        """Return the order without its own prices."""
        return replace(
            self, limit_price=None, trigger_price=None, callback_rate=None, activation_price=None
        )
