"""Walking an account through a bar."""

from __future__ import annotations

from trading.domain.events import BarClosed
from trading.domain.money import exact
from trading.domain.outcome import Outcome
from trading.domain.resting.looks import Liquidation, Look, never, take_look
from trading.domain.resting.triggers import Span
from trading.domain.rules import BookRules
from trading.domain.state import AccountState


@exact
def walk_bar(
    state: AccountState, bar: BarClosed, rules: BookRules, *, liquidate: Liquidation = never
) -> Outcome:
    """Return the account after a bar of one symbol, marked at its close.

    The bar is looked at twice: first its open, where gaps fill, then the whole of it. Liquidation is judged on the mark's candle, at its
    open and at its worst; on the trades' own where there is none. Fills at the open bear its time, all others that of the close.
    """
    if bar.symbol not in state.positions and not any(
        order.symbol == bar.symbol and order.intent.rests for order in state.orders.values()
    ):
        return Outcome(state=state.with_marks({bar.symbol: (bar.mark or bar.candle).close}))
    trades, marks = Span.of_candle(bar.candle), Span.of_candle(bar.mark or bar.candle)
    opening, opening_mark = Span.point(trades.first), Span.point(marks.first)
    gap = Look(
        symbol=bar.symbol,
        at=bar.candle.open_at,
        asks=opening,
        bids=opening,
        marks=opening_mark,
        rules=rules,
        liquidate=liquidate,
    )
    whole = Look(
        symbol=bar.symbol,
        at=bar.closed_at,
        asks=trades,
        bids=trades,
        marks=marks,
        rules=rules,
        liquidate=liquidate,
    )
    opened = take_look(state, gap)
    return opened.then(take_look(opened.state, whole))
