"""Records of one season held against one another: rounds by number, tape by snapshot, orders by legs and fills."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from competitions.models import Competition, Leg, Round, Turn
from competitions.models.rounds import LegVerdict, RoundKind
from competitions.selectors.extras import scheduled_place
from competitions.services.bookkeeping import denial_text
from competitions.services.tape import quote_events
from marketdata.domain.facts import Quote
from marketdata.models import Blob
from trading.domain.tape import encode_tape
from trading.models import Fill, Order, TapeSegment
from trading.models.orders import OrderCause, OrderStatus


def missing_rounds(competition: Competition) -> Iterator[str]:
    """Yield a sentence for each round number that should be there and is not."""
    # The count first: a season that runs may open a round meanwhile.
    count = Competition.objects.values_list("round_count", flat=True).get(pk=competition.pk)
    found = set(Round.objects.filter(competition=competition).values_list("number", flat=True))
    for number in sorted(set(range(1, count + 1)) - found):
        yield f"round {number} is missing: the season counts {count}"


def extra_problems(competition: Competition) -> Iterator[str]:
    """Yield a sentence for each extra round that breaks what holds of them: counted, asked for, one a participant between two slots."""
    # The counts first, and no round beyond them: a season that runs may open one meanwhile.
    counted = Competition.objects.values_list("round_count", "extra_count").get(pk=competition.pk)
    extras = list(
        Round.objects.filter(
            competition=competition, kind=RoundKind.EXTRA, number__lte=counted[0]
        ).order_by("number")
    )
    if len(extras) != counted[1]:
        yield f"{len(extras)} extra rounds found, the season counts {counted[1]}"
    had: set[tuple[int, int]] = set()
    numbers = [row.number for row in extras]
    turns = Turn.objects.filter(round__in=extras).order_by("round__number", "participant__ordinal")
    for number, ordinal in turns.values_list("round__number", "participant__ordinal"):
        key = (scheduled_place(number, numbers), ordinal)
        if key in had:
            yield f"round {number}: participant {ordinal} had an extra turn since the last slot already"
        had.add(key)
    for row in extras:
        if not row.asked_by:
            yield f"round {row.number} is an extra one and nobody asked for it"


def tape_problems(
    round_: Round, quotes: dict[str, Quote], opens: dict[str, Quote]
) -> Iterator[str]:
    """Yield a sentence when the round's first segment does not hold the snapshot's quotes."""
    if not round_.has_data:
        return
    segment = TapeSegment.objects.filter(
        book_id=round_.competition.opened_book.pk, first_position=round_.first_tape_position
    ).first()
    if segment is None:
        yield f"round {round_.number}: its quotes are not on the tape"
        return
    wanted = encode_tape([*quote_events(quotes), *quote_events(opens)])
    if Blob.objects.text(segment.body_id) != wanted:
        yield f"round {round_.number}: the tape holds other quotes than the snapshot"


def order_problems(round_: Round) -> Iterator[str]:
    """Yield a sentence for each order of the round that is not what its leg and its fills say; three queries."""
    keys = list(round_.turns.values_list("turn_key", flat=True))
    legs = {
        leg.order_id: leg for leg in Leg.objects.filter(turn__round=round_, order__isnull=False)
    }
    fills: dict[object, list[Fill]] = defaultdict(list)
    for fill in Fill.objects.filter(order__turn_key__in=keys).order_by("seq"):
        fills[fill.order_id].append(fill)
    for order in Order.objects.filter(turn_key__in=keys).order_by("client_order_id"):
        problem = _order_problem(order, legs.get(order.pk), fills[order.pk])
        if problem:
            yield f"round {round_.number}: order {order.client_order_id}: {problem}"


def _order_problem(order: Order, leg: Leg | None, fills: list[Fill]) -> str:
    if leg is None:
        if order.cause != OrderCause.INSTRUCTION:
            return ""
        return "no instruction is behind it"
    # An order that rested may be refused or filled later; its leg tells what it came to at first.
    rested = leg.verdict == LegVerdict.RESTING
    if denial_text(order)[:300] != leg.denial and not rested:
        return (
            f"refused as {denial_text(order) or 'nothing'}, its leg says {leg.denial or 'nothing'}"
        )
    if rested and order.status == OrderStatus.DENIED:
        return f"it is {order.status}, its leg says {leg.verdict}"
    if (leg.verdict == LegVerdict.FILLED) != (order.status == OrderStatus.FILLED) and not rested:
        return f"it is {order.status}, its leg says {leg.verdict}"
    filled = sum((fill.quantity for fill in fills), Decimal(0))
    if order.filled_quantity != filled:
        return f"filled {order.filled_quantity}, its fills make {filled}"
    if order.status == OrderStatus.FILLED and order.quantity != filled:
        return f"of {order.quantity}, its fills make {filled}"
    if any((fill.symbol, fill.side) != (order.symbol, order.side) for fill in fills):
        return f"{order.side} {order.symbol}, its fills are of something else"
    return ""
