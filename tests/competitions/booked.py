"""Rows of accounts as the engine would leave them, written straight, for tests of what is shown of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from competitions.models import Competition
from tests.builders import STARTS_AT, baselines
from tests.competitions.played import play
from trading.domain.rules import MarginMode
from trading.domain.tier_tables import known_tables
from trading.models import Account, Fill, Order, Position, Posting
from trading.models.orders import HouseAccount, OrderCause, OrderStatus, PostingKind
from trading.models.positions import PositionStatus

D = Decimal


def after(minutes: int) -> datetime:
    return STARTS_AT + timedelta(minutes=minutes)


def play_exact(slug: str = "small", **rules: Any) -> Competition:
    """Return a season of the baseline cash, one round played, whose book then liquidates by the venue's tiers.

    Positions are isolated unless told otherwise.
    """
    competition = play(slug, rounds=1, roster=baselines("cash"))
    book = competition.opened_book
    frozen = book.frozen_rules()
    tables = tuple(table for table in known_tables().values() if table.symbol in frozen.symbols)
    defaults = {"margin_mode": MarginMode.ISOLATED, "tiers": tables}
    book.rules = replace(frozen, acts_between_rounds=True, **{**defaults, **rules}).to_json()
    book.save(update_fields=["rules"])
    return competition


def account_in(competition: Competition) -> Account:
    return Account.objects.get(book=competition.opened_book, ordinal=1)


def hold(
    account: Account, quantity: str, entry: str, symbol: str = "BTCUSDT", **fields: Any
) -> Position:
    """Write an open position; a negative quantity is a short, leverage 10 unless told otherwise."""
    size = D(quantity)
    cost = abs(size) * D(entry)
    defaults: dict[str, Any] = {
        "seq": account.positions.count() + 1,
        "is_long": size > 0,
        "entry_cost": cost,
        "leverage": 10,
        "entered_quantity": abs(size),
        "entered_cost": cost,
        "opened_at": after(1),
    }
    return Position.objects.create(
        account=account, symbol=symbol, quantity=size, **{**defaults, **fields}
    )


def close(position: Position, price: str, *, at: datetime) -> Position:
    """Write that all of the position was closed at this price."""
    size, worth = abs(position.quantity), abs(position.quantity) * D(price)
    profit = worth - position.entry_cost if position.is_long else position.entry_cost - worth
    position.quantity = position.entry_cost = D(0)
    position.status, position.closed_at = PositionStatus.CLOSED, at
    position.exited_quantity, position.exited_proceeds = size, worth
    position.realised = profit
    position.save()
    return position


def order(account: Account, side: str, quantity: str, **fields: Any) -> Order:
    """Write an order of BTCUSDT that waits, unless told otherwise."""
    number = account.orders.count() + 1
    defaults: dict[str, Any] = {
        "client_order_id": f"a{account.book.code}-t{account.ordinal}-{number}",
        "cause": OrderCause.INSTRUCTION,
        "symbol": "BTCUSDT",
        "leverage": 10,
        "status": OrderStatus.OPEN,
        "expected_price": D(60000),
        "tape_position": 0,
        "market_at": after(1),
        "created_at": after(number),
        "updated_at": after(number),
    }
    return Order.objects.create(
        account=account, side=side, quantity=D(quantity), **{**defaults, **fields}
    )


def fill(placed: Order, price: str, *, at: datetime, **fields: Any) -> Fill:
    """Write that all of the order was filled at this price, later than it was accepted."""
    defaults: dict[str, Any] = {
        "seq": placed.account.fills.count() + 1,
        "trade_id": f"{placed.client_order_id}:1",
        "quantity": placed.quantity,
        "fee": D("0.5"),
        "realised": D(0),
        "reference_price": D(price),
        "tape_position": placed.tape_position + 1,
    }
    return Fill.objects.create(
        order=placed,
        account=placed.account,
        symbol=placed.symbol,
        side=placed.side,
        price=D(price),
        at=at,
        **{**defaults, **fields},
    )


def fund(account: Account, amount: str, *, at: datetime, symbol: str = "BTCUSDT") -> None:
    """Write one funding stamp: received above zero, paid below."""
    cause = f"fund:{account.ordinal}:{symbol}:{at.isoformat()}"
    lines = ((account, "", D(amount)), (None, HouseAccount.FUNDING, -D(amount)))
    for line, (owner, house, money) in enumerate(lines, start=1):
        Posting.objects.create(
            book=account.book,
            cause_id=cause,
            line=line,
            account=owner,
            house=house,
            kind=PostingKind.FUNDING,
            amount=money,
            at=at,
        )
