"""Setting the exits of an open position."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction

from marketdata.domain.facts import Quote
from trading.domain.denials import Denial, DenialCode
from trading.domain.engine import step
from trading.domain.events import ExitsSet
from trading.domain.intents import Wish
from trading.models.books import BookState
from trading.services.accounts import load_state
from trading.services.locks import lock_to_trade
from trading.services.saving import save_positions
from trading.services.tape import Setting, effective_position


@transaction.atomic
def set_exits(
    account_id: uuid.UUID,
    wish: Wish,
    quote: Quote | None,
    *,
    market_at: datetime,
    tape_position: int = 0,
) -> Setting:
    """Make the exits of the open position exactly those of the wish; None takes one away.

    Their side is checked against the quote's mark; ``quote`` None means that the symbol has none (denied).
    """
    account = lock_to_trade(account_id)
    book = account.book
    rules = book.frozen_rules()
    position = effective_position(book, rules, tape_position)
    if book.state in {BookState.HALTED, BookState.ENDED}:
        return Setting(position, Denial(DenialCode.BOOK_NOT_RUNNING, {"state": book.state}))
    if quote is None:
        return Setting(position, Denial(DenialCode.NO_QUOTE, {"symbol": wish.symbol[:32]}))
    outcome = step(
        load_state(account, {quote.symbol: quote.mark}, is_numbered=False),
        ExitsSet(market_at, wish.symbol, wish.exits),
        rules,
    )
    save_positions(account, outcome.positions)
    return Setting(position, outcome.denials[0] if outcome.denials else None)
