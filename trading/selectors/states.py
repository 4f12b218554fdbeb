"""Stored rows as the engine's values."""

from __future__ import annotations

from trading.domain.intents import Exits
from trading.domain.state import OrderState, PositionState
from trading.models import Order, Position


def position_state(row: Position) -> PositionState:
    """Return a stored holding as the engine's value."""
    return PositionState(
        symbol=row.symbol,
        seq=row.seq,
        quantity=row.quantity,
        entry_cost=row.entry_cost,
        leverage=row.leverage,
        opened_at=row.opened_at,
        is_long=row.is_long,
        entered_quantity=row.entered_quantity,
        entered_cost=row.entered_cost,
        exited_quantity=row.exited_quantity,
        exited_proceeds=row.exited_proceeds,
        realised=row.realised,
        fees=row.fees,
        funding=row.funding,
        exits=Exits(
            row.stop_loss,
            row.take_profit,
            row.invalidation,
            row.callback_rate,
            row.activation_price,
        ),
        trail_extreme=row.trail_extreme,
        closed_at=row.closed_at,
    )


def order_state(row: Order) -> OrderState:
    """Return a stored order that has not ended as the engine's value."""
    assert row.expected_price is not None, f"accepted order {row} has no expected price"
    return OrderState(
        client_order_id=row.client_order_id,
        intent=row.intent(),
        reserved=row.reserved,
        expected_price=row.expected_price,
        filled=row.filled_quantity,
        trail_extreme=row.trail_extreme,
    )
