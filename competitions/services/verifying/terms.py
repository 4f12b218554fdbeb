"""A season's own row and its roster, held against contract, records, acts and the audit chain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from agents.models import Decision
from agents.models.agents import ProviderKind
from competitions.domain.contract import Contract
from competitions.models import Competition, Event, Participant, Round
from competitions.models.competitions import CompetitionStatus
from competitions.models.participants import ParticipantState
from competitions.models.rounds import RoundKind, RoundState
from competitions.services.journal import Row
from competitions.services.verifying.book import AUDITED, ActTrail, ending_entry, started_entry
from competitions.services.verifying.columns import Seats, difference, differences, stray
from trading.domain.rules import BookRules
from trading.models.books import ActKind

# Columns of a season that are rules of its book, by the same name.
RULES = tuple(
    entry.name
    for entry in fields(BookRules)
    if entry.name in {column.name for column in Competition._meta.concrete_fields}
)
FROZEN = (
    "starts_at",
    "ends_at",
    "max_rounds",
    "interval_seconds",
    "deadline_seconds",
    "clock",
    "venue",
    "candle_count",
    "initial_capital",
    "seed",
)


def season_problems(competition: Competition, contract: Contract, trail: ActTrail) -> Iterator[str]:
    """Yield the columns of the season's row that contract, rounds, acts and audit chain contradict."""
    entry = started_entry(competition)
    name = f"season {entry.subject if entry else competition.slug}"
    wanted: Row = {
        **{column: getattr(contract, column) for column in FROZEN},
        **{column: getattr(contract.rules, column) for column in RULES},
        "leverage_limits": dict(contract.rules.leverage_limits),
        "timeframes": list(contract.timeframes),
        "status": trail.status.value,
        **season_counters(competition, contract),
        **_ended(competition, trail),
    }
    yield from differences(name, competition, wanted)
    yield from _feed_problems(name, competition, contract)
    if entry is None:
        yield f"{name}: slug stored {competition.slug}, the audit chain tells of no start under its contract"
    else:
        told: Row = {"slug": entry.subject, "started_at": entry.at}
        yield from differences(name, competition, told)


def season_counters(competition: Competition, contract: Contract) -> Row:
    """Return the columns of a season that count its rows: rounds and events, and how far market time has come."""
    market_at, last_slot_at, count, extra = contract.starts_at, None, 0, 0
    rounds = Round.objects.filter(competition=competition).order_by("number")
    for kind, slot_at, marked_at in rounds.values_list("kind", "slot_at", "marked_at").iterator():
        count += 1
        extra += kind == RoundKind.EXTRA
        last_slot_at = slot_at if kind == RoundKind.SCHEDULED else last_slot_at
        market_at = max(market_at, slot_at, marked_at or slot_at)
    return {
        "round_count": count,
        "extra_count": extra,
        "last_slot_at": last_slot_at,
        "market_at": market_at,
        "event_seq": Event.objects.filter(competition=competition).count(),
    }


def _ended(competition: Competition, trail: ActTrail) -> Row:
    if trail.status in {CompetitionStatus.RUNNING, CompetitionStatus.PAUSED}:
        return {"finished_at": None, "stop_reason": "", "season_digest": ""}
    entry = ending_entry(competition)
    if entry is None:
        return {}
    said = entry.detail.get("reason", "")
    reason = {
        ActKind.STOP: said or f"stopped by {entry.actor}",
        ActKind.FINISH: said,
        ActKind.EMERGENCY_CLOSE: f"emergency close by {entry.actor}"
        + (f": {said}" if said else ""),
    }[AUDITED[entry.action]]
    return {
        "finished_at": entry.at,
        "stop_reason": reason[:300],
        "pause_after_round": False,
    }


def _feed_problems(name: str, competition: Competition, contract: Contract) -> Iterator[str]:
    feed = competition.feed
    found = (feed.kind, feed.source, feed.seed, feed.spread_bps)
    wanted = (
        contract.feed_kind,
        contract.feed_source,
        contract.feed_seed,
        contract.feed_spread_bps,
    )
    if found != wanted:
        yield difference(name, "feed", found, wanted)


def roster_problems(
    competition: Competition, contract: Contract, seats: Seats, *, wiped_out: set[int]
) -> Iterator[str]:
    """Yield the columns of participants that are not the contract's, their accounts' or their decisions'."""
    found: dict[int, Participant] = {
        row.ordinal: row
        for row in Participant.objects.filter(competition=competition).select_related("agent")
    }
    ordinals = [entry.ordinal for entry in contract.roster]
    if sorted(found) != ordinals:
        yield f"the roster is {sorted(found)}, the contract's is {ordinals}"
    for ordinal in sorted(found.keys() - set(ordinals)):
        yield stray(f"participant {ordinal}")
    decided = _deciders(competition)
    models = baselines = 0
    for entry in contract.roster:
        if entry.provider_kind == ProviderKind.BASELINE:
            baselines += 1
            colour = baselines
        else:
            models += 1
            colour = (models - 1) % 12 + 1
        name = f"participant {entry.ordinal}"
        wanted: Row = {
            "slug": entry.slug,
            "name": entry.name,
            "account": entry.ordinal,
            "state": (
                ParticipantState.LIQUIDATED
                if entry.ordinal in wiped_out
                else ParticipantState.ACTIVE
            ).value,
            "colour_slot": colour,
        }
        row = found.get(entry.ordinal)
        yield from differences(name, row, wanted, seats.link)
        if row is not None and decided[row.pk] and row.agent_id not in decided[row.pk]:
            yield f"{name}: agent stored {row.agent.slug}, its decisions are another's"


def _deciders(competition: Competition) -> dict[UUID, set[Any]]:
    """Return the agents whose decisions each participant's turns hold, by participant."""
    deciders: dict[UUID, set[Any]] = defaultdict(set)
    rows = Decision.objects.filter(turns__participant__competition=competition)
    for participant, agent in rows.values_list("turns__participant", "agent").distinct():
        deciders[participant].add(agent)
    return deciders


def gap_problems(competition: Competition, contract: Contract) -> Iterator[str]:
    """Yield what is wrong with the season's gaps: each slot up to the last one was played, or is in the one gap that tells of it."""
    interval = contract.interval_seconds
    slots = Round.objects.filter(competition=competition, kind=RoundKind.SCHEDULED)
    played = sorted(slots.values_list("slot_at", flat=True))
    gaps = list(competition.gaps.order_by("from_at"))
    starts = sorted([*played, *(gap.from_at for gap in gaps)])
    reached = contract.starts_at
    for at in starts:
        gap = next((row for row in gaps if row.from_at == at), None)
        if at > reached:
            yield f"gap {_stamp(reached)} is missing: no round was played until {_stamp(at)}"
        if gap is None:
            reached = datetime.fromtimestamp(at.timestamp() + interval, tz=at.tzinfo)
            continue
        following = next((start for start in starts if start > at), gap.to_at)
        name = f"gap {_stamp(at)}"
        if gap.to_at != following:
            yield difference(name, "to_at", gap.to_at, following)
        wanted = int((gap.to_at - gap.from_at).total_seconds()) // interval
        yield from differences(name, gap, {"missed_slots": wanted, "from_at": reached})
        reached = gap.to_at


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}"


def open_rounds(competition: Competition) -> Iterator[str]:
    """Yield the rounds that say they are open and hold what only a closed one has."""
    rounds = Round.objects.filter(competition=competition, state=RoundState.OPEN)
    for row in rounds.exclude(digest="").order_by("number"):
        yield difference(f"round {row.number}", "state", row.state, RoundState.CLOSED.value)
