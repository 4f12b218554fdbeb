"""Emergency closes replayed: what they filled, and what the accounts were worth after them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from django.db.models import Max

from competitions.domain.differences import first_difference
from competitions.domain.digests import EquityRecord
from competitions.models import Competition, Round
from competitions.services.journal import Journal, Scene
from competitions.services.records import equity_records, fill_record
from competitions.services.replaying import Replay
from competitions.services.verifying.columns import differences
from competitions.services.verifying.report import VerifyReport
from marketdata.domain.facts import Quote
from trading.domain.tape import decode_tape
from trading.models import EquityPoint, Fill, OperatorAct, Order, TapeSegment
from trading.models.orders import OrderCause
from trading.selectors.acts import act_digest, act_prefix


def acts_by_round(competition: Competition) -> dict[int, list[OperatorAct]]:
    """Return the acts that moved money by the round that they came after, in order."""
    acts: dict[int, list[OperatorAct]] = {}
    moving = OperatorAct.objects.filter(book_id=competition.opened_book.pk).exclude(digest="")
    for act in moving.order_by("seq"):
        acts.setdefault(act.after_round, []).append(act)
    return acts


def replay_act(
    report: VerifyReport, replay: Replay, journal: Journal, act: OperatorAct
) -> Iterator[str]:
    """Close all positions of the replayed accounts at the act's quotes, and compare with what is stored."""
    replay.catch_up(act.tape_position)
    quotes = _act_quotes(replay, act)
    if quotes:
        wanted = {"market_at": max(quote.at for quote in quotes.values())}
        yield from differences(f"act {act.seq}", act, wanted)
    journal.scene = Scene(
        cause=OrderCause.OPERATOR,
        prefix=act_prefix(act.book, act.seq),
        market_at=act.market_at,
        tape_position=act.tape_position,
        earlier=_earlier(act),
    )
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
        yield difference
    if act_digest(act.book, act.seq) != act.digest:
        yield f"act {act.seq}: digest: act {act.seq} {act.kind}: its digest is not that of its fills"
    worth = replay.mark({symbol: quote.mark for symbol, quote in quotes.items()})
    journal.mark(replay.states, number=_round_count(act) + 1 + report.acts, at=act.market_at)
    difference = first_difference(
        _equity_after(act, report.acts), worth, f"act {act.seq} {act.kind}: equity"
    )
    if difference:
        yield difference
    report.acts += 1


def _earlier(act: OperatorAct) -> dict[str, int]:
    """Return where on the tape the orders stand that a close placed before it was cut off: each time, the quotes are put there anew."""
    rounds = Round.objects.filter(competition__book=act.book_id)
    since = rounds.aggregate(last=Max("last_tape_position"))["last"] or 0
    segments = TapeSegment.objects.filter(book_id=act.book_id, first_position__gte=since)
    ends = {first + count for first, count in segments.values_list("first_position", "count")}
    orders = Order.objects.filter(client_order_id__startswith=act_prefix(act.book, act.seq))
    return {
        name: position
        for name, position in orders.values_list("client_order_id", "tape_position")
        if position in ends and position < act.tape_position
    }


def _round_count(act: OperatorAct) -> int:
    return Round.objects.filter(competition__book=act.book_id).count()


def _equity_after(act: OperatorAct, place: int) -> list[EquityRecord]:
    """Return the equity points of the ``place``-th act that moved money, from 0: they are numbered after all rounds."""
    points = EquityPoint.objects.filter(account__book=act.book, number__gt=_round_count(act))
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
