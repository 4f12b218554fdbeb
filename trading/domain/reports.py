"""Booking what a venue tells of an order that waits."""

from __future__ import annotations

from dataclasses import replace

from marketdata.domain.instruments import round_money
from trading.domain.denials import Denial
from trading.domain.events import OrderEnded, VenueReport
from trading.domain.fills import Booking, Execution, book_execution, closing_part
from trading.domain.money import ZERO
from trading.domain.outcome import BookedFill, OrderChange, OrderStatus, Outcome
from trading.domain.state import AccountState, OrderState


def book_report(state: AccountState, report: VenueReport) -> Outcome:
    """Return the account after one execution of a waiting order; a quantity of 0 leaves it open, or ends it when it is final.

    Raises:
        ValueError: When the order is not open, or less of it was left.
    """
    order = _open_order(state, report.client_order_id)
    if not ZERO <= report.quantity <= order.remaining:
        raise ValueError(
            f"order {order.client_order_id} has {order.remaining} left, the report tells of {report.quantity}"
        )
    if report.quantity == 0:
        return _after_report(state, order, report)
    execution = Execution(
        symbol=order.symbol,
        side=order.side,
        quantity=report.quantity,
        price=report.price,
        fee=report.fee,
        leverage=order.intent.leverage,
        at=report.at,
        exits=order.intent.exits,
    )
    booking = book_execution(state, execution)
    filled = replace(order, filled=order.filled + report.quantity)
    booked = Outcome(
        state=booking.state,
        postings=booking.postings,
        positions=booking.positions,
        fills=(_booked_fill(order, report, booking),),
    )
    outcome = booked.then(_after_report(booking.state, filled, report))
    return without_orphans(outcome, order.symbol)


def within_position(state: AccountState, report: VenueReport) -> VenueReport:
    """Return the report of a reduce-only order cut to what there is to close; the rest of the order expires.

    For the arena's own venue, which is asked outside any transaction: another order may have closed the position meanwhile. A real
    venue cuts such an order itself, and what it tells is booked as told.
    """
    order = state.orders.get(report.client_order_id)
    if order is None or not order.intent.reduce_only or not report.quantity:
        return report
    held = state.quantity(order.symbol)
    closing = closing_part(held, order.side, quantity=report.quantity)
    if closing == report.quantity:
        return report
    fee = round_money(report.fee * closing / report.quantity)
    return replace(report, quantity=closing, fee=fee, is_final=True)


def without_orphans(outcome: Outcome, symbol: str) -> Outcome:
    """Cancel the resting orders that may only close a position which ``outcome`` has closed."""
    if not any(held.is_closed and held.symbol == symbol for held in outcome.positions):
        return outcome
    for order in outcome.state.orders.values():
        if order.symbol == symbol and order.intent.reduce_only and order.intent.rests:
            outcome = outcome.then(ended(outcome.state, order, OrderStatus.CANCELLED))
    return outcome


def _booked_fill(order: OrderState, report: VenueReport, booking: Booking) -> BookedFill:
    return BookedFill(
        seq=booking.seq,
        client_order_id=order.client_order_id,
        trade_id=report.trade_id,
        symbol=order.symbol,
        side=order.side,
        quantity=report.quantity,
        price=report.price,
        fee=report.fee,
        realised=booking.realised,
        is_maker=report.is_maker,
        reference_price=report.reference_price,
        at=report.at,
    )


def _after_report(state: AccountState, order: OrderState, report: VenueReport) -> Outcome:
    """Return the order as the report leaves it: filled, ended with a rest that expires, or waiting with less set aside."""
    if order.remaining == 0:
        return ended(state, order, OrderStatus.FILLED)
    if report.is_final:
        return ended(state, order, OrderStatus.EXPIRED)
    before = order.remaining + report.quantity
    waiting = replace(order, reserved=round_money(order.reserved * order.remaining / before))
    change = OrderChange(
        client_order_id=order.client_order_id,
        status=_waiting_status(order),
        reserved=waiting.reserved,
        filled=order.filled,
        expected_price=order.expected_price,
    )
    return Outcome(state=state.with_order(waiting), orders=(change,))


def _waiting_status(order: OrderState) -> OrderStatus:
    if order.filled:
        return OrderStatus.PARTIAL
    return OrderStatus.OPEN if order.intent.rests else OrderStatus.SUBMITTING


def ended(
    state: AccountState, order: OrderState, status: OrderStatus, *, denial: Denial | None = None
) -> Outcome:
    """Return the account without the order; ``denial`` tells why a trigger's order was rejected."""
    change = OrderChange(
        client_order_id=order.client_order_id,
        status=status,
        reserved=ZERO,
        filled=order.filled,
        expected_price=order.expected_price,
        denial=denial,
    )
    return Outcome(state=state.without_order(order.client_order_id), orders=(change,))


def end_order(state: AccountState, event: OrderEnded) -> Outcome:
    """Return the account without the order, its reserve free again; raise ValueError when it is not open."""
    order = _open_order(state, event.client_order_id)
    return ended(state, order, OrderStatus(event.status.value))


def _open_order(state: AccountState, client_order_id: str) -> OrderState:
    order = state.orders.get(client_order_id)
    if order is None:
        raise ValueError(f"order {client_order_id} is not open on account {state.ordinal}")
    return order
