"""A contract read line by line, beside another one: what somebody agrees to before a start.

Lines come out of the canonical JSON, so that a term that is added to the contract is shown without a change here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from competitions.domain.contract import Contract, contract_hash
from competitions.domain.words import (
    CLOCKS,
    FEED_KINDS,
    FILL_RULES,
    MARGIN_MODELS,
    MARGIN_MODES,
    STOP_OUT_BASES,
)
from marketdata.domain.canonical import canonical_decimal, canonical_json

NOTHING = "—"
NEXT_SLOT = "the next slot after the start"
INSTRUMENTS, ROSTER = "Instruments", "Participants"

# Path in the canonical JSON: section, name, and how the value reads.
_TERMS: Mapping[str, tuple[str, str, str]] = {
    "schedule.starts_at": ("Schedule", "First slot", "{}"),
    "schedule.ends_at": ("Schedule", "End", "{}"),
    "schedule.max_rounds": ("Schedule", "Rounds", "at most {}"),
    "schedule.interval_seconds": ("Schedule", "A round every", "{} s"),
    "schedule.deadline_seconds": ("Schedule", "Time to answer", "{} s"),
    "schedule.clock": ("Schedule", "Clock", "{}"),
    "market.feed_kind": ("Market", "Feed", "{}"),
    "market.feed_source": ("Market", "Candles stored as", "{}"),
    "market.feed_seed": ("Market", "Seed of the market", "{}"),
    "market.feed_spread_bps": ("Market", "Spread of the feed", "{} bps"),
    "market.timeframes": ("Market", "Candles shown", "{}"),
    "market.candle_count": ("Market", "Candles of each", "{}"),
    "venue": ("Market", "Venue", "{}"),
    "initial_capital": ("Money", "Start capital", "{} each"),
    "seed": ("Money", "Seed of the random baseline", "{}"),
    "rules.settlement_asset": ("Money", "Settled in", "{}"),
    "rules.margin_model": ("Money", "Margin model", "{}"),
    "rules.fill_rule": ("Money", "Fill rule", "{}"),
    "rules.fee_bps_taker": ("Money", "Fee, taker", "{} bps of notional"),
    "rules.fee_bps_maker": ("Money", "Fee, maker", "{} bps of notional"),
    "rules.slippage_bps": ("Money", "Slippage", "{} bps"),
    "rules.max_leverage": ("Limits", "Leverage", "at most {}x"),
    "rules.default_leverage": ("Limits", "Leverage when none is named", "{}x"),
    "rules.max_position_size_pct": ("Limits", "One position", "at most {} % of equity"),
    "rules.max_open_positions": ("Limits", "Open positions", "at most {}"),
    "rules.max_margin_usage_pct": ("Limits", "All positions", "at most {} % of equity"),
    "rules.margin_buffer": ("Limits", "Margin buffer", "{}x"),
    "rules.margin_requirement_pct": ("Limits", "Margin requirement (CFD)", "{} %"),
    "rules.maintenance_margin_pct": ("Limits", "Maintenance margin (CFD)", "{} %"),
    "rules.allow_short": ("Limits", "Short positions", "{}"),
    "rules.allow_pyramiding": ("Limits", "Adding to a position", "{}"),
    "rules.max_decisions_per_hour": ("Limits", "Rounds that may open or add", "at most {} an hour"),
    "rules.resting_orders": ("Between rounds", "Orders and exits rest in the book", "{}"),
    "rules.acts_between_rounds": ("Between rounds", "Positions are watched", "{}"),
    "rules.margin_mode": ("Between rounds", "What backs a position", "{}"),
    "rules.stop_out_basis": ("Between rounds", "Margin of a CFD is counted on", "{}"),
    "rules.clearance_fee_bps": ("Between rounds", "Clearance fee", "{} bps of what is liquidated"),
    "rules.drawdown_warn_pct": ("Between rounds", "Drawdown, warned at", "{} % below the peak"),
    "rules.drawdown_stop_pct": (
        "Between rounds",
        "Drawdown, nothing opened",
        "from {} % below the peak",
    ),
    "rules.drawdown_close_pct": (
        "Between rounds",
        "Drawdown, all closed",
        "at {} % below the peak",
    ),
    "rules.overnight_bps_long": ("Between rounds", "Overnight, a long pays", "{} bps of notional"),
    "rules.overnight_bps_short": (
        "Between rounds",
        "Overnight, a short pays",
        "{} bps of notional",
    ),
    "rules.overnight_hour_utc": ("Between rounds", "The night ends at", "{}:00 UTC"),
}
# Tables by symbol: where each stands, and how one symbol's entry reads.
_BY_SYMBOL: Mapping[str, tuple[str, str, str]] = {
    "rules.leverage_limits": ("Limits", "Leverage, {}", "at most {}x"),
    "rules.clearance_fees": ("Between rounds", "Clearance fee, {}", "{} bps of what is liquidated"),
}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "schedule.clock": CLOCKS,
    "market.feed_kind": FEED_KINDS,
    "rules.margin_model": MARGIN_MODELS,
    "rules.fill_rule": FILL_RULES,
    "rules.margin_mode": MARGIN_MODES,
    "rules.stop_out_basis": STOP_OUT_BASES,
}
# How an entry of a list is told; what is not named here follows.
_FIRST = (
    "ordinal",
    "provider",
    "model",
    "parameters",
    "template_slug",
    "template_version",
    "tick",
    "step",
)
_TIMES = {"schedule.starts_at", "schedule.ends_at"}
_SECTIONS = (
    "Schedule",
    "Market",
    "Money",
    "Limits",
    "Between rounds",
    INSTRUMENTS,
    ROSTER,
    "Other",
)
_SHORT_HASH = 12


class Change(StrEnum):
    SAME = "same"
    CHANGED = "changed"
    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Line:
    """One term of a contract; ``key`` is its place, ``says`` its value in words."""

    key: str
    section: str
    name: str
    says: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One term beside the one it is compared with; ``before`` is empty for a new one, ``after`` for one that is gone."""

    section: str
    name: str
    before: str
    after: str
    change: Change


def agreed_hash(contract: Contract, *, start_moves: bool) -> str:
    """Return the hash of what somebody agrees to: the contract's own, unless its first slot moves with the clock.

    ``start_moves`` says that the first slot was not chosen but is the next one from now; it is then left out, so that a
    confirmation a minute later is still one of the same terms.
    """
    text = contract.to_json()
    if not start_moves:
        return contract_hash(text)
    content = json.loads(text)
    content["schedule"]["starts_at"] = NEXT_SLOT
    return contract_hash(canonical_json(content))


def lines_of(contract: Contract, *, start_moves: bool = False) -> tuple[Line, ...]:
    """Return every term of the contract in words, by section."""
    content = json.loads(contract.to_json())
    content.pop("version")
    instruments, roster = content["rules"].pop("instruments"), content.pop("roster")
    tables = content["rules"].pop("tiers", [])
    if start_moves:
        content["schedule"]["starts_at"] = NEXT_SLOT
    lines = [
        *(_line(path, value) for path, value in _leaves(content)),
        *map(_tiers, tables),
        *(_entry(INSTRUMENTS, row["symbol"], row["symbol"], row) for row in instruments),
        *(_entry(ROSTER, row["slug"], row["name"], row) for row in roster),
    ]
    places = list(_TERMS)
    return tuple(
        sorted(
            lines,
            key=lambda line: (
                _SECTIONS.index(line.section),
                places.index(line.key) if line.key in _TERMS else len(places),
            ),
        )
    )


def pack(lines: Sequence[Line]) -> str:
    """Return the lines as one text, which a page carries to the press of its button."""
    return json.dumps([[line.key, line.section, line.name, line.says] for line in lines])


def unpack(text: str) -> tuple[Line, ...]:
    """Return the lines of a text that came back; none for anything that :func:`pack` does not write."""
    try:
        rows = json.loads(text)
    except ValueError:
        return ()
    if not isinstance(rows, list) or not all(_is_packed(row) for row in rows):
        return ()
    return tuple(Line(*row) for row in rows)


def _is_packed(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != len(Line.__slots__):
        return False
    return all(isinstance(item, str) for item in row) and row[1] in _SECTIONS


def differences(before: Sequence[Line], after: Sequence[Line]) -> tuple[Difference, ...]:
    """Return the lines of ``after`` beside those of ``before``, and at the end of each section what is gone."""
    old, new = {line.key: line for line in before}, {line.key: line for line in after}
    found = [_beside(old.get(line.key), line) for line in after]
    found += [
        Difference(line.section, line.name, line.says, "", Change.GONE)
        for line in before
        if line.key not in new
    ]
    return tuple(sorted(found, key=lambda item: _SECTIONS.index(item.section)))


def _beside(old: Line | None, new: Line) -> Difference:
    if old is None:
        return Difference(new.section, new.name, "", new.says, Change.NEW)
    same = (old.name, old.says) == (new.name, new.says)
    change = Change.SAME if same else Change.CHANGED
    return Difference(new.section, new.name, old.says, new.says, change)


def _leaves(content: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", value


def _line(path: str, value: Any) -> Line:
    table, _, last = path.rpartition(".")
    section, name, form = _TERMS.get(path) or _BY_SYMBOL.get(table, ("Other", _spoken(last), "{}"))
    name = name.format(last)
    says = _words(value)
    if path in _TIMES and value and says != NEXT_SLOT:
        says = says.replace("T", " ").replace("Z", " UTC")
    says = _WORDS.get(path, {}).get(says, says)
    return Line(path, section, name, says if value is None else form.format(says))


def _tiers(table: Mapping[str, Any]) -> Line:
    """Return a symbol's margin tiers on one line: from which notional, maintenance margin, highest leverage."""
    told = "; ".join(
        f"above {floor} at {canonical_decimal(Decimal(rate) * 100)} %, {most}x"
        for floor, _, rate, _, most in table["tiers"]
    )
    name = f"Margin tiers, {table['symbol']}"
    return Line(f"tiers/{table['symbol']}", "Between rounds", name, f"{table['version']}: {told}")


def _entry(section: str, key: str, name: str, row: Mapping[str, Any]) -> Line:
    fields = sorted(
        row.keys() - {"symbol", "slug", "name"},
        key=lambda field: (_FIRST.index(field) if field in _FIRST else len(_FIRST), field),
    )
    told = ", ".join(f"{_spoken(field)} {_words(row[field])}" for field in fields)
    return Line(f"{section}/{key}", section, name, told)


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _words(value: Any) -> str:
    """Return a leaf as people read it."""
    if value is None or value == {}:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_words, value)) or NOTHING
    if isinstance(value, dict):
        return " ".join(f"{name}={_words(item)}" for name, item in sorted(value.items()))
    # The hash of a template's texts: enough of it to tell two apart.
    return value[:_SHORT_HASH] if _is_hash(value) else str(value)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")
