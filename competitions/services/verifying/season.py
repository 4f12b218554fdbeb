"""Verify a season: everything recomputed from tape, snapshots, decision texts and acts, and compared with what is stored."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import takewhile
from typing import Any

from django.core.exceptions import ObjectDoesNotExist

from agents.domain.decisions import instruction_from_json, instruction_json
from agents.domain.parsing import parse_decision
from agents.models import Decision
from agents.models.answers import DecisionStatus
from competitions.domain.contract import Contract, contract_hash
from competitions.domain.differences import first_difference
from competitions.domain.digests import RoundRecord, TurnRecord, round_digest
from competitions.models import Competition, Round, Turn
from competitions.models.competitions import ClockKind
from competitions.models.rounds import LegVerdict, RoundKind, TurnOutcome
from competitions.services.audit import broken_links
from competitions.services.checking import extra_problems, missing_rounds, order_problems
from competitions.services.checking import tape_problems as quote_problems
from competitions.services.closing import folded_digest
from competitions.services.journal import Journal, Scene
from competitions.services.records import (
    between_records,
    round_record,
    tape_before,
    tape_closed,
)
from competitions.services.replaying import OUTSIDE_CODES, LegTiming, Replay
from competitions.services.settling import outcome_of
from competitions.services.tape import quotes_at, tape_between
from competitions.services.verifying.acts import acts_by_round, replay_act
from competitions.services.verifying.answers import answer_problems, text_problems
from competitions.services.verifying.book import (
    act_problems,
    book_problems,
    extra_entries,
    follow_acts,
    tape_problems,
)
from competitions.services.verifying.ledger import LedgerCheck
from competitions.services.verifying.report import VerifyReport
from competitions.services.verifying.rounds import (
    leg_problems,
    link_problems,
    round_problems,
    slot_problems,
    timing_problems,
    turn_problems,
)
from competitions.services.verifying.terms import (
    gap_problems,
    open_rounds,
    roster_problems,
    season_problems,
)
from marketdata.domain.facts import Quote
from marketdata.feeds import open_feed
from marketdata.models import Blob
from marketdata.services import quotes_of
from trading.domain.rules import FillRule
from trading.domain.tape import TapeEvent, TapeKind, decode_tape
from trading.models import Book, Fill, OperatorAct, TapeSegment
from trading.models.orders import OrderCause
from trading.selectors import check_invariants, one_view

READABLE = {TurnOutcome.TRADED, TurnOutcome.HELD, TurnOutcome.DENIED}
PARSED = {DecisionStatus.VALID, DecisionStatus.REPAIRED, DecisionStatus.INVALID}


# What a record that was tampered with may raise on the way through the engine.
UNREADABLE = (
    ArithmeticError,
    AssertionError,
    LookupError,
    ObjectDoesNotExist,
    TypeError,
    ValueError,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Edge:
    """How far a season has come; while this stays the same and no round is open, nothing is booked."""

    rounds: int
    is_playing: bool
    acts: int
    tape_position: int


@dataclass(slots=True)
class Run:
    """A season being recomputed: what was found so far, and the accounts as they are by now.

    ``edge`` tells how far the season had come at the beginning.
    """

    competition: Competition
    contract: Contract
    report: VerifyReport
    journal: Journal
    replay: Replay
    ledger: LedgerCheck
    boundaries: set[int]
    acts: dict[int, list[OperatorAct]]
    asked_by: dict[str, str]
    edge: Edge
    place: int = 0

    def tell(self, problems: Iterable[str]) -> bool:
        """Keep the problems; where a record cannot be read, that is one, and the rest was not looked at: then return False."""
        try:
            for problem in problems:
                self.report.problems.append(problem)
        except UNREADABLE as error:
            self.report.problems.append(f"a record cannot be read: {error!r}")
            return False
        return True


def verify_season(competition: Competition) -> VerifyReport:
    """Recompute a started season and report every row that disagrees, by its natural key and column.

    Reads the season anew from the database. Of a season that runs, what is being played now is left out.
    """
    with one_view():
        return _verify(competition)


def _verify(competition: Competition) -> VerifyReport:
    competition = Competition.objects.select_related("book", "feed").get(pk=competition.pk)
    report = VerifyReport()
    report.problems.extend(_contract_problems(competition))
    if report.problems:
        return report
    run = _begin(competition, report)
    _walk(run)
    _tail(run)
    _verify_rest(run)
    return report


def recompute_season(competition: Competition) -> Run:
    """Recompute the rounds of a started season; its report holds what is wrong with the records of rounds, and nothing else.

    Raises:
        ValueError: When the contract that all follows from was changed.
    """
    competition = Competition.objects.select_related("book", "feed").get(pk=competition.pk)
    for problem in _contract_problems(competition):
        raise ValueError(problem)
    run = _begin(competition, VerifyReport())
    run.report.problems.clear()
    _walk(run)
    _tail(run)
    return run


def _walk(run: Run) -> None:
    rounds = (
        Round.objects.closed()
        .filter(competition=run.competition)
        .select_related("snapshot", "competition__book")
        .order_by("number")
    )
    for round_ in rounds.iterator(chunk_size=100):
        _verify_round(run, round_)


def _begin(competition: Competition, report: VerifyReport) -> Run:
    """Check what is no round's, and return the run with its accounts opened."""
    book = competition.opened_book
    contract = Contract.from_json(competition.contract)
    journal = Journal(contract.rules, book.code)
    replay = Replay(contract, open_feed(competition.feed), journal)
    journal.open_accounts(replay.states, at=contract.starts_at)
    run = Run(
        competition=competition,
        contract=contract,
        report=report,
        journal=journal,
        replay=replay,
        ledger=LedgerCheck(book, journal),
        boundaries=_boundaries(book),
        acts=acts_by_round(competition),
        asked_by=extra_entries(competition),
        edge=edge_of(competition),
    )
    if book.rules != contract.rules.to_json():
        run.tell(["book: rules: the book's rules are not those of the contract"])
    run.tell(tape_problems(competition, contract))
    run.tell(missing_rounds(competition))
    run.tell(extra_problems(competition))
    run.tell(open_rounds(competition))
    run.tell(gap_problems(competition, contract))
    run.tell(run.ledger.piece())
    return run


def _boundaries(book: Book) -> set[int]:
    """Return the positions at which a segment of the tape begins or ends."""
    spans = TapeSegment.objects.filter(book=book).values_list("first_position", "count")
    return {0} | {first for first, _ in spans} | {first + count for first, count in spans}


def edge_of(competition: Competition) -> Edge:
    """Return how far the season has come by now."""
    rounds = Competition.objects.values_list("round_count", flat=True).get(pk=competition.pk)
    book = Book.objects.get(pk=competition.opened_book.pk)
    return Edge(
        rounds=rounds,
        is_playing=Round.objects.open().filter(competition=competition).exists(),
        acts=book.acts,
        tape_position=book.tape_position,
    )


def _contract_problems(competition: Competition) -> Iterator[str]:
    name = f"season {competition.slug}"
    if contract_hash(competition.contract) != competition.contract_hash:
        yield (
            f"{name}: contract and contract_hash differ: the contract's text does not hash to "
            f"{competition.contract_hash}"
        )
        return
    if competition.book is None:
        yield f"{name}: book stored nothing, a started season has one"


def _verify_round(run: Run, round_: Round) -> None:
    acts = run.acts.pop(round_.number, [])
    run.place += round_.kind == RoundKind.SCHEDULED
    run.tell(text_problems(round_))
    run.tell(order_problems(round_))
    run.tell(answer_problems(round_, run.contract))
    if not run.tell(_round_differences(run, round_, acts)):
        run.tell(link_problems(round_))
    run.tell(run.ledger.piece())


def _round_differences(run: Run, round_: Round, acts: list[OperatorAct]) -> Iterator[str]:
    report = run.report
    stored = round_record(round_)
    report.rounds += 1
    report.turns += len(stored.turns)
    report.fills += sum(len(turn.fills) for turn in stored.turns)
    computed = _recompute(run, round_, stored, acts)
    difference = first_difference(_sorted(stored), _sorted(computed))
    if difference:
        yield f"round {round_.number}: {difference}"
    if round_digest(computed) != round_.digest:
        yield f"round {round_.number}: digest stored {round_.digest[:16]}, recomputed {round_digest(computed)[:16]}"
    yield from round_problems(
        round_, run.contract, computed, boundaries=run.boundaries, asked_by=run.asked_by
    )
    yield from slot_problems(round_, run.contract, run.place)
    yield from turn_problems(
        round_, run.contract, computed, boundaries=run.boundaries, wiped_out=run.journal.wiped_out
    )
    yield from leg_problems(round_, computed, run.journal)
    yield from timing_problems(round_, run.contract, boundaries=run.boundaries)


def _tail(run: Run) -> None:
    """Show the accounts what came after the last closed round; of a season that stands still."""
    walk = run.replay.walk
    if walk is None or run.edge.is_playing:
        return
    book_id = run.competition.opened_book.pk
    first, last = tape_closed(run.competition), run.edge.tape_position
    walk.lay(first, tape_between(book_id, first, last))
    run.replay.catch_up(last)
    run.tell(f"after the last round: {told}" for told in walk.take_problems())
    difference = first_difference(
        between_records(book_id, first, last), walk.take_between(), "after the last round"
    )
    if difference:
        run.tell([difference])
    run.tell(run.ledger.piece())


def _verify_rest(run: Run) -> None:
    """Check acts, book, season and audit chain, and what follows from all rounds if none is being played."""
    competition = run.competition
    book = competition.opened_book
    trail = follow_acts(book)
    run.tell(trail.problems)
    run.tell(act_problems(competition, run.boundaries))
    if not run.edge.is_playing and edge_of(competition) == run.edge:
        run.tell(book_problems(competition, run.contract, trail))
        run.tell(season_problems(competition, run.contract, trail))
        run.tell(
            roster_problems(
                competition, run.contract, run.ledger.seats, wiped_out=run.journal.wiped_out
            )
        )
        run.tell(run.ledger.waiting())
        run.tell(run.ledger.projections(run.replay))
        run.tell(run.ledger.strays())
    run.tell(_invariant_problems(book))
    run.tell(_end_problems(competition, run.report))


def _invariant_problems(book: Book) -> Iterator[str]:
    yield from check_invariants(book)


def _sorted(record: RoundRecord) -> RoundRecord:
    return replace(record, turns=sorted(record.turns, key=lambda turn: turn.ordinal))


def _span(round_: Round) -> dict[str, int]:
    assert round_.last_tape_position is not None
    return {
        "first_position__gte": round_.first_tape_position,
        "first_position__lt": round_.last_tape_position,
    }


def _recompute(
    run: Run, round_: Round, stored: RoundRecord, acts: list[OperatorAct]
) -> RoundRecord:
    assert round_.snapshot is not None
    manifest = round_.snapshot.content()
    quotes = quotes_of(manifest) if round_.has_data else {}
    opens = quotes_of(manifest, key="opens") if round_.has_data else {}
    run.tell(quote_problems(round_, quotes, opens))
    rows = {
        turn.participant.ordinal: turn
        for turn in Turn.objects.filter(round=round_)
        .select_related("participant", "round", "decision__completion")
        .prefetch_related("legs")
    }
    marks = {symbol: quote.mark for symbol, quote in quotes.items()}
    walk = run.replay.walk
    after = round_.first_tape_position + len(quotes) + len(opens)
    # Where on the tape the turns' orders may have taken effect; on the wall clock it is on record alone.
    still: range | None = None
    if walk is not None:
        first = tape_before(round_)
        book_id = round_.competition.opened_book.pk
        tape = tape_between(book_id, first, round_.last_tape_position or 0)
        walk.lay(first, tape)
        if run.contract.clock == ClockKind.DATA:
            still = range(after, after + _changes_of_state(tape[after - first :]) + 1)
    turns = []
    for record in sorted(stored.turns, key=lambda turn: turn.ordinal):
        turn = rows[record.ordinal]
        fills = _fill_quotes(run.contract, turn, quotes, opens)
        timings = _timings(turn, still) if walk is not None else None
        run.journal.scene = _scene(run.contract, turn, fills, after, timings or {})
        turns.append(_recompute_turn(run.replay, run.contract, turn, record, fills, marks, timings))
    early = [act for act in acts if act.tape_position <= (round_.last_tape_position or 0)]
    for act in early:
        run.tell(replay_act(run.report, run.replay, run.journal, act))
    marked_at, closing = _closing_marks(round_, marks)
    between = None
    if walk is not None:
        run.replay.catch_up(round_.last_tape_position or 0)
        between = walk.take_between()
        run.tell(f"round {round_.number}: {told}" for told in walk.take_problems())
        run.report.fills += sum(len(item.fills) for item in between)
    equity = run.replay.mark(closing)
    run.journal.mark(run.replay.states, number=round_.number, at=marked_at)
    computed = replace(stored, turns=turns, marked_at=marked_at, equity=equity, between=between)
    for act in acts:
        if act not in early:
            run.tell(replay_act(run.report, run.replay, run.journal, act))
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


def _scene(
    contract: Contract,
    turn: Turn,
    quotes: dict[str, Quote],
    after: int,
    timings: Mapping[int, LegTiming],
) -> Scene:
    """Return what the turn's orders have in common; ``after`` is the tape position after the snapshot."""
    is_arrival = contract.rules.fill_rule == FillRule.ARRIVAL
    if is_arrival and turn.tape_position is not None:
        after = turn.tape_position + len(quotes)
    return Scene(
        cause=OrderCause.INSTRUCTION,
        prefix=f"a{turn.turn_key}-",
        turn_key=turn.turn_key,
        market_at=turn.round.slot_at,
        tape_position=after,
        is_arrival=is_arrival,
        earlier={f"a{turn.turn_key}-{leg}": item.accepted for leg, item in timings.items()},
        filled={
            f"a{turn.turn_key}-{leg}": item.filled
            for leg, item in timings.items()
            if item.filled is not None
        },
    )


def _changes_of_state(events: Iterable[TapeEvent]) -> int:
    """Return with how many changes of the book's state the events begin."""
    return len(list(takewhile(lambda event: event.kind is TapeKind.STATE, events)))


def _timings(turn: Turn, still: range | None) -> dict[int, LegTiming]:
    """Return where on the tape the turn's legs and their first fills took effect.

    In the time of data the market stands still meanwhile: after the snapshot, the first position of ``still``, or after a change of the
    book's state that came then, one of the others. None on the wall clock.
    """

    def told(position: int) -> int:
        return position if still is None or position in still else still[0]

    fills: dict[Any, int] = {}
    arrived = Fill.objects.filter(order__turn_key=turn.turn_key, by_market=False)
    for fill in arrived.order_by("-seq"):
        fills[fill.order_id] = told(fill.tape_position)
    return {
        leg.index: LegTiming(told(leg.tape_position), fills.get(leg.order_id))
        for leg in turn.legs.all()
    }


def _recompute_turn(
    replay: Replay,
    contract: Contract,
    turn: Turn,
    record: TurnRecord,
    quotes: dict[str, Quote],
    marks: dict[str, Decimal],
    timings: Mapping[int, LegTiming] | None,
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
        timings=timings,
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


def _end_problems(competition: Competition, report: VerifyReport) -> Iterator[str]:
    report.digest = folded_digest(competition)
    is_sealed = competition.is_over and not Round.objects.open().filter(competition=competition)
    if (is_sealed or competition.season_digest) and competition.season_digest != report.digest:
        yield f"season {competition.slug}: season_digest: the season digest is stored as {competition.season_digest[:16]}, recomputed {report.digest[:16]}"
    yield from broken_links()
