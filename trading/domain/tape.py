"""The tape: what the engine consumed of the market, in order, as text that is hashed.

One canonical JSON list a line:

- ``["quote", at, symbol, bid, ask, mark]``: what the orders of an answer were filled on, and the marks of a snapshot;
- ``["marks", at, {symbol: mark}]``: what accounts were valued at;
- ``["ticks", at, {symbol: [bid, ask, mark]}]``: one instant of the market that was shown to every account;
- ``["bars", since, until, {symbol: [timeframe, count, hash, close]}]``: the candles that closed after ``since`` up to ``until``, shown
  to every account one after another. They are immutable, so they are named by their hash and not copied;
- ``["funding", at, symbol, rate, mark]``: a funding stamp, settled by every account that held the symbol;
- ``["night", at, {symbol: mark}]``: the end of a trading day, for overnight financing;
- ``["state", at, state]``: the book's, where orders that waited ended with its change.

The last five act on accounts. A tick that changes no account is not consumed and leaves no line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from marketdata.domain.canonical import (
    canonical_json,
    canonical_time,
    parse_decimal,
    parse_time,
    sha256_text,
)
from marketdata.domain.facts import Candle, Quote, Timeframe
from marketdata.domain.series_hash import candle_row


class TapeKind(StrEnum):
    QUOTE = "quote"
    MARKS = "marks"
    TICKS = "ticks"
    BARS = "bars"
    FUNDING = "funding"
    NIGHT = "night"
    STATE = "state"


ACTING = frozenset(set(TapeKind) - {TapeKind.QUOTE, TapeKind.MARKS})


@dataclass(frozen=True, slots=True)
class NamedBars:
    """Consecutive candles of one symbol by name: how many, the hash of their rows, and the close of the last."""

    timeframe: Timeframe
    count: int
    hash: str
    close: Decimal

    @classmethod
    def of(cls, timeframe: Timeframe, candles: Sequence[Candle]) -> NamedBars:
        """Return the name of candles, at least one, oldest first."""
        return cls(timeframe, len(candles), bars_hash(candles), candles[-1].close)


def bars_hash(candles: Iterable[Candle]) -> str:
    """Return the sha256 over the candles' canonical rows, one a line."""
    return sha256_text("\n".join(map(candle_row, candles)))


@dataclass(frozen=True, slots=True)
class TapeEvent:
    """One line. Make it with one of the ``of_`` methods.

    ``since`` belongs to bars, ``rate`` to funding, whose mark is in ``prices``.
    """

    kind: TapeKind
    at: datetime
    quote: Quote | None = None
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    bars: Mapping[str, NamedBars] = field(default_factory=dict)
    since: datetime | None = None
    rate: Decimal | None = None
    state: str = ""

    @classmethod
    def of_quote(cls, quote: Quote) -> TapeEvent:
        return cls(TapeKind.QUOTE, quote.at, quote=quote)

    @classmethod
    def of_marks(cls, at: datetime, marks: Mapping[str, Decimal]) -> TapeEvent:
        return cls(TapeKind.MARKS, at, prices=dict(marks))

    @classmethod
    def of_ticks(cls, at: datetime, quotes: Mapping[str, Quote]) -> TapeEvent:
        """Return the event of quotes that are shown to all accounts as of ``at``, whatever times they bear."""
        told = {
            symbol: Quote(symbol, at, quote.bid, quote.ask, quote.mark)
            for symbol, quote in quotes.items()
        }
        return cls(TapeKind.TICKS, at, quotes=told)

    @classmethod
    def of_bars(cls, since: datetime, until: datetime, bars: Mapping[str, NamedBars]) -> TapeEvent:
        return cls(TapeKind.BARS, until, bars=dict(bars), since=since)

    @classmethod
    def of_funding(cls, at: datetime, symbol: str, rate: Decimal, mark: Decimal) -> TapeEvent:
        return cls(TapeKind.FUNDING, at, prices={symbol: mark}, rate=rate)

    @classmethod
    def of_night(cls, at: datetime, marks: Mapping[str, Decimal]) -> TapeEvent:
        return cls(TapeKind.NIGHT, at, prices=dict(marks))

    @classmethod
    def of_state(cls, at: datetime, state: str) -> TapeEvent:
        return cls(TapeKind.STATE, at, state=state)

    @property
    def marks(self) -> Mapping[str, Decimal]:
        """Return the marks that the event tells."""
        if self.quote:
            return {self.quote.symbol: self.quote.mark}
        if self.quotes:
            return {symbol: quote.mark for symbol, quote in self.quotes.items()}
        if self.bars:
            return {symbol: named.close for symbol, named in self.bars.items()}
        return self.prices

    def as_list(self) -> list[Any]:
        head: list[Any] = [self.kind.value, canonical_time(self.at)]
        match self.kind:
            case TapeKind.QUOTE:
                assert self.quote is not None
                return [*head, self.quote.symbol, self.quote.bid, self.quote.ask, self.quote.mark]
            case TapeKind.MARKS | TapeKind.NIGHT:
                return [*head, dict(self.prices)]
            case TapeKind.TICKS:
                told = {name: [q.bid, q.ask, q.mark] for name, q in self.quotes.items()}
                return [*head, told]
            case TapeKind.BARS:
                assert self.since is not None
                names = {
                    symbol: [str(named.timeframe), named.count, named.hash, named.close]
                    for symbol, named in self.bars.items()
                }
                return [self.kind.value, canonical_time(self.since), head[1], names]
            case TapeKind.STATE:
                return [*head, self.state]
            case TapeKind.FUNDING:
                ((symbol, mark),) = self.prices.items()
                return [*head, symbol, self.rate, mark]


def encode_tape(events: Iterable[TapeEvent]) -> str:
    """Return the canonical text, one line an event."""
    return "".join(f"{canonical_json(event.as_list())}\n" for event in events)


def decode_tape(text: str) -> list[TapeEvent]:
    """Return the events written by :func:`encode_tape`; raise ValueError naming the line that is none."""
    return [_decode(number, line) for number, line in enumerate(text.splitlines(), start=1)]


def _decode(number: int, line: str) -> TapeEvent:
    match json.loads(line):
        case ["quote", str(at), str(symbol), str(bid), str(ask), str(mark)]:
            prices = (parse_decimal(price) for price in (bid, ask, mark))
            return TapeEvent.of_quote(Quote(symbol, parse_time(at), *prices))
        case ["marks", str(at), dict(marks)]:
            return TapeEvent.of_marks(
                parse_time(at), {symbol: parse_decimal(mark) for symbol, mark in marks.items()}
            )
        case ["night", str(at), dict(marks)]:
            return TapeEvent.of_night(
                parse_time(at), {symbol: parse_decimal(mark) for symbol, mark in marks.items()}
            )
        case ["ticks", str(at), dict(rows)]:
            moment = parse_time(at)
            return TapeEvent.of_ticks(
                moment,
                {
                    symbol: Quote(symbol, moment, *map(parse_decimal, prices))
                    for symbol, prices in rows.items()
                },
            )
        case ["bars", str(since), str(until), dict(rows)]:
            return TapeEvent.of_bars(
                parse_time(since),
                parse_time(until),
                {
                    symbol: NamedBars(Timeframe(timeframe), count, name, parse_decimal(close))
                    for symbol, (timeframe, count, name, close) in rows.items()
                },
            )
        case ["state", str(at), str(state)]:
            return TapeEvent.of_state(parse_time(at), state)
        case ["funding", str(at), str(symbol), str(rate), str(mark)]:
            return TapeEvent.of_funding(
                parse_time(at), symbol, parse_decimal(rate), parse_decimal(mark)
            )
    raise ValueError(f"tape line {number} is none of {', '.join(TapeKind)}: {line[:80]!r}")
