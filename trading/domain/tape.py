"""The tape: what the engine consumed of the market, in order, as text that is hashed.

One canonical JSON list a line: ``["quote", at, symbol, bid, ask, mark]``, ``["marks", at, {symbol: mark}]``,
``["bars", at, {symbol: hash}]`` (immutable candles are named, not copied).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
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
)
from marketdata.domain.facts import Quote


class TapeKind(StrEnum):
    QUOTE = "quote"
    MARKS = "marks"
    BARS = "bars"


@dataclass(frozen=True, slots=True)
class TapeEvent:
    """One line. Make it with :meth:`of_quote`, :meth:`of_marks` or :meth:`of_bars`."""

    kind: TapeKind
    at: datetime
    quote: Quote | None = None
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    bars: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_quote(cls, quote: Quote) -> TapeEvent:
        return cls(TapeKind.QUOTE, quote.at, quote=quote)

    @classmethod
    def of_marks(cls, at: datetime, marks: Mapping[str, Decimal]) -> TapeEvent:
        return cls(TapeKind.MARKS, at, prices=dict(marks))

    @classmethod
    def of_bars(cls, at: datetime, hashes: Mapping[str, str]) -> TapeEvent:
        """Return the event of candles that closed at ``at``, each named by the hash of its canonical row."""
        return cls(TapeKind.BARS, at, bars=dict(hashes))

    @property
    def marks(self) -> Mapping[str, Decimal]:
        """Return the marks that the event tells."""
        return {self.quote.symbol: self.quote.mark} if self.quote else self.prices

    def as_list(self) -> list[Any]:
        head = [self.kind.value, canonical_time(self.at)]
        if self.quote:
            return [*head, self.quote.symbol, self.quote.bid, self.quote.ask, self.quote.mark]
        return [*head, dict(self.prices if self.kind is TapeKind.MARKS else self.bars)]


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
        case ["bars", str(at), dict(hashes)]:
            return TapeEvent.of_bars(parse_time(at), hashes)
    raise ValueError(f"tape line {number} is no quote, marks or bars: {line[:80]!r}")
