"""A closed round's rows, its turns and legs, held against the tape and what the replay made of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from django.db.models import Q

from agents.models import Decision
from competitions.domain.contract import Contract
from competitions.domain.digests import RoundRecord
from competitions.models import Leg, Round, Turn
from competitions.models.competitions import ClockKind
from competitions.models.rounds import LegVerdict, RoundKind, TurnOutcome, TurnState
from competitions.services.journal import Journal, Row
from competitions.services.settling import FAILED
from competitions.services.verifying.columns import (
    ELSEWHERE,
    Links,
    difference,
    differences,
    table_differences,
)
from marketdata.models.snapshots import SnapshotStatus
from trading.domain.rules import FillRule
from trading.models import Fill


def round_problems(
    round_: Round,
    contract: Contract,
    computed: RoundRecord,
    *,
    boundaries: set[int],
    asked_by: Mapping[str, str],
) -> Iterator[str]:
    """Yield the columns of the round's row and of its snapshot that are not what tape, schedule and audit chain say."""
    name = f"round {round_.number}"
    snapshot = round_.snapshot
    assert snapshot is not None
    is_extra = round_.kind == RoundKind.EXTRA
    wanted: Row = {
        "marked_at": computed.marked_at,
        "has_data": snapshot.status == SnapshotStatus.OK,
    }
    if not is_extra:
        wanted["asked_by"] = ""
    elif round_.asked_by:
        # One that nobody asked for is told of already.
        wanted["asked_by"] = asked_by.get(str(round_.number), round_.asked_by)
    yield from differences(name, round_, wanted)
    for column in ("first_tape_position", "last_tape_position"):
        if getattr(round_, column) not in boundaries:
            yield f"{name}: {column} stored {getattr(round_, column)}, no segment of the tape ends there"
    since = (round_.slot_at - contract.starts_at).total_seconds()
    if not is_extra and (since < 0 or since % contract.interval_seconds):
        yield f"{name}: slot_at stored {round_.slot_at}, which is no slot of the schedule"
    held: Row = {
        "feed_id": round_.competition.feed_id,
        "as_of": round_.slot_at,
        "status": (SnapshotStatus.OK if round_.has_data else SnapshotStatus.NO_DATA).value,
    }
    yield from differences(f"snapshot {round_.number}", snapshot, held)


def turn_problems(
    round_: Round,
    contract: Contract,
    computed: RoundRecord,
    *,
    boundaries: set[int],
    wiped_out: set[int],
) -> Iterator[str]:
    """Yield the columns of the round's turns that are not what their keys, decisions and the replay say.

    ``wiped_out`` are the participants that a liquidation left nothing to: they are asked no more.
    """
    code = round_.competition.opened_book.code
    keys = {f"{code}-{round_.number}-{entry.ordinal}": entry.ordinal for entry in contract.roster}
    rows = Turn.objects.filter(Q(round=round_) | Q(turn_key__in=list(keys)))
    stored = {
        row.turn_key: row
        for row in rows.select_related("round", "participant", "decision")
        if row.turn_key in keys or row.round_id == round_.pk
    }
    decided = set(
        Decision.objects.filter(turn_key__in=list(keys)).values_list("turn_key", flat=True)
    )
    outcomes = {turn.ordinal: turn.outcome for turn in computed.turns}
    wanted: dict[str, Row] = {}
    for key, ordinal in keys.items():
        row = stored.get(key)
        if row is None and (round_.kind == RoundKind.EXTRA or ordinal in wiped_out):
            continue
        wanted[key] = {
            "round": round_.number,
            "participant": ordinal,
            "state": TurnState.SETTLED.value,
            "outcome": _outcome(row, outcomes.get(ordinal)),
            "decision": key if key in decided and not _is_left_aside(row) else None,
        }
    links: Links = {
        "round": lambda row: (
            row.round.number if row.round.competition_id == round_.competition_id else ELSEWHERE
        ),
        "participant": lambda row: (
            row.participant.ordinal
            if row.participant.competition_id == round_.competition_id
            else ELSEWHERE
        ),
        "decision": lambda row: row.decision.turn_key if row.decision else None,
    }
    yield from table_differences(stored, wanted, name=turn_name, links=links)
    for key, row in stored.items():
        yield from _arrival_problems(turn_name(key), row, round_, contract, boundaries)


def link_problems(round_: Round) -> Iterator[str]:
    """Yield the turns that hold another turn's decision; for a round that cannot be recomputed, maybe because of that."""
    for turn in Turn.objects.filter(round=round_, decision__isnull=False).select_related(
        "decision"
    ):
        found = turn.decision.turn_key if turn.decision else None
        if found != turn.turn_key:
            yield difference(turn_name(turn.turn_key), "decision", found, turn.turn_key)


def _is_left_aside(row: Turn | None) -> bool:
    """Tell whether the turn ended without the decision that there is: it was read, and a crash came before it was settled."""
    return (
        row is not None
        and row.outcome in {TurnOutcome.SKIPPED, TurnOutcome.CANCELLED}
        and (row.decision is None)
    )


def turn_name(key: str) -> str:
    return f"turn {key}"


def _outcome(row: Turn | None, computed: str | None) -> str | None:
    """Return what the turn came to: what its failed decision says, else the replay's word, or the stored one where it has none."""
    if row is None or row.decision is None:
        return computed
    if row.outcome in {TurnOutcome.LATE, TurnOutcome.CANCELLED}:
        return row.outcome
    failed = {str(status): str(outcome) for status, outcome in FAILED.items()}
    return failed.get(row.decision.status, computed)


def _arrival_problems(
    name: str, row: Turn, round_: Round, contract: Contract, boundaries: set[int]
) -> Iterator[str]:
    """Under the arrival rule the quotes of an answer are on the round's tape, under the others there are none."""
    position = row.tape_position
    if position is None:
        return
    if contract.rules.fill_rule != FillRule.ARRIVAL:
        yield difference(name, "tape_position", position, None)
        return
    last = round_.last_tape_position or 0
    if position not in boundaries or not round_.first_tape_position <= position < last:
        yield f"{name}: tape_position stored {position}, no quotes of round {round_.number} are there"


def leg_problems(round_: Round, computed: RoundRecord, journal: Journal) -> Iterator[str]:
    """Yield the columns of the round's legs that are not what the decisions and the replay say."""
    code = round_.competition.opened_book.code
    wanted: dict[tuple[str, int], Row] = {}
    for turn in computed.turns:
        key = f"{code}-{round_.number}-{turn.ordinal}"
        for leg, instruction in zip(turn.legs, turn.instructions, strict=False):
            order = f"a{key}-{leg.index}"
            wanted[key, leg.index] = {
                "turn": key,
                "index": leg.index,
                "instruction": instruction,
                "verdict": str(leg.verdict),
                "denial": leg.denial[:300],
                "order": order if order in journal.orders else None,
            }
            if order in journal.orders:
                wanted[key, leg.index]["tape_position"] = journal.orders[order]["tape_position"]
            elif leg.verdict == LegVerdict.HELD:
                wanted[key, leg.index]["tape_position"] = 0
    rows = Leg.objects.filter(turn__round=round_).select_related("turn", "order")
    links: Links = {
        "turn": lambda row: row.turn.turn_key,
        "order": lambda row: row.order.client_order_id if row.order else None,
    }
    yield from table_differences(
        {(row.turn.turn_key, row.index): row for row in rows},
        wanted,
        name=lambda key: f"leg {key[0]}/{key[1]}",
        links=links,
    )


def timing_problems(round_: Round, contract: Contract, *, boundaries: set[int]) -> Iterator[str]:
    """Yield the legs and fills that say they took effect where the tape of their round has no end of a segment, or before one another.

    For books on which the market acts: of others the replay knows where.
    """
    if not contract.rules.needs_ticks:
        return
    last = round_.last_tape_position or 0
    reached: dict[object, int] = defaultdict(lambda: round_.first_tape_position)
    legs = Leg.objects.filter(turn__round=round_).exclude(verdict=LegVerdict.HELD)
    for leg in legs.select_related("turn").order_by("turn_id", "index"):
        name = f"leg {leg.turn.turn_key}/{leg.index}"
        if (
            leg.tape_position not in boundaries
            or not reached[leg.turn_id] <= leg.tape_position <= last
        ):
            yield f"{name}: tape_position stored {leg.tape_position}, which is no place of it in round {round_.number}"
        reached[leg.turn_id] = leg.tape_position
    keys = list(round_.turns.values_list("turn_key", flat=True))
    fills = Fill.objects.filter(order__turn_key__in=keys, by_market=False)
    for fill in fills.select_related("order", "account").order_by("account__ordinal", "seq"):
        since = fill.order.tape_position
        if fill.tape_position not in boundaries or not since <= fill.tape_position <= last:
            yield (
                f"fill {fill.account.ordinal}/{fill.seq}: tape_position stored {fill.tape_position}, "
                f"which is no place of it in round {round_.number}"
            )


def slot_problems(round_: Round, contract: Contract, place: int) -> Iterator[str]:
    """Yield that the slot is another than the schedule's, on the data's clock, where none is ever missed; ``place`` from 1."""
    if contract.clock != ClockKind.DATA or round_.kind == RoundKind.EXTRA:
        return
    since = (round_.slot_at - contract.starts_at).total_seconds()
    if since != (place - 1) * contract.interval_seconds:
        yield f"round {round_.number}: slot_at stored {round_.slot_at}, which is not slot {place} of the schedule"
