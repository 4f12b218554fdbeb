"""A season played again from its records through the engine, without touching an account."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

from agents.domain.decisions import Action, Instruction
from competitions.domain.contract import Contract
from competitions.domain.digests import EquityRecord, FillRecord, LegRecord, PostingRecord
from competitions.models.rounds import LegVerdict
from marketdata.domain.facts import Quote
from trading.domain.denials import Denial, DenialCode
from trading.domain.engine import step
from trading.domain.events import (
    Act,
    ActTaken,
    CapitalPaid,
    ExitsSet,
    MarksSeen,
    OrderAsked,
    VenueReport,
)
from trading.domain.fees import execution_fee
from trading.domain.intents import OrderIntent, Wish, WishAction
from trading.domain.margin import account_figures
from trading.domain.outcome import OrderStatus, Outcome
from trading.domain.pricing import taker_price
from trading.domain.risk.pace import PACE_SPAN
from trading.domain.sizing import size_instruction, unknown_symbol
from trading.domain.state import AccountState

# An order without a quote is refused before its time matters.
NO_TIME = datetime.min.replace(tzinfo=UTC)
# Refusals that depend on when an operator acted, not on market and account: taken from the record.
OUTSIDE_CODES = (DenialCode.BOOK_NOT_RUNNING, DenialCode.ACCOUNT_NOT_ACTIVE)


@dataclass(slots=True)
class ReplayedTurn:
    """What one participant's instructions came to, this time."""

    legs: list[LegRecord] = field(default_factory=list)
    fills: list[FillRecord] = field(default_factory=list)
    postings: list[PostingRecord] = field(default_factory=list)


class Replay:
    """The accounts of a season by ordinal, moved on by the same engine that moved the real ones."""

    def __init__(self, contract: Contract) -> None:
        self.rules = contract.rules
        self.deposits: dict[int, list[PostingRecord]] = {}
        self.states: dict[int, AccountState] = {}
        # Turns played, and by ordinal those that opened, with the market time of the order.
        self.turn_count = 0
        self.openings: dict[int, list[tuple[int, datetime]]] = defaultdict(list)
        for entry in contract.roster:
            paid = CapitalPaid(contract.starts_at, contract.initial_capital)
            outcome = step(AccountState(ordinal=entry.ordinal), paid, self.rules)
            self.states[entry.ordinal] = outcome.state
            self.deposits[entry.ordinal] = posting_records(outcome)

    def play_turn(
        self,
        ordinal: int,
        instructions: Iterable[Instruction],
        quotes: Mapping[str, Quote],
        marks: Mapping[str, Decimal],
        *,
        at: datetime | None,
        outside: Mapping[int, str],
    ) -> ReplayedTurn:
        """Carry out one decision; ``at`` is the market time of its orders, None for each quote's own.

        ``outside`` holds, by leg, the refusals that came from an operator's act.
        """
        turn = ReplayedTurn()
        self.turn_count += 1
        for index, instruction in enumerate(instructions, start=1):
            if index in outside:
                turn.legs.append(LegRecord(index, LegVerdict.DENIED, outside[index]))
                continue
            self.states[ordinal] = self.states[ordinal].with_marks(marks)
            quote = quotes.get(instruction.symbol)
            moment = at or (quote.at if quote else NO_TIME)
            if instruction.action == Action.HOLD:
                turn.legs.append(LegRecord(index, LegVerdict.HELD, ""))
            elif instruction.action == Action.SET_EXITS:
                turn.legs.append(self._set_exits(ordinal, index, instruction, quote, at=moment))
            else:
                self._order(turn, ordinal, index, instruction, quote, at=moment)
        return turn

    def _set_exits(
        self,
        ordinal: int,
        index: int,
        instruction: Instruction,
        quote: Quote | None,
        *,
        at: datetime,
    ) -> LegRecord:
        if quote is None:
            denial = Denial(DenialCode.NO_QUOTE, {"symbol": instruction.symbol[:32]})
            return LegRecord(index, LegVerdict.DENIED, str(denial))
        state = self.states[ordinal].with_marks({quote.symbol: quote.mark})
        event = ExitsSet(at, instruction.symbol, wish_of(instruction).exits)
        outcome = step(state, event, self.rules)
        self.states[ordinal] = outcome.state
        if outcome.denials:
            return LegRecord(index, LegVerdict.DENIED, str(outcome.denials[0]))
        return LegRecord(index, LegVerdict.SET, "")

    def _order(
        self,
        turn: ReplayedTurn,
        ordinal: int,
        index: int,
        instruction: Instruction,
        quote: Quote | None,
        *,
        at: datetime,
    ) -> None:
        state = self.states[ordinal]
        intent = self._intent(state, wish_of(instruction), quote)
        if isinstance(intent, Denial) or quote is None:
            turn.legs.append(LegRecord(index, LegVerdict.DENIED, str(intent)))
            return
        state = state.with_marks({quote.symbol: quote.mark})
        verdict = self._execute(turn, ordinal, index, state, intent, quote, at=at)
        turn.legs.append(verdict)

    def _intent(self, state: AccountState, wish: Wish, quote: Quote | None) -> OrderIntent | Denial:
        if self.rules.find_spec(wish.symbol) is None:
            return unknown_symbol(wish.symbol, self.rules)
        if quote is None:
            return Denial(DenialCode.NO_QUOTE, {"symbol": wish.symbol})
        return size_instruction(
            state.with_marks({quote.symbol: quote.mark}), wish, quote, self.rules
        )

    def _execute(
        self,
        turn: ReplayedTurn,
        ordinal: int,
        index: int,
        state: AccountState,
        intent: OrderIntent,
        quote: Quote,
        *,
        at: datetime,
    ) -> LegRecord:
        order_id = f"{ordinal}-{index}"
        made = self._decisions_last_hour(ordinal, at)
        asked = step(state, OrderAsked(at, order_id, intent, quote, made), self.rules)
        self.states[ordinal] = asked.state
        if asked.denials:
            return LegRecord(index, LegVerdict.DENIED, str(asked.denials[0]))
        if any(check.rule is DenialCode.TOO_MANY_DECISIONS for check in asked.checks):
            recent = [entry for entry in self.openings[ordinal] if entry[1] > at - PACE_SPAN]
            self.openings[ordinal] = [*recent, (self.turn_count, at)]
        booked = step(asked.state, self._report(order_id, intent, quote), self.rules)
        self.states[ordinal] = booked.state
        turn.fills.extend(
            FillRecord(
                index,
                fill.seq,
                fill.symbol,
                str(fill.side),
                fill.quantity,
                fill.price,
                fill.fee,
                fill.realised,
            )
            for fill in booked.fills
        )
        turn.postings.extend(posting_records(booked))
        filled = booked.orders[0].status is OrderStatus.FILLED
        return LegRecord(index, LegVerdict.FILLED if filled else LegVerdict.UNKNOWN, "")

    def _decisions_last_hour(self, ordinal: int, at: datetime) -> int:
        """Return what the service counts from its rows: the other turns that opened in the hour before."""
        if self.rules.max_decisions_per_hour is None:
            return 0
        turns = {turn for turn, when in self.openings[ordinal] if at - PACE_SPAN < when <= at}
        return len(turns - {self.turn_count})

    def _report(self, order_id: str, intent: OrderIntent, quote: Quote) -> VenueReport:
        price = taker_price(
            quote, intent.side, rules=self.rules, spec=self.rules.spec(intent.symbol)
        )
        return VenueReport(
            at=quote.at,
            client_order_id=order_id,
            trade_id=f"{order_id}:1",
            quantity=intent.quantity,
            price=price,
            fee=execution_fee(intent.quantity, price, rules=self.rules),
            reference_price=quote.mark,
        )

    def close_positions(
        self, ordinal: int, quotes: Mapping[str, Quote], *, at: datetime
    ) -> ReplayedTurn:
        """Carry out an emergency close for one participant, at ``quotes``."""
        turn = ReplayedTurn()
        marks = {symbol: quote.mark for symbol, quote in quotes.items()}
        self.states[ordinal] = self.states[ordinal].with_marks(marks)
        acted = step(self.states[ordinal], ActTaken(at, Act.EMERGENCY_CLOSE), self.rules)
        for intent in acted.intents:
            quote = quotes.get(intent.symbol)
            if quote is not None:
                self._close(turn, ordinal, intent, quote, at=at)
        return turn

    def _close(
        self, turn: ReplayedTurn, ordinal: int, intent: OrderIntent, quote: Quote, *, at: datetime
    ) -> None:
        """Close one position in orders of at most the symbol's largest quantity."""
        largest = self.rules.spec(intent.symbol).max_quantity
        rest = intent.quantity
        while rest > 0:
            part = replace(intent, quantity=min(rest, largest) if largest else rest)
            leg = self._execute(turn, ordinal, 0, self.states[ordinal], part, quote, at=at)
            if leg.verdict != LegVerdict.FILLED:
                return
            rest -= part.quantity

    def mark(self, at: datetime, marks: Mapping[str, Decimal]) -> list[EquityRecord]:
        """Value every account at ``marks`` and return its equity, by ordinal."""
        points = []
        for ordinal in sorted(self.states):
            state = step(self.states[ordinal], MarksSeen(at, marks), self.rules).state
            figures = account_figures(state, self.rules)
            peak = None if state.peak is None else max(state.peak, figures.equity)
            self.states[ordinal] = replace(state, marks=dict(state.marks), peak=peak)
            points.append(
                EquityRecord(
                    ordinal, figures.equity, figures.wallet, figures.unrealised, figures.used_margin
                )
            )
        return points


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


def wish_of(instruction: Instruction) -> Wish:
    """Return an instruction that trades in the words of the trading app."""
    return Wish(
        action=WishAction.__members__.get(instruction.action.name, WishAction.REDUCE),
        symbol=instruction.symbol,
        quantity=instruction.quantity,
        notional=instruction.notional,
        margin_fraction=instruction.margin_fraction,
        leverage=instruction.leverage,
        stop_loss=instruction.stop_loss,
        take_profit=instruction.take_profit,
        invalidation=instruction.invalidation,
    )
