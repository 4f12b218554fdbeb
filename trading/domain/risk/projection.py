"""An account as it would be after an order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from marketdata.domain.facts import Quote
from marketdata.domain.instruments import round_money
from trading.domain.drawdown import peak_of
from trading.domain.fees import execution_fee
from trading.domain.fills import Execution, book_execution, closing_part
from trading.domain.intents import OrderIntent
from trading.domain.margin import AccountFigures, account_figures, position_margin
from trading.domain.money import ZERO
from trading.domain.rules import BookRules
from trading.domain.state import AccountState, OrderState, PositionState

# A projected fill happens at no time.
_NO_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """The account before the order and as it would be after its fill at the expected price.

    ``before`` and ``after`` take the symbol's waiting orders of the same side as filled; ``now`` is the account as it is, ``peak`` its
    highest equity so far.
    """

    intent: OrderIntent
    rules: BookRules
    price: Decimal
    mark: Decimal
    held: Decimal
    closing: Decimal
    now: AccountFigures
    before: AccountFigures
    after: AccountFigures
    position: PositionState | None
    result: PositionState | None
    waiting: tuple[OrderState, ...]
    open_symbols: frozenset[str]
    peak: Decimal | None

    @property
    def opening(self) -> Decimal:
        return self.intent.quantity - self.closing

    @property
    def adds(self) -> bool:
        return self.held * self.intent.side.sign > 0

    @property
    def symbols_after(self) -> set[str]:
        """Return the symbols held after the fill, those that waiting orders will open counted in."""
        opening = {order.symbol for order in self.waiting if not order.intent.reduce_only}
        return {*self.open_symbols, *opening}

    @property
    def position_margin(self) -> Decimal:
        """Return the margin of the symbol's position after the fill, with what its waiting orders set aside."""
        own = sum(
            (order.reserved for order in self.waiting if order.symbol == self.intent.symbol), ZERO
        )
        if self.result is None:
            return own
        return own + position_margin(self.result, self.mark, self.rules)

    @property
    def reserve(self) -> Decimal:
        """Return what must be set aside while the order waits."""
        return max(ZERO, self.before.free_margin - self.after.free_margin)

    @property
    def opened_margin(self) -> Decimal:
        """Return the margin of the part that the order opens or adds."""
        if self.result is None:
            return ZERO
        margin = position_margin(self.result, self.mark, self.rules)
        if self.adds and self.position is not None:
            margin -= position_margin(self.position, self.mark, self.rules)
        return margin

    @property
    def free(self) -> Decimal:
        """Return the free margin there is for the opening part: a flip frees the old position's first."""
        return self.before.equity - (self.after.used_margin - self.opened_margin)

    @property
    def needed(self) -> Decimal:
        """Return what the order takes of it: its margin times the buffer, its fee, and what crossing the spread loses."""
        margin = round_money(self.opened_margin * self.rules.margin_buffer)
        return margin + self.before.equity - self.after.equity


def project(
    state: AccountState,
    intent: OrderIntent,
    *,
    quote: Quote,
    rules: BookRules,
    price: Decimal,
) -> Projection:
    """Return the account before and after the order; ``state`` needs the marks of its other open positions."""
    state = state.with_marks({intent.symbol: quote.mark})
    base = _with_same_side_filled(state, intent, rules)
    held = base.quantity(intent.symbol)
    closing = closing_part(held, intent.side, quantity=intent.quantity)
    order = _execution(intent, intent.quantity, price, rules)
    booked = book_execution(base, order).state
    return Projection(
        intent=intent,
        rules=rules,
        price=price,
        mark=quote.mark,
        held=held,
        closing=closing,
        now=account_figures(state, rules),
        before=account_figures(base, rules),
        after=account_figures(booked, rules),
        position=base.positions.get(intent.symbol),
        result=booked.positions.get(intent.symbol),
        waiting=tuple(base.orders.values()),
        open_symbols=frozenset(booked.positions),
        peak=peak_of(state) if rules.watches_drawdown else None,
    )


def _with_same_side_filled(
    state: AccountState, intent: OrderIntent, rules: BookRules
) -> AccountState:
    """Return the account as if the symbol's waiting orders of the same side were filled.

    That is the worst case for margin: what they will close cannot be closed again. Waiting orders of the other side stay what they
    are, a reserve.
    """
    for order in list(state.orders.values()):
        if order.symbol == intent.symbol and order.side is intent.side:
            waiting = _execution(order.intent, order.remaining, order.expected_price, rules)
            state = book_execution(state, waiting).state.without_order(order.client_order_id)
    return state


def _execution(
    intent: OrderIntent, quantity: Decimal, price: Decimal, rules: BookRules
) -> Execution:
    return Execution(
        symbol=intent.symbol,
        side=intent.side,
        quantity=quantity,
        price=price,
        fee=execution_fee(quantity, price, rules=rules),
        leverage=intent.leverage,
        at=_NO_TIME,
    )
