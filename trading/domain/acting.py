"""What a stretch of the market does to an account between its turns.

Source: docs/accounting.md#between-rounds
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from marketdata.domain.facts import Candle, Quote, Timeframe
from trading.domain.engine import step
from trading.domain.events import BarClosed, FundingSettled, MarksSeen, OvernightPassed
from trading.domain.funding import is_settled
from trading.domain.liquidation import liquidate
from trading.domain.money import exact
from trading.domain.outcome import Outcome
from trading.domain.resting.quotes import walk_quote
from trading.domain.rules import BookRules
from trading.domain.state import AccountState
from trading.domain.tape import NamedBars, TapeEvent


@dataclass(frozen=True, slots=True)
class Ticks:
    """Quotes of several symbols, all taken as of one instant."""

    at: datetime
    quotes: Mapping[str, Quote]

    def as_event(self) -> TapeEvent:
        return TapeEvent.of_ticks(self.at, self.quotes)


@dataclass(frozen=True, slots=True)
class Bars:
    """By symbol, the candles that closed after ``since`` up to ``until``, oldest first; symbols without any are left out.

    A span is shown to every account as a whole: nobody trades within it.
    """

    since: datetime
    until: datetime
    candles: Mapping[str, tuple[Timeframe, Sequence[Candle]]] = field(default_factory=dict)

    def as_event(self) -> TapeEvent:
        named = {
            symbol: NamedBars.of(timeframe, candles)
            for symbol, (timeframe, candles) in self.candles.items()
        }
        return TapeEvent.of_bars(self.since, self.until, named)

    @property
    def at(self) -> datetime:
        """Return when the last of it is known."""
        return self.until

    def closes(self) -> dict[str, Decimal]:
        """Return the last close of each symbol."""
        return {symbol: candles[-1].close for symbol, (_, candles) in self.candles.items()}


@dataclass(frozen=True, slots=True)
class Funding:
    """A funding stamp of one symbol; see :class:`trading.domain.events.FundingSettled`."""

    at: datetime
    symbol: str
    rate: Decimal
    mark: Decimal

    def as_event(self) -> TapeEvent:
        return TapeEvent.of_funding(self.at, self.symbol, self.rate, self.mark)


@dataclass(frozen=True, slots=True)
class Night:
    """The end of a trading day; see :class:`trading.domain.events.OvernightPassed`."""

    at: datetime
    marks: Mapping[str, Decimal]

    def as_event(self) -> TapeEvent:
        return TapeEvent.of_night(self.at, self.marks)


Fact = Ticks | Bars | Funding | Night


@exact
def act_on(
    state: AccountState, fact: Fact, rules: BookRules, *, held: Decimal | None = None
) -> Outcome:
    """Return what ``fact`` does to the account: funding, liquidation, stops, targets, limit orders, trailing stops.

    ``held`` is the signed quantity at a funding stamp where it is no longer what is held now.

    Raises:
        KeyError: When an open position has no mark.
    """
    match fact:
        case Ticks():
            return _on_ticks(state, fact, rules)
        case Bars():
            return _on_bars(state, fact, rules)
        case Funding():
            if is_settled(state, fact.symbol, fact.at):
                # Its mark is of the past too: nothing may be judged on it.
                return Outcome(state=state)
            settled = FundingSettled(fact.at, fact.symbol, fact.rate, fact.mark, held)
            outcome = step(state.with_marks({fact.symbol: fact.mark}), settled, rules)
            return outcome.then(_covered(outcome.state, fact.at, rules))
        case Night():
            passed = OvernightPassed(fact.at, fact.marks)
            outcome = step(state.with_marks(fact.marks), passed, rules)
            return outcome.then(_covered(outcome.state, fact.at, rules))


def symbols_at_stake(state: AccountState) -> set[str]:
    """Return the symbols whose market can change the account: those it holds, and those of orders that rest."""
    resting = {order.symbol for order in state.orders.values() if order.intent.rests}
    return resting | set(state.positions)


def _on_ticks(state: AccountState, ticks: Ticks, rules: BookRules) -> Outcome:
    """Mark all symbols first: cover is judged by the whole account at one instant, and once more after what that set off.

    A stop's loss and fee may leave a flat wallet below zero, which the insurance makes good.
    """
    marks = {symbol: quote.mark for symbol, quote in ticks.quotes.items()}
    outcome = step(state, MarksSeen(ticks.at, marks), rules)
    if not rules.resting_orders:
        return outcome
    for symbol in sorted(symbols_at_stake(outcome.state) & ticks.quotes.keys()):
        outcome = outcome.then(
            walk_quote(
                outcome.state,
                ticks.quotes[symbol],
                rules,
                liquidate=lambda now, at: (
                    liquidate(now, rules, at=at) if rules.acts_between_rounds else None
                ),
            )
        )
    return outcome.then(_covered(outcome.state, ticks.at, rules)) if outcome.fills else outcome


def _on_bars(state: AccountState, bars: Bars, rules: BookRules) -> Outcome:
    """Walk the bars by their close, those of one instant by symbol, and look at the whole account after each instant."""
    outcome = Outcome(state=state)
    at_stake = symbols_at_stake(state)
    for closed_at, group in groupby(_in_order(bars, at_stake), key=lambda bar: bar.closed_at):
        for bar in group:
            outcome = outcome.then(step(outcome.state, bar, rules))
        outcome = outcome.then(_covered(outcome.state, closed_at, rules))
    marked = outcome.state.with_marks(bars.closes())
    return outcome.then(Outcome(state=marked))


def _in_order(bars: Bars, symbols: set[str]) -> Iterator[BarClosed]:
    told = [
        BarClosed(symbol, candle, timeframe=timeframe)
        for symbol, (timeframe, candles) in bars.candles.items()
        if symbol in symbols
        for candle in candles
    ]
    return iter(sorted(told, key=lambda bar: (bar.closed_at, bar.symbol)))


def _covered(state: AccountState, at: datetime, rules: BookRules) -> Outcome:
    """Look at the account as it stands: what it no longer covers goes."""
    return step(state, MarksSeen(at, {}), rules)
