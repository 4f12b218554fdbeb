"""Stored rows as the values that digests cover."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import QuerySet

from competitions.domain.digests import (
    EquityRecord,
    FillRecord,
    LegRecord,
    PostingRecord,
    RoundRecord,
    TurnRecord,
)
from competitions.models import Leg, Round, Turn
from competitions.services.tape import tape_hash_between
from trading.models import EquityPoint, Fill, Posting


def round_record(round_: Round) -> RoundRecord:
    """Return what the round's digest covers, from its rows; a constant number of queries."""
    assert round_.snapshot is not None
    assert round_.marked_at is not None
    assert round_.last_tape_position is not None
    book_id = round_.competition.opened_book.pk
    turns = Turn.objects.filter(round=round_).select_related("participant", "decision")
    return RoundRecord(
        number=round_.number,
        kind=round_.kind,
        slot_at=round_.slot_at,
        snapshot=round_.snapshot.sha256,
        tape=tape_hash_between(book_id, round_.first_tape_position, round_.last_tape_position),
        marked_at=round_.marked_at,
        turns=turn_records(turns),
        equity=equity_records(
            EquityPoint.objects.filter(account__book_id=book_id, number=round_.number)
        ),
    )


def turn_records(turns: Iterable[Turn]) -> list[TurnRecord]:
    """Return the turns with their legs, fills and postings; three queries for all of them."""
    rows = list(turns)
    keys = [turn.turn_key for turn in rows]
    legs: dict[object, list[LegRecord]] = defaultdict(list)
    for leg in Leg.objects.filter(turn__in=rows).order_by("index"):
        legs[leg.turn_id].append(LegRecord(leg.index, leg.verdict, leg.denial))
    fills: dict[str, list[Fill]] = defaultdict(list)
    for fill in (
        Fill.objects.filter(order__turn_key__in=keys).select_related("order").order_by("seq")
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
        found[posting.fill_id].append(
            PostingRecord(
                posting.cause_id, posting.line, posting.house, posting.kind, posting.amount
            )
        )
    return found


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
