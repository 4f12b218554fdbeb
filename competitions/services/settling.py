"""From a stored answer to orders: decision, legs, outcome; each step found again after a crash, none done twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from agents import services as agents
from agents.domain.decisions import Action, Instruction, instruction_from_json, instruction_json
from agents.models import Completion, Decision
from agents.models.answers import DecisionStatus
from competitions.domain.contract import Contract
from competitions.domain.digests import LegRecord
from competitions.models import Competition, Leg, Round, Turn
from competitions.models.competitions import ClockKind
from competitions.models.events import EventKind
from competitions.models.rounds import LegVerdict, TurnOutcome, TurnState
from competitions.services.bookkeeping import closed_by, denial_text
from competitions.services.events import record_events
from competitions.services.market import contract_of, quotes_in, quotes_now
from competitions.services.replaying import verdict_of, wish_of
from competitions.services.tape import quote_events, quotes_at
from marketdata.domain.canonical import canonical_decimal
from marketdata.domain.facts import Quote
from marketdata.feeds import FeedError
from trading import services as trading
from trading.domain.rules import FillRule
from trading.models import Fill, Order
from trading.models.books import BookState
from trading.models.orders import OrderCause, OrderKind, OrderStatus

logger = logging.getLogger(__name__)

FAILED = {
    DecisionStatus.INVALID: TurnOutcome.INVALID,
    DecisionStatus.REFUSED: TurnOutcome.REFUSED,
    DecisionStatus.TIMEOUT: TurnOutcome.TIMEOUT,
    DecisionStatus.ERROR: TurnOutcome.ERROR,
}
# An answer that came in time may still be settled this long after the deadline.
SETTLE_GRACE = timedelta(seconds=20)
# What an order that has ended says at any time: after a crash it is read off the order again, so that the leg may be written when the
# turn is settled. Exits are set anew by whoever comes back, and a waiting order goes on: those are written down at once.
FOUND_AGAIN = {LegVerdict.HELD, LegVerdict.FILLED, LegVerdict.DENIED, LegVerdict.REJECTED}


@dataclass(frozen=True, slots=True)
class TurnToSettle:
    """A claimed turn by plain keys; every write about it carries ``fence``."""

    turn_id: UUID | str
    fence: int
    turn_key: str
    round_id: UUID | str
    account_id: UUID
    ordinal: int
    deadline_at: datetime


@dataclass(frozen=True, slots=True)
class FillMarket:
    """What a turn's orders fill on: quotes, the marks of all symbols, and the tape position after both."""

    quotes: Mapping[str, Quote]
    marks: Mapping[str, Decimal]
    tape_position: int
    is_now: bool = False


def settle_turn(turn: TurnToSettle, completion: Completion) -> TurnOutcome | None:
    """Read the decision out of a stored answer, place its orders and settle the turn; None when another was faster.

    Network inside (quotes on arrival), so never in a transaction.
    """
    now = timezone.now()
    owned = Turn.objects.filter(pk=turn.turn_id, fence=turn.fence).exclude(state=TurnState.SETTLED)
    if not owned.update(state=TurnState.ANSWERED):
        return None
    row = _with_round(turn)
    round_ = row.round
    contract = contract_of(round_.competition)
    decision = agents.record_decision(
        turn.turn_key,
        completion.agent,
        completion,
        symbols=[spec.symbol for spec in contract.rules.instruments],
        now=now,
        resting_orders=contract.rules.resting_orders,
    )
    outcome, reason = _without_trading(turn, round_, completion, decision)
    legs: list[Leg] = []
    if outcome is None:
        legs = _place(turn, row, contract, decision)
        outcome = outcome_of(legs)
    return _settled(turn, row, outcome, legs, decision=decision, reason=reason)


def _with_round(turn: TurnToSettle) -> Any:
    """Return the turn's row with all that is read for settling it; ``has_legs`` says that some are on record."""
    rows = Turn.objects.select_related(
        "participant", "round__competition__feed", "round__competition__book", "round__snapshot"
    )
    return rows.annotate(has_legs=Exists(Leg.objects.filter(turn=OuterRef("pk")))).get(
        pk=turn.turn_id
    )


def _without_trading(
    turn: TurnToSettle, round_: Round, completion: Completion, decision: Decision
) -> tuple[TurnOutcome | None, str]:
    """Return the outcome of a decision that may not trade, with the reason; None when it may."""
    failed = FAILED.get(DecisionStatus(decision.status))
    if failed is not None:
        return failed, decision.error
    if completion.answered_at > turn.deadline_at:
        late = (completion.answered_at - turn.deadline_at).total_seconds()
        return TurnOutcome.LATE, f"answered {late:.1f} s after the deadline"
    is_wall = round_.competition.clock == ClockKind.WALL
    is_late = is_wall and timezone.now() > turn.deadline_at + SETTLE_GRACE
    # Each order looks at the book again, under its lock.
    is_running = round_.competition.opened_book.state == BookState.RUNNING
    if is_running and not is_late:
        return None, ""
    if Order.objects.filter(turn_key=turn.turn_key).exists():
        return None, ""
    if is_late:
        return (
            TurnOutcome.LATE,
            "answered in time, but the arena was interrupted until after the deadline",
        )
    return TurnOutcome.CANCELLED, "the season was no longer running when the answer came"


def _place(turn: TurnToSettle, row: Any, contract: Contract, decision: Decision) -> list[Leg]:
    """Take the instructions in their order; legs that were done before a crash are kept as they are."""
    instructions = [instruction_from_json(fields) for fields in decision.instructions]
    known = Leg.objects.filter(turn_id=turn.turn_id).select_related("order")
    done = {leg.index: leg for leg in known} if row.has_legs else {}
    market = _fill_market(turn, row, contract, instructions)
    return [
        done.get(index) or _place_leg(turn, row.round, index, instruction, market)
        for index, instruction in enumerate(instructions, start=1)
    ]


def _fill_market(
    turn: TurnToSettle, row: Turn, contract: Contract, instructions: list[Instruction]
) -> FillMarket:
    round_ = row.round
    assert round_.snapshot is not None
    quotes, opens = quotes_in(round_.snapshot.sha256)
    marks = {symbol: quote.mark for symbol, quote in quotes.items()}
    after = round_.first_tape_position + len(quotes) + len(opens)
    if contract.rules.fill_rule == FillRule.SNAPSHOT:
        return FillMarket(quotes, marks, after)
    if contract.rules.fill_rule == FillRule.NEXT_BAR:
        return FillMarket(opens, marks, after)
    traded = {item.symbol for item in instructions if item.action != Action.HOLD}
    symbols = sorted(traded & {spec.symbol for spec in contract.rules.instruments})
    first, arrived = _arrival_quotes(turn, row, symbols)
    return FillMarket(arrived, marks, after if first is None else first + len(arrived), is_now=True)


def _arrival_quotes(
    turn: TurnToSettle, row: Turn, symbols: list[str]
) -> tuple[int | None, dict[str, Quote]]:
    """Return the first quotes after the answer and their place on the tape, where they are put once and read from ever after."""
    competition = row.round.competition
    position = row.tape_position
    if position is not None:
        return position, quotes_at(competition.opened_book.pk, position)
    if not symbols:
        return None, {}
    try:
        quotes = quotes_now(competition, symbols, now=timezone.now())
    except FeedError as error:
        logger.warning("no quote on arrival turn_key=%s: %s", turn.turn_key, error)
        return None, {}
    with transaction.atomic():
        Competition.objects.select_for_update().values_list("pk").get(pk=competition.pk)
        position = trading.append_tape(
            competition.opened_book.pk, quote_events(quotes), now=timezone.now()
        )
        Turn.objects.filter(pk=turn.turn_id, fence=turn.fence).update(tape_position=position)
    return position, quotes


def _place_leg(
    turn: TurnToSettle, round_: Round, index: int, instruction: Instruction, market: FillMarket
) -> Leg:
    verdict, denial, order, position = LegVerdict.HELD, "", None, 0
    quote = market.quotes.get(instruction.symbol)
    market_at = quote.at if quote and market.is_now else round_.slot_at
    if instruction.action == Action.SET_EXITS:
        # With its leg or not at all: set twice, they might act in between.
        with transaction.atomic():
            setting = trading.set_exits(
                turn.account_id,
                wish_of(instruction),
                quote,
                market_at=market_at,
                tape_position=market.tape_position,
            )
            verdict = LegVerdict.DENIED if setting.denial else LegVerdict.SET
            denial = str(setting.denial or "")
            return _leg(turn, index, instruction, verdict, denial, position=setting.tape_position)
    if instruction.action == Action.CANCEL_ORDERS:
        with transaction.atomic():
            ending = trading.cancel_orders(
                turn.account_id, instruction.symbol, market_at=market_at, now=timezone.now()
            )
            verdict = LegVerdict.DENIED if ending.denial else LegVerdict.CANCELLED
            denial = str(ending.denial or "")
            return _leg(turn, index, instruction, verdict, denial, position=ending.tape_position)
    if instruction.action != Action.HOLD:
        order = trading.place_order(
            turn.account_id,
            wish_of(instruction),
            quote,
            client_order_id=f"a{turn.turn_key}-{index}",
            turn_key=turn.turn_key,
            leg=index,
            cause=OrderCause.INSTRUCTION,
            market_at=market_at,
            tape_position=market.tape_position,
            now=timezone.now(),
            marks=market.marks,
            epoch=round_.competition.opened_book.epoch,
        )
        verdict, denial = _verdict(order)
        position = order.tape_position
    return _leg(turn, index, instruction, verdict, denial, order=order, position=position)


def _leg(
    turn: TurnToSettle,
    index: int,
    instruction: Instruction,
    verdict: LegVerdict,
    denial: str,
    *,
    order: Order | None = None,
    position: int,
) -> Leg:
    told = {
        "instruction": instruction_json(instruction),
        "verdict": verdict,
        "denial": denial[:300],
        "order": order,
        "tape_position": position,
    }
    if verdict in FOUND_AGAIN and (order is not None or instruction.action == Action.HOLD):
        return Leg(turn_id=turn.turn_id, index=index, **told)
    leg, _ = Leg.objects.get_or_create(turn_id=turn.turn_id, index=index, defaults=told)
    return leg


def _verdict(order: Order) -> tuple[LegVerdict, str]:
    """Return what the order came to when it arrived, and why it was refused then; after a crash it may be looked at long after."""
    denial = denial_text(order)
    if order.status == OrderStatus.DENIED:
        return LegVerdict.DENIED, denial
    at_once = order.kind == OrderKind.MARKET or order.fills.filter(by_market=False).exists()
    verdict = verdict_of(order.status, kind=order.kind, filled_at_once=at_once)
    return verdict, denial if verdict == LegVerdict.REJECTED else ""


def outcome_of(legs: Sequence[Leg | LegRecord]) -> TurnOutcome:
    """Return what a readable decision came to: traded if an order filled or rests, denied if anything was refused, else held."""
    verdicts = {leg.verdict for leg in legs}
    if verdicts & {LegVerdict.FILLED, LegVerdict.RESTING, LegVerdict.UNKNOWN}:
        return TurnOutcome.TRADED
    if LegVerdict.DENIED in verdicts or LegVerdict.REJECTED in verdicts:
        return TurnOutcome.DENIED
    return TurnOutcome.HELD


def settle_without_answer(
    turn_id: UUID | str, fence: int, outcome: TurnOutcome, *, reason: str, now: datetime
) -> bool:
    """Settle a turn that got no answer; False when another was faster."""
    turn = Turn.objects.select_related("round__competition", "participant").get(pk=turn_id)
    with transaction.atomic():
        owned = Turn.objects.filter(pk=turn_id, fence=fence).exclude(state=TurnState.SETTLED)
        if not owned.update(
            state=TurnState.SETTLED,
            outcome=outcome,
            reason=reason[:300],
            settled_at=now,
            lease_until=None,
        ):
            return False
        payload = {
            "round": turn.round.number,
            "participant": turn.participant.slug,
            "outcome": str(outcome),
            "reason": reason[:300],
        }
        record_events(turn.round.competition, (EventKind.TURN_SETTLED, payload), now=now)
    return True


def _settled(
    turn: TurnToSettle,
    row: Turn,
    outcome: TurnOutcome,
    legs: list[Leg],
    *,
    decision: Decision,
    reason: str,
) -> TurnOutcome | None:
    now = timezone.now()
    with transaction.atomic():
        owned = Turn.objects.filter(pk=turn.turn_id, fence=turn.fence).exclude(
            state=TurnState.SETTLED
        )
        if not owned.update(
            state=TurnState.SETTLED,
            outcome=outcome,
            reason=reason[:300],
            decision=decision,
            settled_at=now,
            lease_until=None,
        ):
            return None
        Leg.objects.bulk_create(leg for leg in legs if leg.pk is None)
        where = {"round": row.round.number, "participant": row.participant.slug}
        settled = {**where, "outcome": str(outcome), "reason": reason[:300]}
        events = [*_fill_events(where, legs), (EventKind.TURN_SETTLED, settled)]
        record_events(row.round.competition, *events, now=now)
    return outcome


def _fill_events(
    where: dict[str, Any], legs: Sequence[Leg]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what orders filled and holdings they closed; two queries."""
    filled = [leg for leg in legs if leg.verdict == LegVerdict.FILLED]
    fills = Fill.objects.filter(order__in=[leg.order_id for leg in filled]).order_by("seq")
    closings = closed_by(fills) if filled else {}
    for leg in filled:
        for fill in fills:
            if fill.order_id != leg.order_id:
                continue
            figures = {
                "symbol": fill.symbol,
                "side": fill.side,
                "quantity": canonical_decimal(fill.quantity),
                "price": canonical_decimal(fill.price),
            }
            yield EventKind.ORDER_FILLED, {**where, "leg": leg.index, **figures}
            closed = closings.get(fill.pk)
            if closed is not None:
                result = {
                    "symbol": closed.symbol,
                    "realised": canonical_decimal(closed.realised),
                    "fees": canonical_decimal(closed.fees),
                }
                yield EventKind.POSITION_CLOSED, {**where, **result}
