"""Digests of rounds and seasons: sha256 over canonical JSON, without row ids, wall times, latencies, costs or provider ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from marketdata.domain.canonical import digest_of, sha256_text


@dataclass(frozen=True, slots=True)
class FillRecord:
    """One execution as the digest sees it; ``leg`` is 0 for fills without an instruction."""

    leg: int
    seq: int
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    realised: Decimal


@dataclass(frozen=True, slots=True)
class PostingRecord:
    """One line of the books; ``house`` is empty for the participant's own side."""

    cause: str
    line: int
    house: str
    kind: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class LegRecord:
    """What became of one instruction; ``denial`` is the code with its figures or empty."""

    index: int
    verdict: str
    denial: str


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One participant's part of a round."""

    ordinal: int
    outcome: str
    decision_status: str
    decision_text: str
    instructions: Sequence[dict[str, Any]] = ()
    legs: Sequence[LegRecord] = ()
    fills: Sequence[FillRecord] = ()
    postings: Sequence[PostingRecord] = ()


@dataclass(frozen=True, slots=True)
class MarketFillRecord:
    """One execution that the market set off between turns; ``cause`` is an exit's name, ``liquidation``, ``drawdown`` or ``order``."""

    cause: str
    seq: int
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    realised: Decimal


@dataclass(frozen=True, slots=True)
class BetweenRecord:
    """What the market did to one account since the round before closed, until this one did."""

    ordinal: int
    fills: Sequence[MarketFillRecord] = ()
    postings: Sequence[PostingRecord] = ()


@dataclass(frozen=True, slots=True)
class EquityRecord:
    """An account's worth at the closing marks."""

    ordinal: int
    equity: Decimal
    wallet: Decimal
    unrealised: Decimal
    used_margin: Decimal


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """Everything a round's digest covers; ``snapshot`` and ``tape`` are hashes.

    ``between`` is None in a book on which the market does not act; in others the tape is that since the round before closed.
    """

    number: int
    kind: str
    slot_at: datetime
    snapshot: str
    tape: str
    marked_at: datetime
    turns: Sequence[TurnRecord] = field(default_factory=tuple)
    equity: Sequence[EquityRecord] = field(default_factory=tuple)
    between: Sequence[BetweenRecord] | None = None


def _plain(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}


def turn_content(turn: TurnRecord) -> dict[str, Any]:
    """Return a turn for canonical JSON."""
    return {
        **_plain(turn),
        "instructions": list(turn.instructions),
        "legs": [_plain(leg) for leg in turn.legs],
        "fills": [_plain(fill) for fill in turn.fills],
        "postings": [_plain(posting) for posting in turn.postings],
    }


def round_digest(record: RoundRecord) -> str:
    """Return the digest of a closed round; turns and equity are taken by participant ordinal, whatever order they came in."""
    content = {
        **_plain(record),
        "turns": [
            turn_content(turn) for turn in sorted(record.turns, key=lambda turn: turn.ordinal)
        ],
        "equity": [
            _plain(point) for point in sorted(record.equity, key=lambda point: point.ordinal)
        ],
    }
    if record.between is None:
        del content["between"]
    else:
        content["between"] = between_content(record.between)
    return digest_of(content)


def between_content(between: Iterable[BetweenRecord]) -> list[dict[str, Any]]:
    """Return what the market did between turns for canonical JSON, by participant."""
    return [
        {
            "ordinal": item.ordinal,
            "fills": [_plain(fill) for fill in item.fills],
            "postings": [_plain(posting) for posting in item.postings],
        }
        for item in sorted(between, key=lambda item: item.ordinal)
    ]


def season_digest(contract_hash: str, digests: Iterable[str]) -> str:
    """Fold the digests of rounds and acts, in order, into one: h = sha256(h + digest), from sha256("season:" + contract hash) on."""
    folded = sha256_text(f"season:{contract_hash}")
    for digest in digests:
        folded = sha256_text(folded + digest)
    return folded
