"""Books with rows behind them, for the tests of the services."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import count
from typing import Any

from marketdata.domain.facts import Quote
from tests.trading.builders import T0, D, make_rules, quote
from trading import services
from trading.domain.intents import Wish, WishAction
from trading.domain.rules import BookRules
from trading.domain.tape import TapeEvent
from trading.models import Account, Book, Order
from trading.models.books import Venue
from trading.models.orders import OrderCause

numbers = count(1)
MARKS = {"XUSDT": D(100), "YUSDT": D(100), "ZUSDT": D(100)}


def make_book(*, accounts: int = 1, capital: str = "10000", rules: BookRules | None = None) -> Book:
    return services.open_book(
        venue=Venue.PAPER,
        rules=rules or make_rules(),
        roster=range(1, accounts + 1),
        capital=D(capital),
        market_at=T0,
        now=T0,
    )


def account_of(book: Book, ordinal: int = 1) -> Account:
    return Account.objects.get(book=book, ordinal=ordinal)


def order_fields(account: Account, **changes: Any) -> dict[str, Any]:
    """Return what an order of a turn is placed with; a new client order id each time."""
    fields = {
        "client_order_id": f"a{account.book.code}-{next(numbers)}-{account.ordinal}-1",
        "cause": OrderCause.INSTRUCTION,
        "turn_key": f"{account.book.code}-1-{account.ordinal}",
        "leg": 1,
        "market_at": T0,
        "tape_position": 0,
        "now": T0,
    }
    return fields | changes


def place(
    account: Account,
    action: str,
    market: Quote | None = None,
    *,
    symbol: str = "XUSDT",
    marks: Mapping[str, Decimal] | None = None,
    slip: dict[str, Any] | None = None,
    **fields: Any,
) -> Order:
    """Place an order through all three steps; other positions are marked at 100 unless told otherwise."""
    wish = Wish(action=WishAction(action), symbol=symbol, **fields)
    return services.place_order(
        account.pk,
        wish,
        market or quote("100", symbol),
        marks=MARKS if marks is None else marks,
        **order_fields(account, **(slip or {})),
    )


def accept(account: Account, action: str, *, symbol: str = "XUSDT", **fields: Any) -> Order:
    """Accept an order and leave it at that, as a crash would."""
    slip = fields.pop("slip", {})
    wish = Wish(action=WishAction(action), symbol=symbol, **fields)
    return services.accept_order(
        account.pk, wish, quote("100", symbol), **order_fields(account, **slip)
    )


def tell(book: Book, *quotes: Quote) -> int:
    """Put quotes on the tape and return the position behind them."""
    events = [TapeEvent.of_quote(told) for told in quotes]
    return services.append_tape(book.pk, events, now=T0) + len(events)
