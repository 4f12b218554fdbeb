"""All accounts of a book at once, as the engine's values."""

from __future__ import annotations

import uuid
from collections import defaultdict
from typing import Any

from trading.domain.intents import Exits, OrderIntent, OrderKind, Side, TimeInForce
from trading.domain.state import AccountState, OrderState, PositionState
from trading.models import Account, Order, Position

# Columns that the engine's values call the same; a row is these and then what its function below takes apart.
HELD = (
    "symbol",
    "seq",
    "quantity",
    "entry_cost",
    "leverage",
    "opened_at",
    "is_long",
    "entered_quantity",
    "entered_cost",
    "exited_quantity",
    "exited_proceeds",
    "realised",
    "fees",
    "funding",
    "trail_extreme",
)
EXITS = ("stop_loss", "take_profit", "invalidation", "callback_rate", "activation_price")
WANTED = (
    "symbol",
    "quantity",
    "leverage",
    "reduce_only",
    "limit_price",
    "trigger_price",
    "callback_rate",
    "activation_price",
    "close_position",
)
CHOSEN = ("side", "kind", "time_in_force")
STANDING = ("client_order_id", "reserved", "expected_price", "trail_extreme", "filled_quantity")
ORDER_EXITS = (*EXITS[:3], "exit_callback_rate", "exit_activation_price")
CHUNK = 2000


def book_states(book_id: uuid.UUID) -> dict[uuid.UUID, AccountState]:
    """Return all accounts of the book by id, in the order of their ordinals. Three queries, no row becomes a model: for thousands.

    Without marks, funding stamps and the numbers of the next holding and fill: to tell what would happen, not to book it.
    """
    held, waiting = open_holdings(book_id), waiting_orders(book_id)
    accounts = Account.objects.filter(book_id=book_id).order_by("ordinal")
    return {
        key: AccountState(
            ordinal=ordinal,
            wallet=wallet,
            positions=held.get(ordinal, {}),
            orders=waiting.get(ordinal, {}),
        )
        for key, ordinal, wallet in accounts.values_list("pk", "ordinal", "wallet")
    }


def open_holdings(book_id: uuid.UUID) -> dict[int, dict[str, PositionState]]:
    """Return the open positions by ordinal and symbol; one query."""
    found: dict[int, dict[str, PositionState]] = defaultdict(dict)
    rows = Position.objects.open().filter(account__book_id=book_id)
    for ordinal, *row in rows.values_list("account__ordinal", *EXITS, *HELD).iterator(CHUNK):
        exits, fields = Exits(*row[: len(EXITS)]), row[len(EXITS) :]
        held = PositionState(exits=exits, **dict(zip(HELD, fields, strict=True)))
        found[ordinal][held.symbol] = held
    return found


def waiting_orders(book_id: uuid.UUID) -> dict[int, dict[str, OrderState]]:
    """Return the orders that have not ended by ordinal and client order id, as they were accepted; one query."""
    found: dict[int, dict[str, OrderState]] = defaultdict(dict)
    rows = Order.objects.unfinished().filter(account__book_id=book_id).in_order_of_acceptance()
    columns = (*ORDER_EXITS, *STANDING, *CHOSEN, *WANTED)
    for ordinal, *row in rows.values_list("account__ordinal", *columns).iterator(CHUNK):
        order = _order(*row)
        found[ordinal][order.client_order_id] = order
    return found


def _order(*row: Any) -> OrderState:
    exits, row = Exits(*row[:5]), row[5:]
    (name, reserved, expected, extreme, filled), row = row[:5], row[5:]
    (side, kind, in_force), row = row[:3], row[3:]
    intent = OrderIntent(
        side=Side(side),
        kind=OrderKind(kind),
        time_in_force=TimeInForce(in_force) if in_force else None,
        exits=exits,
        **dict(zip(WANTED, row, strict=True)),
    )
    return OrderState(
        client_order_id=name,
        intent=intent,
        reserved=reserved,
        expected_price=expected,
        filled=filled,
        trail_extreme=extreme,
    )
