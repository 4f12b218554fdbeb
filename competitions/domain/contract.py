"""The contract of a season: everything that is frozen at its start, as one canonical text with one hash.

It holds no name, slug, id or address, so that the same season set up twice, in two arenas, has the same hash.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from marketdata.domain.canonical import canonical_json, canonical_time, parse_time, sha256_text
from trading.domain.rules import BookRules

VERSION = 1


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """One participant as frozen; ``template`` is the hash of the template's texts."""

    ordinal: int
    name: str
    slug: str
    provider_kind: str
    provider: str
    model: str
    parameters: dict[str, Any]
    template_slug: str
    template_version: int
    template: str
    timeout_seconds: int


@dataclass(frozen=True, slots=True)
class Contract:
    """What a season is: schedule, market, money, rules, roster. Times are market time."""

    starts_at: datetime
    ends_at: datetime | None
    max_rounds: int | None
    interval_seconds: int
    deadline_seconds: int
    clock: str
    venue: str
    feed_kind: str
    feed_source: str
    feed_seed: int
    feed_spread_bps: int
    timeframes: tuple[str, ...]
    candle_count: int
    initial_capital: Decimal
    seed: int
    rules: BookRules
    roster: tuple[RosterEntry, ...] = field(default_factory=tuple)

    def to_json(self) -> str:
        """Return the canonical JSON that is hashed and stored."""
        return canonical_json(
            {
                "version": VERSION,
                "schedule": {
                    "starts_at": canonical_time(self.starts_at),
                    "ends_at": None if self.ends_at is None else canonical_time(self.ends_at),
                    "max_rounds": self.max_rounds,
                    "interval_seconds": self.interval_seconds,
                    "deadline_seconds": self.deadline_seconds,
                    "clock": self.clock,
                },
                "market": {
                    "feed_kind": self.feed_kind,
                    "feed_source": self.feed_source,
                    "feed_seed": self.feed_seed,
                    "feed_spread_bps": self.feed_spread_bps,
                    "timeframes": list(self.timeframes),
                    "candle_count": self.candle_count,
                },
                "venue": self.venue,
                "initial_capital": self.initial_capital,
                "seed": self.seed,
                "rules": json.loads(self.rules.to_json()),
                "roster": [
                    {name: _exact(getattr(entry, name)) for name in RosterEntry.__slots__}
                    for entry in self.roster
                ],
            }
        )

    @classmethod
    @lru_cache(maxsize=64)  # a season's contract never changes, and every turn asks for it
    def from_json(cls, text: str) -> Contract:
        """Return the contract that :meth:`to_json` wrote; raise ValueError for another version."""
        content = json.loads(text)
        if content["version"] != VERSION:
            raise ValueError(f"contract version {VERSION} is wanted, was {content['version']}")
        schedule, market = content["schedule"], content["market"]
        ends_at = schedule["ends_at"]
        return cls(
            starts_at=parse_time(schedule["starts_at"]),
            ends_at=None if ends_at is None else parse_time(ends_at),
            max_rounds=schedule["max_rounds"],
            interval_seconds=schedule["interval_seconds"],
            deadline_seconds=schedule["deadline_seconds"],
            clock=schedule["clock"],
            venue=content["venue"],
            feed_kind=market["feed_kind"],
            feed_source=market["feed_source"],
            feed_seed=market["feed_seed"],
            feed_spread_bps=market["feed_spread_bps"],
            timeframes=tuple(market["timeframes"]),
            candle_count=market["candle_count"],
            initial_capital=Decimal(content["initial_capital"]),
            seed=content["seed"],
            rules=BookRules.from_json(canonical_json(content["rules"])),
            roster=tuple(RosterEntry(**entry) for entry in content["roster"]),
        )


def contract_hash(text: str) -> str:
    """Return the hash that names a contract."""
    return sha256_text(text)


def _exact(value: Any) -> Any:
    """Return ``value`` with floats as the shortest text that reads back the same: parameters may hold a temperature of 0.7."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return value
