"""The book of a season: its tape, its operator acts, and the state that they leave it in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from competitions.domain.contract import Contract
from competitions.models import AuditEvent, Competition, Round, Turn
from competitions.models.competitions import ClockKind, CompetitionStatus
from competitions.models.rounds import RoundState
from competitions.services.journal import Row
from competitions.services.tape import quote_events
from competitions.services.verifying.columns import difference, differences
from marketdata.domain.canonical import canonical_time, sha256_text
from marketdata.services import quotes_of
from trading.domain.tape import TapeEvent, TapeKind, decode_tape, encode_tape
from trading.models import Book, OperatorAct, Order, TapeSegment
from trading.models.books import ActKind, BookState
from trading.selectors import open_positions, tape_events
from trading.selectors.acts import act_prefix
from trading.services.acts import MOVES

# Where each act leaves the book and the season.
LEADS_TO: dict[str, tuple[BookState, CompetitionStatus]] = {
    ActKind.START: (BookState.RUNNING, CompetitionStatus.RUNNING),
    ActKind.PAUSE: (BookState.PAUSED, CompetitionStatus.PAUSED),
    ActKind.RESUME: (BookState.RUNNING, CompetitionStatus.RUNNING),
    ActKind.STOP: (BookState.ENDED, CompetitionStatus.STOPPED),
    ActKind.FINISH: (BookState.ENDED, CompetitionStatus.FINISHED),
    ActKind.HALT: (BookState.HALTED, CompetitionStatus.PAUSED),
    ActKind.EMERGENCY_CLOSE: (BookState.HALTED, CompetitionStatus.STOPPED),
}
# How the audit chain calls them.
AUDITED = {
    "paused": ActKind.PAUSE,
    "resumed": ActKind.RESUME,
    "halted": ActKind.HALT,
    "stopped": ActKind.STOP,
    "finished": ActKind.FINISH,
    "emergency close": ActKind.EMERGENCY_CLOSE,
}
STARTED = "started"
ENDS = {CompetitionStatus.STOPPED, CompetitionStatus.FINISHED}


@dataclass(slots=True)
class ActTrail:
    """Where the acts on record lead: state and epoch of the book, status of the season, and the last act that ended it."""

    state: BookState = BookState.RUNNING
    status: CompetitionStatus = CompetitionStatus.RUNNING
    epoch: int = 0
    count: int = 0
    ending: OperatorAct | None = None
    problems: list[str] = field(default_factory=list)


def follow_acts(book: Book) -> ActTrail:
    """Walk the book's acts in their order."""
    trail = ActTrail()
    for act in OperatorAct.objects.filter(book=book).order_by("seq"):
        trail.count += 1
        if act.seq != trail.count:
            trail.problems.append(f"act {trail.count} is missing, found {act.seq}")
            trail.count = act.seq
        _follow(trail, act)
    if (
        book.state == BookState.HALTED
        and book.acts == trail.count + 1
        and _has_reserved(trail, book)
    ):
        # An emergency close that was cut off: its number is reserved, its row comes when somebody finishes it.
        trail.count += 1
        trail.epoch += trail.state != BookState.HALTED
        trail.state, trail.status = BookState.HALTED, CompetitionStatus.STOPPED
    return trail


def _has_reserved(trail: ActTrail, book: Book) -> bool:
    """Tell whether a close may be at work: there was none before it, or it found something to close."""
    if trail.ending is None:
        return True
    orders = Order.objects.filter(account__book=book)
    own = orders.filter(client_order_id__startswith=act_prefix(book, trail.count + 1))
    return own.exists() or open_positions(book).exists()


def _follow(trail: ActTrail, act: OperatorAct) -> None:
    if act.kind not in LEADS_TO:
        trail.problems.append(f"act {act.seq}: kind stored {act.kind}, which there is none of")
        return
    state, status = LEADS_TO[act.kind]
    is_repeated = act.kind == ActKind.EMERGENCY_CLOSE and trail.state == BookState.HALTED
    if not is_repeated:
        if state not in MOVES[trail.state] and act.kind != ActKind.START:
            trail.problems.append(
                f"act {act.seq}: kind stored {act.kind}, in a book that is {trail.state}"
            )
        trail.epoch += 1
    trail.state, trail.status = state, status
    if status in ENDS and not trail.ending:
        trail.ending = act


def book_problems(competition: Competition, contract: Contract, trail: ActTrail) -> Iterator[str]:
    """Yield the columns of the book that are not what contract, acts and tape make of them."""
    book = competition.opened_book
    wanted: Row = {
        "code": _code_of_turns(competition) or book.code,
        "venue": contract.venue,
        "state": trail.state.value,
        "epoch": trail.epoch,
        "rules": contract.rules.to_json(),
        **tape_counters(book),
        "acts": trail.count,
        "funded_at": _funded_at(book),
    }
    yield from differences("book", book, wanted)


def _funded_at(book: Book) -> dict[str, str]:
    """Return the last stamp that the tape tells of each symbol."""
    stamps: dict[str, str] = {}
    if book.frozen_rules().needs_ticks:
        for event in tape_events(book.pk):
            if event.kind in {TapeKind.FUNDING, TapeKind.NIGHT}:
                stamps |= dict.fromkeys(event.marks, canonical_time(event.at))
    return stamps


def tape_counters(book: Book) -> Row:
    """Return the columns of a book that count its tape."""
    segments = TapeSegment.objects.filter(book=book)
    last = segments.order_by("-seq").first()
    return {
        "tape_position": last.first_position + last.count if last else 0,
        "tape_segments": segments.count(),
    }


def _code_of_turns(competition: Competition) -> str:
    """Return the code in the keys of the season's first turn, which was given with the book; empty without turns."""
    turns = Turn.objects.filter(round__competition=competition)
    key = turns.order_by("round__number", "participant__ordinal").values_list("turn_key", flat=True)
    return (key.first() or "").partition("-")[0]


def tape_problems(competition: Competition, contract: Contract) -> Iterator[str]:
    """Yield the columns of tape segments that do not follow from one another, their text or the snapshots."""
    known = _known_bodies(competition, contract)
    position = 0
    segments = TapeSegment.objects.filter(book_id=competition.opened_book.pk)
    for place, segment in enumerate(
        segments.select_related("body").order_by("seq").iterator(chunk_size=100), start=1
    ):
        name = f"tape segment {place}"
        try:
            count = len(decode_tape(segment.body.raw().decode()))
        except ValueError as error:
            yield f"{name}: its text cannot be read: {error}"
            count = segment.count
        wanted: Row = {"seq": place, "first_position": position, "count": count}
        if position in known:
            wanted["body_id"] = known[position]
        yield from differences(name, segment, wanted)
        position += count


def _known_bodies(competition: Competition, contract: Contract) -> dict[int, str]:
    """Return the hashes of the segments whose text follows from a snapshot, by first position."""
    known: dict[int, str] = {}
    quotes = ""
    told: list[TapeEvent] = []
    rounds = Round.objects.filter(competition=competition, snapshot__isnull=False)
    for round_ in rounds.select_related("snapshot").order_by("number").iterator(chunk_size=100):
        assert round_.snapshot is not None
        manifest = round_.snapshot.content()
        told = quote_events(quotes_of(manifest))
        opens = quote_events(quotes_of(manifest, key="opens"))
        quotes = sha256_text(encode_tape(told))
        if round_.has_data:
            known[round_.first_tape_position] = sha256_text(encode_tape([*told, *opens]))
    if contract.clock == ClockKind.DATA and quotes:
        for act in OperatorAct.objects.filter(book_id=competition.opened_book.pk):
            if act.kind == ActKind.EMERGENCY_CLOSE:
                # It closes at the last snapshot's quotes, written right before it.
                known.setdefault(act.tape_position - len(told), quotes)
    return known


def act_problems(competition: Competition, boundaries: set[int]) -> Iterator[str]:
    """Yield what is wrong with the acts: against the audit chain, the rounds and the tape."""
    acts = list(OperatorAct.objects.filter(book_id=competition.opened_book.pk).order_by("seq"))
    entries = [entry for entry in _entries(competition) if entry.action in AUDITED]
    spans = _spans(competition)
    shown = _market_shown(competition)
    had_close = False
    for act in acts:
        name = f"act {act.seq}"
        if not (act.kind == ActKind.EMERGENCY_CLOSE and had_close and not entries):
            yield from _against_audit(name, act, entries.pop(0) if entries else None)
        had_close = had_close or act.kind == ActKind.EMERGENCY_CLOSE
        if act.tape_position not in boundaries:
            yield f"{name}: tape_position stored {act.tape_position}, no segment of the tape ends there"
        yield from _against_rounds(name, act, spans, shown)
        if act.kind != ActKind.EMERGENCY_CLOSE and act.digest:
            yield difference(name, "digest", act.digest, "")


def started_entry(competition: Competition) -> AuditEvent | None:
    """Return the audit chain's entry on the season's start, by its contract and its address or time; None when there is none."""
    found = [
        entry
        for entry in AuditEvent.objects.filter(action=STARTED).order_by("-seq")
        if entry.detail.get("contract") == competition.contract_hash
    ]
    own = [entry for entry in found if entry.subject == competition.slug]
    then = [entry for entry in found if entry.at == competition.started_at]
    return next(iter([*own, *then]), None)


def _entries(competition: Competition) -> list[AuditEvent]:
    """Return the audit chain's entries on this season, from its start on; empty when there is none on its start."""
    started = started_entry(competition)
    if started is None:
        return []
    entries = AuditEvent.objects.filter(subject=started.subject, seq__gte=started.seq)
    return list(entries.order_by("seq"))


def ending_entry(competition: Competition) -> AuditEvent | None:
    """Return the audit chain's entry on the season's end, None when there is none."""
    ends = {word for word, kind in AUDITED.items() if LEADS_TO[kind][1] in ENDS}
    return next((entry for entry in _entries(competition) if entry.action in ends), None)


def extra_entries(competition: Competition) -> dict[str, str]:
    """Return who asked for each extra round by the audit chain, by the round's number as text."""
    return {
        entry.detail.get("round", ""): entry.actor
        for entry in _entries(competition)
        if entry.action == "extra round"
    }


def _against_audit(name: str, act: OperatorAct, entry: AuditEvent | None) -> Iterator[str]:
    if entry is None:
        yield f"{name}: kind stored {act.kind}, the audit chain tells of no such act"
        return
    kind = AUDITED[entry.action]
    wanted: Row = {"kind": kind.value}
    if kind != ActKind.EMERGENCY_CLOSE or act.at == entry.at:
        # A close that was cut off is finished by whoever comes next, at a later time.
        wanted["actor"] = entry.actor[:150]
        wanted["reason"] = entry.detail.get("reason", "")[:300]
    yield from differences(name, act, wanted)


@dataclass(frozen=True, slots=True)
class _Span:
    """A round between its opening and its close, or the time before the first: tape positions and market times."""

    first: int
    last: int
    opened_at: datetime
    closed_at: datetime


def _spans(competition: Competition) -> list[_Span]:
    assert competition.starts_at is not None
    spans = [_Span(0, 0, competition.starts_at, competition.starts_at)]
    for row in Round.objects.filter(competition=competition).order_by("number"):
        before = spans[-1]
        is_open = row.state == RoundState.OPEN or row.marked_at is None
        opened_at = max(before.closed_at, row.slot_at)
        closed_at = opened_at if is_open or not row.marked_at else max(opened_at, row.marked_at)
        first = row.first_tape_position or before.last
        spans.append(_Span(first, row.last_tape_position or first, opened_at, closed_at))
    return spans


def _market_shown(competition: Competition) -> list[int]:
    """Return where the tape of a season in the time of data shows the market between rounds: that is done before the later round."""
    if competition.clock != ClockKind.DATA:
        return []
    between = {TapeKind.BARS, TapeKind.FUNDING, TapeKind.NIGHT}
    events = tape_events(competition.opened_book.pk)
    return [place for place, event in enumerate(events) if event.kind in between]


def _against_rounds(
    name: str, act: OperatorAct, spans: list[_Span], shown: list[int]
) -> Iterator[str]:
    """Yield where the act can not have been: every act is after one round and before what was shown of the market before the next."""
    is_last = act.kind in {ActKind.STOP, ActKind.FINISH, ActKind.EMERGENCY_CLOSE}
    if act.after_round >= len(spans) or (is_last and act.after_round != len(spans) - 1):
        yield difference(name, "after_round", act.after_round, len(spans) - 1)
        return
    span = spans[act.after_round]
    before = spans[act.after_round - 1].last if act.after_round else 0
    following = spans[act.after_round + 1].first if act.after_round + 1 < len(spans) else None
    following = next((place for place in shown if place >= span.last), following)
    if act.tape_position < before or (following is not None and act.tape_position > following):
        yield f"{name}: tape_position stored {act.tape_position}, it came after round {act.after_round}"
    if act.kind != ActKind.EMERGENCY_CLOSE and act.market_at not in {
        span.opened_at,
        span.closed_at,
    }:
        yield difference(name, "market_at", act.market_at, span.closed_at)
