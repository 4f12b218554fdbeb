"""Stored rows as the values that digests cover."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet

from competitions.domain.digests import (
    BetweenRecord,
    EquityRecord,
    FillRecord,
    LegRecord,
    MarketFillRecord,
    PostingRecord,
    RoundRecord,
    TurnRecord,
)
from competitions.models import Competition, Leg, Round, Turn
from competitions.models.rounds import RoundState
from competitions.services.tape import tape_hash_between
from trading.domain.outcome import Outcome
from trading.models import EquityPoint, Fill, Posting
from trading.models.orders import OrderCause


def round_record(round_: Round) -> RoundRecord:
    """Return what the round's digest covers, from its rows; a constant number of queries."""
    assert round_.snapshot is not None
    assert round_.marked_at is not None
    assert round_.last_tape_position is not None
    book = round_.competition.opened_book
    book_id, first, last = book.pk, round_.first_tape_position, round_.last_tape_position
    between = None
    if book.frozen_rules().needs_ticks:
        first = tape_before(round_)
        between = between_records(book_id, first, last)
    turns = Turn.objects.filter(round=round_).select_related("participant", "decision")
    return RoundRecord(
        number=round_.number,
        kind=round_.kind,
        slot_at=round_.slot_at,
        snapshot=round_.snapshot.sha256,
        tape=tape_hash_between(book_id, first, last),
        marked_at=round_.marked_at,
        turns=turn_records(turns),
        equity=equity_records(
            EquityPoint.objects.filter(account__book_id=book_id, number=round_.number)
        ),
        between=between,
    )


def tape_before(round_: Round) -> int:
    """Return how long the tape was when the round before this one had closed; 0 before the first."""
    return _tape_after(
        Round.objects.filter(competition_id=round_.competition_id, number__lt=round_.number)
    )


def tape_closed(competition: Competition) -> int:
    """Return how long the tape was when the last closed round had; 0 before the first."""
    return _tape_after(Round.objects.filter(competition=competition))


def _tape_after(rounds: QuerySet[Round]) -> int:
    closed = rounds.filter(state=RoundState.CLOSED).order_by("-number")
    return closed.values_list("last_tape_position", flat=True).first() or 0


def between_records(book_id: UUID, first: int, last: int) -> list[BetweenRecord]:
    """Return what the market did to accounts with the tape events from ``first`` (included) to ``last`` (excluded); three queries."""
    fills = list(
        Fill.objects.filter(
            account__book_id=book_id,
            by_market=True,
            tape_position__gt=first,
            tape_position__lte=last,
        )
        .select_related("account", "order")
        .order_by("account__ordinal", "seq")
    )
    by_fill = _postings_of(fills)
    loose = Posting.objects.filter(
        book_id=book_id, tape_position__gt=first, tape_position__lte=last
    )
    found: dict[int, tuple[list[MarketFillRecord], list[PostingRecord]]] = {}
    for fill in fills:
        told = found.setdefault(fill.account.ordinal, ([], []))
        told[0].append(market_fill_record(fill))
        told[1].extend(by_fill[fill.pk])
    for posting in loose.order_by("cause_id", "line"):
        ordinal = int(posting.cause_id.split(":")[1])
        found.setdefault(ordinal, ([], []))[1].append(_posting_record(posting))
    return [
        BetweenRecord(ordinal, told[0], sorted(told[1], key=by_cause))
        for ordinal, told in sorted(found.items())
    ]


def by_cause(posting: PostingRecord) -> tuple[str, int]:
    """Return the key by which postings are told: their cause, then their line."""
    return posting.cause, posting.line


def market_fill_record(fill: Fill) -> MarketFillRecord:
    """Return an execution that the market set off as the digest sees it."""
    return MarketFillRecord(
        _cause(fill),
        fill.seq,
        fill.symbol,
        fill.side,
        fill.quantity,
        fill.price,
        fill.fee,
        fill.realised,
    )


def _cause(fill: Fill) -> str:
    match fill.order.cause:
        case OrderCause.EXIT:
            return fill.trade_id.split("-")[2]
        case OrderCause.INSTRUCTION:
            return "order"
    return fill.order.cause.lower()


def turn_records(turns: Iterable[Turn]) -> list[TurnRecord]:
    """Return the turns with their legs, fills and postings; three queries for all of them."""
    rows = list(turns)
    keys = [turn.turn_key for turn in rows]
    legs: dict[object, list[LegRecord]] = defaultdict(list)
    for leg in Leg.objects.filter(turn__in=rows).order_by("index"):
        legs[leg.turn_id].append(LegRecord(leg.index, leg.verdict, leg.denial))
    fills: dict[str, list[Fill]] = defaultdict(list)
    for fill in (
        Fill.objects.filter(order__turn_key__in=keys, by_market=False)
        .select_related("order")
        .order_by("seq")
    ):
        fills[fill.order.turn_key].append(fill)
    postings = _postings_of([fill for group in fills.values() for fill in group])
    return [
        TurnRecord(
            ordinal=turn.participant.ordinal,
            outcome=turn.outcome,
            decision_status=turn.decision.status if turn.decision else "",
            decision_text=turn.decision.text_id if turn.decision else "",
            instructions=turn.decision.instructions if turn.decision else [],
            legs=legs[turn.pk],
            fills=[fill_record(fill) for fill in fills[turn.turn_key]],
            postings=[record for fill in fills[turn.turn_key] for record in postings[fill.pk]],
        )
        for turn in rows
    ]


def _postings_of(fills: list[Fill]) -> dict[object, list[PostingRecord]]:
    found: dict[object, list[PostingRecord]] = defaultdict(list)
    for posting in Posting.objects.filter(fill__in=fills).order_by("cause_id", "line"):
        found[posting.fill_id].append(_posting_record(posting))
    return found


def _posting_record(posting: Posting) -> PostingRecord:
    return PostingRecord(
        posting.cause_id, posting.line, posting.house, posting.kind, posting.amount
    )


def fill_record(fill: Fill) -> FillRecord:
    """Return an execution as the digest sees it."""
    return FillRecord(
        fill.order.leg,
        fill.seq,
        fill.symbol,
        fill.side,
        fill.quantity,
        fill.price,
        fill.fee,
        fill.realised,
    )


def equity_records(points: QuerySet[EquityPoint]) -> list[EquityRecord]:
    """Return equity points by ordinal; one query."""
    return [
        EquityRecord(row.account.ordinal, row.equity, row.wallet, row.unrealised, row.used_margin)
        for row in points.select_related("account").order_by("account__ordinal")
    ]


def posting_records(outcome: Outcome) -> list[PostingRecord]:
    """Return the postings of a step as digests see them."""
    return [
        PostingRecord(
            line.cause_id,
            line.line,
            "" if line.house is None else line.house.value,
            line.kind.value,
            line.amount,
        )
        for line in outcome.postings
    ]
