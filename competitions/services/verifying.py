"""Verify a season: everything recomputed from tape, snapshots, decision texts and acts, and compared with what is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from agents.domain.decisions import instruction_from_json, instruction_json
from agents.domain.parsing import parse_decision
from agents.models import Decision
from agents.models.answers import DecisionStatus
from competitions.domain.contract import Contract, contract_hash
from competitions.domain.differences import first_difference
from competitions.domain.digests import EquityRecord, RoundRecord, TurnRecord, round_digest
from competitions.models import Competition, Round, Turn
from competitions.models.rounds import LegVerdict, TurnOutcome
from competitions.services.audit import broken_links
from competitions.services.checking import (
    extra_problems,
    missing_rounds,
    order_problems,
    tape_problems,
)
from competitions.services.closing import folded_digest
from competitions.services.records import (
    between_records,
    equity_records,
    fill_record,
    round_record,
    tape_before,
    tape_closed,
)
from competitions.services.replaying import OUTSIDE_CODES, LegTiming, Replay
from competitions.services.settling import outcome_of
from competitions.services.tape import quotes_at, tape_between
from marketdata.domain.canonical import canonical_json
from marketdata.domain.facts import Quote
from marketdata.feeds import open_feed
from marketdata.models import Blob
from marketdata.services import quotes_of
from trading.domain.rules import FillRule
from trading.domain.state import AccountState
from trading.domain.tape import TapeKind, decode_tape
from trading.models import (
    Account,
    Book,
    EquityPoint,
    Fill,
    OperatorAct,
    Order,
    Position,
    Posting,
    TapeSegment,
)
from trading.selectors import check_invariants, one_view
from trading.selectors.acts import act_digest, act_prefix

READABLE = {TurnOutcome.TRADED, TurnOutcome.HELD, TurnOutcome.DENIED}
PARSED = {DecisionStatus.VALID, DecisionStatus.REPAIRED, DecisionStatus.INVALID}


@dataclass(slots=True)
class VerifyReport:
    """What was recomputed, and in sentences where it disagrees with the records; no problems means that all agrees."""

    rounds: int = 0
    turns: int = 0
    fills: int = 0
    acts: int = 0
    digest: str = ""
    problems: list[str] = field(default_factory=list)


def verify_season(competition: Competition) -> VerifyReport:
    """Recompute a started season and report every round that disagrees, each by its first differing row."""
    report = VerifyReport()
    report.problems.extend(_contract_problems(competition))
    if report.problems:
        return report
    contract = Contract.from_json(competition.contract)
    replay = Replay(contract, open_feed(competition.feed))
    report.problems.extend(_deposit_problems(competition, replay))
    report.problems.extend(missing_rounds(competition))
    report.problems.extend(extra_problems(competition))
    acts = _acts_by_round(competition)
    rounds = (
        Round.objects.closed()
        .filter(competition=competition)
        .select_related("snapshot", "competition")
        .order_by("number")
    )
    for round_ in rounds.iterator(chunk_size=100):
        _verify_round(report, replay, contract, round_, acts.pop(round_.number, []))
    report.problems.extend(_account_problems(competition, replay))
    report.problems.extend(_end_problems(competition, report))
    return report


def _contract_problems(competition: Competition) -> Iterator[str]:
    if contract_hash(competition.contract) != competition.contract_hash:
        yield f"the contract's text does not hash to {competition.contract_hash}"
        return
    contract = Contract.from_json(competition.contract)
    if competition.book is None or competition.book.rules != contract.rules.to_json():
        yield "the book's rules are not those of the contract"
    seated = list(competition.participants.order_by("ordinal").values_list("ordinal", flat=True))
    if seated != [entry.ordinal for entry in contract.roster]:
        yield f"the roster is {seated}, the contract's is {[entry.ordinal for entry in contract.roster]}"


def _deposit_problems(competition: Competition, replay: Replay) -> Iterator[str]:
    for ordinal, records in replay.deposits.items():
        stored = Posting.objects.filter(
            book_id=competition.opened_book.pk, cause_id=f"deposit:{ordinal}"
        )
        lines = [(row.line, row.house, row.kind, row.amount) for row in stored.order_by("line")]
        wanted = [(row.line, row.house, row.kind, row.amount) for row in records]
        if lines != wanted:
            yield f"the start capital of participant {ordinal} is posted as {lines}, recomputed {wanted}"


def _acts_by_round(competition: Competition) -> dict[int, list[OperatorAct]]:
    acts: dict[int, list[OperatorAct]] = {}
    moving = OperatorAct.objects.filter(book_id=competition.opened_book.pk).exclude(digest="")
    for act in moving.order_by("seq"):
        acts.setdefault(act.after_round, []).append(act)
    return acts


def _verify_round(
    report: VerifyReport, replay: Replay, contract: Contract, round_: Round, acts: list[OperatorAct]
) -> None:
    stored = round_record(round_)
    report.rounds += 1
    report.turns += len(stored.turns)
    report.fills += sum(len(turn.fills) for turn in stored.turns)
    report.problems.extend(_blob_problems(round_))
    report.problems.extend(order_problems(round_))
    computed = _recompute(report, replay, contract, round_, stored, acts)
    difference = first_difference(_sorted(stored), _sorted(computed))
    if difference:
        report.problems.append(f"round {round_.number}: {difference}")
    if round_digest(computed) != round_.digest:
        report.problems.append(
            f"round {round_.number}: digest stored {round_.digest[:16]}, recomputed {round_digest(computed)[:16]}"
        )


def _sorted(record: RoundRecord) -> RoundRecord:
    return replace(record, turns=sorted(record.turns, key=lambda turn: turn.ordinal))


def _blob_problems(round_: Round) -> Iterator[str]:
    """Check that every text the round stands on still hashes to its name."""
    names = set(
        TapeSegment.objects.filter(
            book_id=round_.competition.opened_book.pk, **_span(round_)
        ).values_list("body_id", flat=True)
    )
    names.update(Decision.objects.filter(turns__round=round_).values_list("text_id", flat=True))
    assert round_.snapshot is not None
    names.add(round_.snapshot.manifest_id)
    for name, blob in Blob.objects.in_bulk(list(names)).items():
        if hashlib.sha256(blob.raw()).hexdigest() != name:
            yield f"round {round_.number}: the text {name[:16]} was changed, it does not hash to its name"


def _span(round_: Round) -> dict[str, int]:
    assert round_.last_tape_position is not None
    return {
        "first_position__gte": round_.first_tape_position,
        "first_position__lt": round_.last_tape_position,
    }


def _recompute(
    report: VerifyReport,
    replay: Replay,
    contract: Contract,
    round_: Round,
    stored: RoundRecord,
    acts: list[OperatorAct],
) -> RoundRecord:
    assert round_.snapshot is not None
    manifest = round_.snapshot.content()
    quotes = quotes_of(manifest) if round_.has_data else {}
    opens = quotes_of(manifest, key="opens") if round_.has_data else {}
    report.problems.extend(tape_problems(round_, quotes, opens))
    rows = {
        turn.participant.ordinal: turn
        for turn in Turn.objects.filter(round=round_)
        .select_related("participant", "decision")
        .prefetch_related("legs")
    }
    marks = {symbol: quote.mark for symbol, quote in quotes.items()}
    if replay.walk is not None:
        first = tape_before(round_)
        book_id = round_.competition.opened_book.pk
        replay.walk.lay(first, tape_between(book_id, first, round_.last_tape_position or 0))
    turns = []
    for record in sorted(stored.turns, key=lambda turn: turn.ordinal):
        fills = _fill_quotes(contract, rows[record.ordinal], quotes, opens)
        turns.append(
            _recompute_turn(report, replay, contract, rows[record.ordinal], record, fills, marks)
        )
    early = [act for act in acts if act.tape_position <= (round_.last_tape_position or 0)]
    for act in early:
        _replay_act(report, replay, act)
    marked_at, closing = _closing_marks(round_, marks)
    between = None
    if replay.walk is not None:
        replay.catch_up(round_.last_tape_position or 0)
        between = replay.walk.take_between()
        report.problems.extend(f"round {round_.number}: {told}" for told in replay.walk.problems)
        replay.walk.problems.clear()
        report.fills += sum(len(item.fills) for item in between)
    computed = replace(
        stored, turns=turns, marked_at=marked_at, equity=replay.mark(closing), between=between
    )
    for act in acts:
        if act not in early:
            _replay_act(report, replay, act)
    return computed


def _fill_quotes(
    contract: Contract, turn: Turn, quotes: dict[str, Quote], opens: dict[str, Quote]
) -> dict[str, Quote]:
    if contract.rules.fill_rule == FillRule.SNAPSHOT:
        return quotes
    if contract.rules.fill_rule == FillRule.NEXT_BAR:
        return opens
    if turn.tape_position is None:
        return {}
    return (
        quotes_at(turn.participant.account.book_id, turn.tape_position)
        if turn.participant.account
        else {}
    )


def _recompute_turn(
    report: VerifyReport,
    replay: Replay,
    contract: Contract,
    turn: Turn,
    record: TurnRecord,
    quotes: dict[str, Quote],
    marks: dict[str, Decimal],
) -> TurnRecord:
    if turn.decision is None:
        return replace(record, legs=[], fills=[], postings=[])
    parsed = _parse_again(turn.decision, contract)
    instructions = parsed if parsed is not None else turn.decision.instructions
    if turn.outcome not in READABLE:
        return replace(record, instructions=instructions, legs=[], fills=[], postings=[])
    at = None if contract.rules.fill_rule == FillRule.ARRIVAL else turn.round.slot_at
    played = replay.play_turn(
        record.ordinal,
        [instruction_from_json(item) for item in instructions],
        quotes,
        marks,
        at=at,
        outside=_outside(turn),
        turn_key=turn.turn_key,
        timings=_timings(turn) if replay.walk is not None else None,
    )
    return replace(
        record,
        outcome=outcome_of(played.legs),
        instructions=instructions,
        legs=played.legs,
        fills=played.fills,
        postings=played.postings,
    )


def _parse_again(decision: Decision, contract: Contract) -> list[dict[str, Any]] | None:
    """Return the instructions that the stored text says; None where the status came from the call and not from the text."""
    if (
        decision.status not in PARSED
        or decision.completion is None
        or decision.completion.status != "OK"
    ):
        return None
    symbols = [spec.symbol for spec in contract.rules.instruments]
    parsed = parse_decision(
        Blob.objects.text(decision.text_id),
        symbols=symbols,
        resting_orders=contract.rules.resting_orders,
    )
    return [instruction_json(item) for item in parsed.instructions]


def _outside(turn: Turn) -> dict[int, str]:
    """Return the legs that were refused because of what an operator did, by index."""
    return {
        leg.index: leg.denial
        for leg in turn.legs.all()
        if leg.verdict == LegVerdict.DENIED
        and leg.denial.startswith(tuple(code.value for code in OUTSIDE_CODES))
    }


def _timings(turn: Turn) -> dict[int, LegTiming]:
    """Return where on the tape the turn's legs and their first fills took effect."""
    fills: dict[Any, int] = {}
    for fill in Fill.objects.filter(order__turn_key=turn.turn_key, by_market=False).order_by(
        "-seq"
    ):
        fills[fill.order_id] = fill.tape_position
    return {
        leg.index: LegTiming(leg.tape_position, fills.get(leg.order_id)) for leg in turn.legs.all()
    }


def _closing_marks(round_: Round, marks: dict[str, Decimal]) -> tuple[datetime, dict[str, Decimal]]:
    """Return when and at what the round closed: the last marks event on its tape, else the snapshot's marks at the slot."""
    found: tuple[datetime, dict[str, Decimal]] = (round_.slot_at, marks)
    segments = TapeSegment.objects.filter(
        book_id=round_.competition.opened_book.pk, **_span(round_)
    )
    last = segments.select_related("body").order_by("-seq").first()
    if last is not None:
        for event in decode_tape(last.body.raw().decode()):
            if event.kind is TapeKind.MARKS:
                found = (event.at, dict(event.marks))
    return found


def _replay_act(report: VerifyReport, replay: Replay, act: OperatorAct) -> None:
    replay.catch_up(act.tape_position)
    quotes = _act_quotes(replay, act)
    computed = [
        (ordinal, replace(fill, leg=0))
        for ordinal in sorted(replay.states)
        for fill in replay.close_positions(ordinal, quotes, at=act.market_at).fills
    ]
    rows = Fill.objects.filter(order__client_order_id__startswith=act_prefix(act.book, act.seq))
    stored = [
        (row.account.ordinal, replace(fill_record(row), leg=0))
        for row in rows.select_related("order", "account").order_by("account__ordinal", "seq")
    ]
    report.fills += len(stored)
    difference = first_difference(stored, computed, f"act {act.seq} {act.kind}: fill")
    if difference:
        report.problems.append(difference)
    if act_digest(act.book, act.seq) != act.digest:
        report.problems.append(f"act {act.seq} {act.kind}: its digest is not that of its fills")
    worth = replay.mark({symbol: quote.mark for symbol, quote in quotes.items()})
    difference = first_difference(
        _equity_after(act, report.acts), worth, f"act {act.seq} {act.kind}: equity"
    )
    if difference:
        report.problems.append(difference)
    report.acts += 1


def _equity_after(act: OperatorAct, place: int) -> list[EquityRecord]:
    """Return the equity points of the ``place``-th act that moved money, from 0: they are numbered after all rounds."""
    points = EquityPoint.objects.filter(
        account__book=act.book, number__gt=act.book.competition.round_count
    )
    numbers = sorted(set(points.values_list("number", flat=True)))
    return equity_records(points.filter(number=numbers[place])) if place < len(numbers) else []


def _act_quotes(replay: Replay, act: OperatorAct) -> dict[str, Quote]:
    """Return the quotes that an emergency close put on the tape: the last segment before it that tells every symbol."""
    symbols = {spec.symbol for spec in replay.rules.instruments}
    segments = TapeSegment.objects.filter(book_id=act.book_id, first_position__lt=act.tape_position)
    for segment in segments.select_related("body").order_by("-seq").iterator(chunk_size=5):
        events = decode_tape(segment.body.raw().decode())
        quotes = {event.quote.symbol: event.quote for event in events if event.quote is not None}
        if quotes.keys() >= symbols:
            return quotes
    return {}


def _account_problems(competition: Competition, replay: Replay) -> Iterator[str]:
    """Compare wallets and open positions as they stand with the replayed ones, and check the standing invariants."""
    with one_view():
        yield from _account_differences(competition, replay)
    assert competition.book is not None
    yield from check_invariants(competition.book)


def _account_differences(competition: Competition, replay: Replay) -> Iterator[str]:
    if Round.objects.open().filter(competition=competition).exists():
        return
    yield from _tail_problems(competition, replay)
    for account in Account.objects.filter(book_id=competition.opened_book.pk).order_by("ordinal"):
        state = replay.states[account.ordinal]
        if account.wallet != state.wallet:
            yield f"participant {account.ordinal}: wallet stored {account.wallet}, recomputed {state.wallet}"
        held = {
            row.symbol: (row.quantity, row.entry_cost)
            for row in Position.objects.open().filter(account=account)
        }
        wanted = {
            symbol: (position.quantity, position.entry_cost)
            for symbol, position in state.positions.items()
        }
        yield from _waiting_problems(account, state)
        if held != wanted:
            yield f"participant {account.ordinal}: positions stored {_told(held)}, recomputed {_told(wanted)}"


def _tail_problems(competition: Competition, replay: Replay) -> Iterator[str]:
    """Show the accounts what came after the last closed round, and compare what it did."""
    if replay.walk is None:
        return
    book = Book.objects.get(pk=competition.opened_book.pk)
    first, last = tape_closed(competition), book.tape_position
    replay.walk.lay(first, tape_between(book.pk, first, last))
    replay.catch_up(last)
    yield from (f"after the last round: {told}" for told in replay.walk.problems)
    difference = first_difference(
        between_records(book.pk, first, last), replay.walk.take_between(), "after the last round"
    )
    if difference:
        yield difference


def _waiting_problems(account: Account, state: AccountState) -> Iterator[str]:
    """Compare the orders that wait, by their names: what is left of each and what it sets aside."""
    stored = {
        row.client_order_id: (row.quantity - row.filled_quantity, row.reserved)
        for row in Order.objects.unfinished().filter(account=account)
    }
    wanted = {name: (order.remaining, order.reserved) for name, order in state.orders.items()}
    if stored != wanted:
        yield f"participant {account.ordinal}: waiting orders stored {_told(stored)}, recomputed {_told(wanted)}"


def _told(positions: dict[str, tuple[Decimal, Decimal]]) -> str:
    return canonical_json({symbol: list(figures) for symbol, figures in positions.items()})


def _end_problems(competition: Competition, report: VerifyReport) -> Iterator[str]:
    report.digest = folded_digest(competition)
    if competition.season_digest and competition.season_digest != report.digest:
        yield f"the season digest is stored as {competition.season_digest[:16]}, recomputed {report.digest[:16]}"
    yield from broken_links()
