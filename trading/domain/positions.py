"""How an execution changes a holding: it opens, adds, reduces, closes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from marketdata.domain.instruments import round_money
from trading.domain.intents import Exits
from trading.domain.state import PositionState


def open_position(
    symbol: str, *, seq: int, is_long: bool, leverage: int, at: datetime, exits: Exits
) -> PositionState:
    """Return an empty holding, ready for its first entry."""
    return PositionState(
        symbol=symbol,
        seq=seq,
        quantity=Decimal(0),
        entry_cost=Decimal(0),
        leverage=leverage,
        opened_at=at,
        is_long=is_long,
        exits=exits,
    )


def enter(
    position: PositionState, quantity: Decimal, price: Decimal, *, fee: Decimal, exits: Exits
) -> PositionState:
    """Return the holding grown by ``quantity`` (unsigned); exits that are given replace its own."""
    cost = round_money(quantity * price)
    updated = _updated_exits(position.exits, exits)
    return replace(
        position,
        quantity=position.quantity + (quantity if position.is_long else -quantity),
        entry_cost=position.entry_cost + cost,
        entered_quantity=position.entered_quantity + quantity,
        entered_cost=position.entered_cost + cost,
        fees=position.fees + fee,
        exits=updated,
        trail_extreme=trail_kept(position, updated),
    )


def trail_kept(position: PositionState, exits: Exits) -> Decimal | None:
    """Return how far the trailing exit has followed under new ``exits``: a changed one starts again."""
    old = position.exits
    same = (old.callback_rate, old.activation_price) == (
        exits.callback_rate,
        exits.activation_price,
    )
    return position.trail_extreme if same else None


def leave(
    position: PositionState, quantity: Decimal, price: Decimal, *, fee: Decimal, at: datetime
) -> tuple[PositionState, Decimal]:
    """Return the holding shrunk by ``quantity`` (unsigned, at most all of it) and the profit of that part.

    The part's entry cost is released as round(cost * closed / quantity); the last close releases what is left, so that no rounding
    stays behind.
    """
    held = abs(position.quantity)
    is_last = quantity == held
    released = (
        position.entry_cost if is_last else round_money(position.entry_cost * quantity / held)
    )
    proceeds = round_money(quantity * price)
    profit = proceeds - released if position.is_long else released - proceeds
    shrunk = replace(
        position,
        quantity=position.quantity - (quantity if position.is_long else -quantity),
        entry_cost=position.entry_cost - released,
        exited_quantity=position.exited_quantity + quantity,
        exited_proceeds=position.exited_proceeds + proceeds,
        realised=position.realised + profit,
        fees=position.fees + fee,
        closed_at=at if is_last else None,
    )
    return shrunk, profit


def _updated_exits(old: Exits, given: Exits) -> Exits:
    return Exits(
        stop_loss=old.stop_loss if given.stop_loss is None else given.stop_loss,
        take_profit=old.take_profit if given.take_profit is None else given.take_profit,
        invalidation=given.invalidation or old.invalidation,
        callback_rate=given.callback_rate if given.trails else old.callback_rate,
        activation_price=given.activation_price if given.trails else old.activation_price,
    )
