"""Closing rounds and sealing seasons."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from competitions.domain.digests import between_content, round_digest, season_digest
from competitions.models import Competition, Round, Turn
from competitions.models.competitions import ClockKind, CompetitionStatus, FillRule
from competitions.models.events import EventKind
from competitions.models.rounds import RoundState
from competitions.services.bookkeeping import tape_position
from competitions.services.events import record_events
from competitions.services.market import quotes_now
from competitions.services.records import between_records, round_record, tape_closed
from competitions.services.tape import tape_hash_between
from marketdata.domain.canonical import canonical_time, digest_of
from marketdata.feeds import FeedError
from marketdata.services import quotes_of
from trading import services as trading
from trading.domain.tape import TapeEvent
from trading.models import Book, EquityPoint, OperatorAct
from trading.selectors import open_positions
from trading.services.locks import lock_book

logger = logging.getLogger(__name__)


def close_round(round_id: UUID | str, *, now: datetime) -> bool:
    """Mark all accounts, write the digest and close the round, if every turn is settled; True for the one call that closed it.

    Network (closing marks under the arrival rule) comes before the transaction.
    """
    round_ = Round.objects.select_related("competition__feed", "competition__book", "snapshot").get(
        pk=round_id
    )
    if round_.state != RoundState.OPEN or round_.snapshot is None:
        return False
    if Turn.objects.unsettled().filter(round=round_).exists():
        return False
    marked_at, marks, is_fresh = _closing_marks(round_, now=now)
    with transaction.atomic():
        competition = (
            Competition.objects.select_for_update(of=("self",))
            .select_related("book")
            .get(pk=round_.competition_id)
        )
        current = (
            Round.objects.select_for_update(of=("self",))
            .select_related("competition", "snapshot")
            .get(pk=round_id)
        )
        if (
            current.state != RoundState.OPEN
            or Turn.objects.unsettled().filter(round=current).exists()
        ):
            return False
        _close(competition, current, marked_at, marks, is_fresh=is_fresh, now=now)
    return True


def _closing_marks(round_: Round, *, now: datetime) -> tuple[datetime, dict[str, Decimal], bool]:
    assert round_.snapshot is not None
    if not round_.has_data:
        # Accounts stay at the last marks of the tape.
        return round_.slot_at, {}, False
    quotes = quotes_of(round_.snapshot.content())
    marked_at, is_fresh = round_.slot_at, False
    if round_.competition.fill_rule == FillRule.ARRIVAL:
        try:
            quotes |= quotes_now(round_.competition, list(quotes), now=now)
        except FeedError as error:
            logger.warning("closing on the snapshot's marks round=%s: %s", round_.pk, error)
        else:
            marked_at, is_fresh = now, True
    return marked_at, {symbol: quote.mark for symbol, quote in quotes.items()}, is_fresh


def _close(
    competition: Competition,
    round_: Round,
    marked_at: datetime,
    marks: dict[str, Decimal],
    *,
    is_fresh: bool,
    now: datetime,
) -> None:
    book_id = competition.opened_book.pk
    # No market fact may act between what accounts are worth and where the round ends on the tape.
    lock_book(book_id)
    if is_fresh:
        trading.append_tape(book_id, [TapeEvent.of_marks(marked_at, marks)], now=now)
    trading.record_equity(book_id, number=round_.number, at=marked_at, marks=marks, now=now)
    round_.marked_at = marked_at
    round_.last_tape_position = tape_position(book_id)
    round_.digest = round_digest(round_record(round_))
    round_.state = RoundState.CLOSED
    round_.closed_at = now
    round_.save(update_fields=["marked_at", "last_tape_position", "digest", "state", "closed_at"])
    competition.market_at = max(competition.market_at or marked_at, marked_at)
    if competition.clock == ClockKind.DATA and competition.status == CompetitionStatus.RUNNING:
        competition.next_due_at = now + timedelta(seconds=float(competition.pace_seconds))
    competition.save(update_fields=["market_at", "next_due_at"])
    payload = {
        "round": round_.number,
        "digest": round_.digest,
        "slot_at": canonical_time(round_.slot_at),
    }
    record_events(competition, (EventKind.ROUND_COMPLETE, payload), now=now)


def mark_after_close(
    competition: Competition, marks: dict[str, Decimal], *, market_at: datetime, now: datetime
) -> None:
    """Value every account once more after an emergency close that moved money; these points are numbered after all rounds.

    A close that was cut off before this is made up for by the next call.
    """
    book_id = competition.opened_book.pk
    with transaction.atomic():
        locked = (
            Competition.objects.select_for_update(of=("self",))
            .select_related("book")
            .get(pk=competition.pk)
        )
        moving = OperatorAct.objects.filter(book_id=book_id).exclude(digest="")
        points = EquityPoint.objects.filter(account__book_id=book_id)
        marked = points.filter(number__gt=locked.round_count).values("number").distinct().count()
        if marked >= moving.count():
            return
        held = set(open_positions(locked.opened_book).values_list("symbol", flat=True))
        if held - marks.keys():
            # Closing must not fail for want of a mark; the next close values them.
            logger.error(
                "accounts not valued slug=%s: no mark of %s",
                locked.slug,
                sorted(held - marks.keys()),
            )
            return
        last = points.aggregate(number=Max("number"))["number"] or 0
        number = max(last, locked.round_count) + 1
        trading.record_equity(book_id, number=number, at=market_at, marks=marks, now=now)


def close_settled_rounds(competition: Competition, *, now: datetime) -> None:
    """Close what may be closed of a season's open rounds."""
    for round_id in (
        Round.objects.open().filter(competition=competition).values_list("pk", flat=True)
    ):
        close_round(round_id, now=now)


def folded_digest(competition: Competition) -> str:
    """Return the season's digest so far: rounds by number, each followed by the acts after it that moved money."""
    acts: dict[int, list[str]] = {}
    for act in (
        OperatorAct.objects.filter(book_id=competition.opened_book.pk)
        .exclude(digest="")
        .order_by("seq")
    ):
        acts.setdefault(act.after_round, []).append(act.digest)
    digests = list(acts.pop(0, []))
    for number, digest in (
        Round.objects.closed()
        .filter(competition=competition)
        .order_by("number")
        .values_list("number", "digest")
    ):
        digests.append(digest)
        digests.extend(acts.pop(number, []))
    digests.extend(digest for number in sorted(acts) for digest in acts[number])
    digests.extend(_tail_digest(competition))
    return season_digest(competition.contract_hash, digests)


def _tail_digest(competition: Competition) -> list[str]:
    """Return the digest of what the market did to accounts after the last closed round; empty when that is nothing."""
    book = Book.objects.get(pk=competition.opened_book.pk)
    if not book.frozen_rules().needs_ticks:
        return []
    first, last = tape_closed(competition), book.tape_position
    between = between_records(book.pk, first, last)
    if not between:
        return []
    tape = tape_hash_between(book.pk, first, last)
    return [digest_of({"tape": tape, "between": between_content(between)})]


def seal_season(competition: Competition, kind: str, *, now: datetime) -> Competition:
    """Write the season's digest and tell viewers that it is over; a season whose last round is still open is sealed when that closes."""
    with transaction.atomic():
        locked = Competition.objects.select_for_update().get(pk=competition.pk)
        if not locked.is_over or Round.objects.open().filter(competition=locked).exists():
            return locked
        digest = folded_digest(locked)
        if locked.season_digest != digest:
            locked.season_digest = digest
            locked.save(update_fields=["season_digest"])
            record_events(locked, (kind, {"digest": digest, "reason": locked.stop_reason}), now=now)
    return locked
