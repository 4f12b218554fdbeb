"""What organisers and operators do to a season: start, pause, resume, stop, finish, emergency close."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F

from agents.services import lock_template
from competitions.domain.agreement import agreed_hash
from competitions.domain.contract import Contract, contract_hash
from competitions.models import Competition, Round, Turn
from competitions.models.competitions import ClockKind, CompetitionStatus
from competitions.models.events import EventKind
from competitions.models.participants import ParticipantState
from competitions.models.rounds import TurnOutcome, TurnState
from competitions.services.audit import record_act
from competitions.services.closing import (
    close_settled_rounds,
    mark_after_close,
    seal_season,
)
from competitions.services.errors import ContractChanged, ControlError
from competitions.services.events import record_events
from competitions.services.market import closing_quotes
from competitions.services.setup import draw_contract, problems_of, start_moves
from competitions.services.tape import quote_events
from trading import services as trading
from trading.models.books import ActKind, BookState
from trading.selectors import open_positions
from trading.services import BookStateError

SYSTEM = "system"
ENDED = {CompetitionStatus.FINISHED, CompetitionStatus.STOPPED, CompetitionStatus.FAILED}
# From which states a season can be started, scheduled and so on.
ALLOWED: Mapping[str, frozenset[CompetitionStatus]] = {
    "started": frozenset({CompetitionStatus.DRAFT, CompetitionStatus.SCHEDULED}),
    "scheduled": frozenset({CompetitionStatus.DRAFT}),
    "paused": frozenset({CompetitionStatus.RUNNING}),
    "resumed": frozenset({CompetitionStatus.PAUSED}),
    "stopped": frozenset({CompetitionStatus.RUNNING, CompetitionStatus.PAUSED}),
    "finished": frozenset({CompetitionStatus.RUNNING, CompetitionStatus.PAUSED}),
}


@dataclass(frozen=True, slots=True)
class CloseLine:
    """What became of one position at an emergency close; quantities are signed as the position was."""

    participant: str
    symbol: str
    quantity: str
    filled: str
    message: str


@dataclass(frozen=True, slots=True)
class CloseReport:
    """Every position of the book at an emergency close; ``is_flat`` only when nothing is left open.

    ``note`` tells when the quotes of the close were not those of now.
    """

    lines: tuple[CloseLine, ...]
    is_flat: bool
    note: str = ""


def why_not(competition: Competition, word: str) -> str:
    """Return why its state keeps a season from being ``word``, one of ALLOWED; empty when it may be tried."""
    allowed = ALLOWED[word]
    if competition.status in allowed:
        return ""
    wanted = " or ".join(sorted(allowed))
    return f"{competition.slug} cannot be {word}: it is {competition.status}, {wanted} is wanted"


def start_competition(
    competition: Competition, *, actor: str, now: datetime, agreed: str = ""
) -> Competition:
    """Freeze the contract, open the book with one account each, and let the rounds begin.

    ``agreed`` is the hash of what somebody was shown and confirmed (:func:`agreed_hash`); empty where nobody was asked.

    Raises:
        ControlError: If it was started before, or naming every problem that keeps it from starting.
        ContractChanged: If the contract is another than the one agreed to.
    """
    problems = problems_of(competition)
    if problems:
        raise ControlError("; ".join(problems))
    with transaction.atomic():
        locked = _lock(competition, "started")
        contract = draw_contract(locked, now=now)
        _refuse_other(locked, contract, agreed, now=now)
        roster = list(
            locked.participants.select_related("agent__template", "agent__provider").order_by(
                "ordinal"
            )
        )
        for template in {participant.agent.template for participant in roster}:
            lock_template(template, now=now)
        book = trading.open_book(
            venue=contract.venue,
            rules=contract.rules,
            roster=[participant.ordinal for participant in roster],
            capital=contract.initial_capital,
            market_at=contract.starts_at,
            now=now,
        )
        _seat(roster, {account.ordinal: account for account in book.accounts.all()})
        locked.book = book
        locked.contract = contract.to_json()
        locked.contract_hash = contract_hash(locked.contract)
        locked.starts_at, locked.ends_at = contract.starts_at, contract.ends_at
        locked.status = CompetitionStatus.RUNNING
        locked.started_at = now
        locked.market_at = contract.starts_at
        locked.next_due_at = contract.starts_at if contract.clock == ClockKind.WALL else now
        locked.save()
        record_events(
            locked,
            (EventKind.COMPETITION_STARTED, {"contract_hash": locked.contract_hash}),
            now=now,
        )
        record_act("started", locked.slug, actor=actor, now=now, contract=locked.contract_hash)
    return locked


def _refuse_other(
    competition: Competition, contract: Contract, agreed: str, *, now: datetime
) -> None:
    if agreed and agreed != agreed_hash(contract, start_moves=start_moves(competition, now=now)):
        raise ContractChanged(
            f"{competition.slug} has another contract now than the one that was confirmed"
        )


def schedule_competition(
    competition: Competition, *, actor: str, now: datetime, agreed: str = ""
) -> Competition:
    """Let the clock start a draft at its time; its contract is frozen only then.

    ``agreed`` is as for :func:`start_competition`.

    Raises:
        ControlError: Without a start in the future, or naming every problem that would keep it from starting.
        ContractChanged: If the contract is another than the one agreed to.
    """
    problems = problems_of(competition)
    if (
        competition.clock != ClockKind.WALL
        or not competition.starts_at
        or competition.starts_at <= now
    ):
        problems.append("a start in the future, on the wall clock, is wanted to schedule a season")
    if problems:
        raise ControlError("; ".join(problems))
    with transaction.atomic():
        locked = _lock(competition, "scheduled")
        _refuse_other(locked, draw_contract(locked, now=now), agreed, now=now)
        locked.status = CompetitionStatus.SCHEDULED
        locked.save(update_fields=["status"])
        record_act("scheduled", locked.slug, actor=actor, now=now)
    return locked


def _seat(roster: list, accounts: dict) -> None:  # type: ignore[type-arg]
    models = baselines = 0
    for participant in roster:
        if participant.is_baseline:
            baselines += 1
            participant.colour_slot = baselines
        else:
            models += 1
            participant.colour_slot = (models - 1) % 12 + 1
        participant.account = accounts[participant.ordinal]
        participant.state = ParticipantState.ACTIVE
        participant.save(update_fields=["account", "state", "colour_slot"])


def pause_competition(
    competition: Competition, *, actor: str, reason: str, after_round: bool, now: datetime
) -> Competition:
    """Pause now (unanswered turns are cancelled, no exposure grows any more), or when the running round has closed."""
    if after_round and Round.objects.open().filter(competition=competition).exists():
        with transaction.atomic():
            locked = _lock(competition, "paused")
            locked.pause_after_round = True
            locked.save(update_fields=["pause_after_round"])
            record_act("pause after round", locked.slug, actor=actor, now=now, reason=reason)
        return locked
    with transaction.atomic():
        locked = _lock(competition, "paused")
        _act(locked, BookState.PAUSED, ActKind.PAUSE, actor=actor, reason=reason, now=now)
        stranded = _cancel_stranded(locked, now=now)
        locked.status = CompetitionStatus.PAUSED
        locked.pause_after_round = False
        locked.save(update_fields=["status", "pause_after_round"])
        cancel_unanswered(locked, reason=f"paused by {actor}", now=now)
        record_events(
            locked, (EventKind.COMPETITION_PAUSED, {"by": actor, "reason": reason}), now=now
        )
        record_act("paused", locked.slug, actor=actor, now=now, reason=reason, **stranded)
    close_settled_rounds(locked, now=now)
    return locked


def halt_competition(competition: Competition, *, reason: str, now: datetime) -> Competition:
    """Halt the book of a running season and pause it: nothing is traded until an operator resumes it; unanswered turns are cancelled.

    For the arena itself, when it finds that a season which trades for real disagrees with its records.
    """
    with transaction.atomic():
        locked = _lock(competition, "paused")
        _act(locked, BookState.HALTED, ActKind.HALT, actor=SYSTEM, reason=reason, now=now)
        locked.status = CompetitionStatus.PAUSED
        locked.pause_after_round = False
        locked.save(update_fields=["status", "pause_after_round"])
        cancel_unanswered(locked, reason=f"halted: {reason}", now=now)
        record_events(
            locked, (EventKind.COMPETITION_PAUSED, {"by": SYSTEM, "reason": reason}), now=now
        )
        record_act("halted", locked.slug, actor=SYSTEM, now=now, reason=reason)
    close_settled_rounds(locked, now=now)
    return locked


def resume_competition(competition: Competition, *, actor: str, now: datetime) -> Competition:
    """Let the rounds go on; the slots that passed meanwhile become one gap."""
    with transaction.atomic():
        locked = _lock(competition, "resumed")
        _act(locked, BookState.RUNNING, ActKind.RESUME, actor=actor, reason="", now=now)
        locked.status = CompetitionStatus.RUNNING
        locked.next_due_at = now
        locked.save(update_fields=["status", "next_due_at"])
        record_events(locked, (EventKind.COMPETITION_RESUMED, {"by": actor}), now=now)
        record_act("resumed", locked.slug, actor=actor, now=now)
    return locked


def stop_competition(
    competition: Competition, *, actor: str, reason: str, now: datetime
) -> Competition:
    """End the season here: unanswered turns are cancelled, positions stay valued at the mark."""
    with transaction.atomic():
        locked = _lock(competition, "stopped")
        _act(locked, BookState.ENDED, ActKind.STOP, actor=actor, reason=reason, now=now)
        stranded = _cancel_stranded(locked, now=now)
        cancel_unanswered(locked, reason=f"stopped by {actor}", now=now)
        record_act("stopped", locked.slug, actor=actor, now=now, reason=reason, **stranded)
        _end(locked, CompetitionStatus.STOPPED, reason or f"stopped by {actor}", now=now)
    close_settled_rounds(locked, now=now)
    return seal_season(locked, EventKind.COMPETITION_STOPPED, now=now)


def why_not_closed(competition: Competition) -> str:
    """Return why an emergency close would be refused; empty when it may be tried."""
    if competition.book is None:
        return f"{competition.slug} has not started, there is nothing to close"
    if competition.book.state == BookState.ENDED:
        return f"{competition.slug} is over and its book has ended: nothing can be traded in it any more"
    return ""


def halt_at_once(
    competition: Competition, *, actor: str, reason: str, now: datetime
) -> Competition:
    """Halt the book, cancel unanswered turns and end the season: the first half of an emergency close, without a network in it.

    A season that is halted is left as it is.
    """
    with transaction.atomic():
        locked = (
            Competition.objects.select_for_update(of=("self",))
            .select_related("book", "feed")
            .get(pk=competition.pk)
        )
        refusal = why_not_closed(locked)
        if refusal:
            raise ControlError(refusal)
        if locked.status in {CompetitionStatus.RUNNING, CompetitionStatus.PAUSED}:
            trading.halt_book(locked.opened_book.pk, now=now)
            cancel_unanswered(locked, reason=f"emergency close by {actor}", now=now)
            record_act("emergency close", locked.slug, actor=actor, now=now, reason=reason)
            _end(
                locked,
                CompetitionStatus.STOPPED,
                f"emergency close by {actor}" + (f": {reason}" if reason else ""),
                now=now,
            )
    return locked


def emergency_close(
    competition: Competition, *, actor: str, reason: str, now: datetime
) -> CloseReport:
    """Halt the book, then close every position at market; may be repeated until flat, needs neither Redis nor workers."""
    locked = halt_at_once(competition, actor=actor, reason=reason, now=now)
    close_settled_rounds(locked, now=now)
    closing = closing_quotes(locked, now=now)
    quotes = closing.quotes
    trading.append_tape(locked.opened_book.pk, quote_events(quotes), now=now)
    market_at = max((quote.at for quote in quotes.values()), default=locked.market_at or now)
    results = trading.close_all(
        locked.opened_book.pk,
        quotes,
        actor=actor,
        reason=reason,
        market_at=market_at,
        after_round=locked.round_count,
        now=now,
    )
    marks = {symbol: quote.mark for symbol, quote in quotes.items()}
    mark_after_close(locked, marks, market_at=market_at, now=now)
    seal_season(locked, EventKind.COMPETITION_STOPPED, now=now)
    return _close_report(locked, results, note=closing.note if results else "")


def _close_report(
    competition: Competition, results: list[trading.CloseResult], *, note: str
) -> CloseReport:
    names = dict(competition.participants.values_list("ordinal", "name"))
    lines = tuple(
        CloseLine(
            names[result.ordinal],
            result.symbol,
            f"{result.quantity:f}",
            f"{result.filled:f}",
            "closed" if result.is_closed else result.message or "still open",
        )
        for result in results
    )
    assert competition.book is not None
    return CloseReport(lines, is_flat=not open_positions(competition.book).exists(), note=note)


def finish_competition(competition: Competition, *, reason: str, now: datetime) -> Competition:
    """End the season as its contract says: by its end or its number of rounds."""
    with transaction.atomic():
        locked = _lock(competition, "finished")
        _act(locked, BookState.ENDED, ActKind.FINISH, actor="system", reason=reason, now=now)
        stranded = _cancel_stranded(locked, now=now)
        record_act("finished", locked.slug, actor="system", now=now, reason=reason, **stranded)
        _end(locked, CompetitionStatus.FINISHED, reason, now=now)
    return seal_season(locked, EventKind.COMPETITION_FINISHED, now=now)


def cancel_unanswered(competition: Competition, *, reason: str, now: datetime) -> int:
    """Settle as CANCELLED every turn whose answer is not being settled yet; their fences move, so late writers lose."""
    # No join: PostgreSQL looks again at a row it waited for, but not at what a join said of it, and would cancel a turn that was
    # answered meanwhile.
    turns = Turn.objects.filter(
        round__in=Round.objects.filter(competition=competition),
        state__in=[TurnState.PENDING, TurnState.ASKED],
    )
    return turns.update(
        state=TurnState.SETTLED,
        outcome=TurnOutcome.CANCELLED,
        reason=reason[:300],
        settled_at=now,
        lease_until=None,
        fence=F("fence") + 1,
    )


def _lock(competition: Competition, word: str) -> Competition:
    locked = Competition.objects.select_for_update().get(pk=competition.pk)
    refusal = why_not(locked, word)
    if refusal:
        raise ControlError(refusal)
    return locked


def _act(
    competition: Competition,
    to: BookState,
    kind: ActKind,
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> None:
    try:
        trading.change_state(
            competition.opened_book.pk,
            to=to,
            kind=kind,
            actor=actor,
            reason=reason,
            market_at=competition.market_at or now,
            after_round=competition.round_count,
            now=now,
        )
    except BookStateError as error:
        raise ControlError(str(error)) from error


def _cancel_stranded(competition: Competition, *, now: datetime) -> dict[str, str]:
    """End the orders that may no longer wait in the book, and return what the audit log says of it: nothing where there were none."""
    gone = trading.cancel_stranded(
        competition.opened_book.pk, market_at=competition.market_at or now, now=now
    )
    return {"cancelled_orders": ", ".join(gone)} if gone else {}


def _end(
    competition: Competition, status: CompetitionStatus, reason: str, *, now: datetime
) -> None:
    competition.status = status
    competition.stop_reason = reason[:300]
    competition.finished_at = now
    competition.next_due_at = None
    competition.save(update_fields=["status", "stop_reason", "finished_at", "next_due_at"])
