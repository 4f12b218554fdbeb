"""A season played again from its records through the engine, without touching an account."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

from agents.domain.decisions import Action, Instruction
from competitions.domain.contract import Contract
from competitions.domain.digests import EquityRecord, FillRecord, LegRecord, PostingRecord
from competitions.models.rounds import LegVerdict
from competitions.services.journal import Journal
from competitions.services.records import posting_records
from competitions.services.walking import TapeWalk
from marketdata.domain.facts import Quote
from marketdata.feeds import MarketFeed
from trading.domain.denials import Denial, DenialCode
from trading.domain.engine import step
from trading.domain.events import (
    Act,
    ActTaken,
    CapitalPaid,
    EndStatus,
    Event,
    ExitsSet,
    OrderAsked,
    OrderEnded,
    VenueReport,
)
from trading.domain.intents import OrderIntent, OrderKind, Wish, WishAction
from trading.domain.margin import account_figures
from trading.domain.outcome import OrderStatus, Outcome
from trading.domain.reports import within_position
from trading.domain.resting.arrival import arrival_report
from trading.domain.risk.pace import PACE_SPAN
from trading.domain.sizing import size_instruction, unknown_symbol
from trading.domain.state import AccountState, OrderState

# An order without a quote is refused before its time matters.
NO_TIME = datetime.min.replace(tzinfo=UTC)
# Refusals that depend on when an operator acted, not on market and account: taken from the record.
OUTSIDE_CODES = (DenialCode.BOOK_NOT_RUNNING, DenialCode.ACCOUNT_NOT_ACTIVE)


@dataclass(frozen=True, slots=True)
class LegTiming:
    """After how many tape events a leg took effect, and its order's first fill, None where none followed at once."""

    accepted: int
    filled: int | None = None


@dataclass(frozen=True, slots=True)
class _Spot:
    """One leg's place: whose and which it is, its order's name, its market time, where on the tape it took effect."""

    ordinal: int
    index: int
    order_id: str
    at: datetime
    timing: LegTiming | None


@dataclass(slots=True)
class ReplayedTurn:
    """What one participant's instructions came to, this time."""

    legs: list[LegRecord] = field(default_factory=list)
    fills: list[FillRecord] = field(default_factory=list)
    postings: list[PostingRecord] = field(default_factory=list)


class Replay:
    """The accounts of a season by ordinal, moved on by the same engine that moved the real ones.

    ``walk`` shows them the market between their turns; None in a book on which it does not act. ``journal``, if there is one, is told
    every step and every refusal.
    """

    def __init__(
        self,
        contract: Contract,
        feed: MarketFeed | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.rules = contract.rules
        self.journal = journal
        self.deposits: dict[int, list[PostingRecord]] = {}
        self.states: dict[int, AccountState] = {}
        # Turns played, and by ordinal those that opened, with the market time of the order.
        self.turn_count = 0
        self.openings: dict[int, list[tuple[int, datetime]]] = defaultdict(list)
        for entry in contract.roster:
            paid = CapitalPaid(contract.starts_at, contract.initial_capital)
            outcome = self._step(AccountState(ordinal=entry.ordinal), paid)
            self.states[entry.ordinal] = outcome.state
            self.deposits[entry.ordinal] = posting_records(outcome)
        self.walk: TapeWalk | None = None
        if self.rules.needs_ticks and feed is not None:
            self.walk = TapeWalk(contract, feed, self.states, journal)

    def _step(self, state: AccountState, event: Event) -> Outcome:
        outcome = step(state, event, self.rules)
        if self.journal is not None:
            self.journal.stepped(event, outcome)
        return outcome

    def _refused(
        self, ordinal: int, index: int, wish: Wish, denial: Denial, quote: Quote | None
    ) -> None:
        """Tell of an order that was refused before it was sized."""
        if self.journal is not None:
            self.journal.refused(self.states[ordinal], index, wish, denial, quote)

    def play_turn(
        self,
        ordinal: int,
        instructions: Iterable[Instruction],
        quotes: Mapping[str, Quote],
        marks: Mapping[str, Decimal],
        *,
        at: datetime | None,
        outside: Mapping[int, str],
        turn_key: str = "",
        timings: Mapping[int, LegTiming] | None = None,
    ) -> ReplayedTurn:
        """Carry out one decision; ``at`` is the market time of its orders, None for each quote's own.

        ``outside`` holds, by leg, the refusals that came from an operator's act. Orders are named after ``turn_key``, as the real
        ones are: those that rest are known by it in later turns. ``timings`` say, by leg, where on the tape it took effect; ``marks``
        count where the market does not act.
        """
        turn = ReplayedTurn()
        self.turn_count += 1
        for index, instruction in enumerate(instructions, start=1):
            quote = quotes.get(instruction.symbol)
            if index in outside:
                turn.legs.append(LegRecord(index, LegVerdict.DENIED, outside[index]))
                if instruction.action != Action.SET_EXITS:
                    denial = Denial.from_text(outside[index])
                    self._refused(ordinal, index, wish_of(instruction), denial, quote)
                continue
            timing = (timings or {}).get(index)
            if self.walk is None:
                self.states[ordinal] = self.states[ordinal].with_marks(marks)
            elif timing is not None:
                self.walk.catch_up(ordinal, timing.accepted)
            moment = at or (quote.at if quote else NO_TIME)
            if instruction.action == Action.HOLD:
                turn.legs.append(LegRecord(index, LegVerdict.HELD, ""))
            elif instruction.action == Action.SET_EXITS:
                turn.legs.append(self._set_exits(ordinal, index, instruction, quote, at=moment))
            elif instruction.action == Action.CANCEL_ORDERS:
                turn.legs.append(self._cancel_orders(ordinal, index, instruction, at=moment))
            else:
                name = f"a{turn_key or ordinal}-{index}"
                spot = _Spot(ordinal, index, name, moment, timing)
                self._order(turn, spot, instruction, quote)
        return turn

    def _cancel_orders(
        self, ordinal: int, index: int, instruction: Instruction, *, at: datetime
    ) -> LegRecord:
        symbol = instruction.symbol
        if symbol and self.rules.find_spec(symbol) is None:
            denial = unknown_symbol(symbol, self.rules)
            return LegRecord(index, LegVerdict.DENIED, str(denial))
        self._cancel(
            ordinal, lambda order: order.intent.rests and symbol in {"", order.symbol}, at=at
        )
        return LegRecord(index, LegVerdict.CANCELLED, "")

    def _cancel(self, ordinal: int, chosen: Callable[[OrderState], bool], *, at: datetime) -> None:
        for order in list(self.states[ordinal].orders.values()):
            if chosen(order):
                ended = OrderEnded(at, order.client_order_id, EndStatus.CANCELLED)
                self.states[ordinal] = self._step(self.states[ordinal], ended).state

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
        outcome = self._step(state, event)
        self._keep(outcome)
        if outcome.denials:
            return LegRecord(index, LegVerdict.DENIED, str(outcome.denials[0]))
        return LegRecord(index, LegVerdict.SET, "")

    def _keep(self, outcome: Outcome) -> None:
        """Take over the account after it was asked for something at a quote.

        The quote's mark counts for that alone: where the market acts, a tick may have come between the quote and the order, and the next
        one finds what the tape told last.
        """
        ordinal, state = outcome.state.ordinal, outcome.state
        if self.walk is not None:
            state = replace(state, marks=self.states[ordinal].marks)
        self.states[ordinal] = state

    def _order(
        self, turn: ReplayedTurn, spot: _Spot, instruction: Instruction, quote: Quote | None
    ) -> None:
        state = self.states[spot.ordinal]
        wish = wish_of(instruction)
        intent = self._intent(state, wish, quote)
        if isinstance(intent, Denial) or quote is None:
            turn.legs.append(LegRecord(spot.index, LegVerdict.DENIED, str(intent)))
            assert isinstance(intent, Denial)
            self._refused(spot.ordinal, spot.index, wish, intent, quote)
            return
        state = state.with_marks({quote.symbol: quote.mark})
        turn.legs.append(self._execute(turn, spot, state, intent, quote))

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
        spot: _Spot,
        state: AccountState,
        intent: OrderIntent,
        quote: Quote,
    ) -> LegRecord:
        made = self._decisions_last_hour(spot.ordinal, spot.at)
        asked = self._step(state, OrderAsked(spot.at, spot.order_id, intent, quote, made))
        self._keep(asked)
        if asked.denials:
            return LegRecord(spot.index, LegVerdict.DENIED, str(asked.denials[0]))
        self._note_opening(spot, asked)
        # As it was fitted: a limit on its tick, what closes a position no larger than it.
        intent = asked.state.orders[spot.order_id].intent
        report = arrival_report(spot.order_id, intent, quote, self.rules)
        if self.walk is not None and spot.timing is not None:
            if report.quantity and spot.timing.filled is None:
                # The market took it away before the venue's word came.
                verdict = verdict_of(OrderStatus.CANCELLED, kind=intent.kind, filled_at_once=False)
                return LegRecord(spot.index, verdict, "")
            self.walk.catch_up(spot.ordinal, spot.timing.filled or spot.timing.accepted)
        return self._booked(turn, spot, report)

    def _note_opening(self, spot: _Spot, asked: Outcome) -> None:
        if any(check.rule is DenialCode.TOO_MANY_DECISIONS for check in asked.checks):
            recent = [
                entry for entry in self.openings[spot.ordinal] if entry[1] > spot.at - PACE_SPAN
            ]
            self.openings[spot.ordinal] = [*recent, (self.turn_count, spot.at)]

    def _booked(self, turn: ReplayedTurn, spot: _Spot, report: VenueReport) -> LegRecord:
        state = self.states[spot.ordinal]
        kind = state.orders[spot.order_id].intent.kind
        booked = self._step(state, within_position(state, report))
        self.states[spot.ordinal] = booked.state
        if self.walk is not None:
            self.walk.note(spot.ordinal, booked.fills)
        turn.fills.extend(
            FillRecord(
                spot.index,
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
        status = booked.orders[0].status
        verdict = verdict_of(status, kind=kind, filled_at_once=bool(booked.fills))
        return LegRecord(spot.index, verdict, "")

    def _decisions_last_hour(self, ordinal: int, at: datetime) -> int:
        """Return what the service counts from its rows: the other turns that opened in the hour before."""
        if self.rules.max_decisions_per_hour is None:
            return 0
        turns = {turn for turn, when in self.openings[ordinal] if at - PACE_SPAN < when <= at}
        return len(turns - {self.turn_count})

    def catch_up(self, position: int) -> None:
        """Show every account the tape up to ``position``, where the market acts on them."""
        if self.walk is not None:
            for ordinal in sorted(self.states):
                self.walk.catch_up(ordinal, position)

    def close_positions(
        self, ordinal: int, quotes: Mapping[str, Quote], *, at: datetime
    ) -> ReplayedTurn:
        """Carry out an emergency close for one participant, at ``quotes``: what waits is cancelled first."""
        turn = ReplayedTurn()
        self._cancel(ordinal, lambda order: True, at=at)
        marks = {symbol: quote.mark for symbol, quote in quotes.items()}
        self.states[ordinal] = self.states[ordinal].with_marks(marks)
        acted = self._step(self.states[ordinal], ActTaken(at, Act.EMERGENCY_CLOSE))
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
            spot = _Spot(ordinal, 0, "close", at, None)
            leg = self._execute(turn, spot, self.states[ordinal], part, quote)
            if leg.verdict != LegVerdict.FILLED:
                return
            rest -= part.quantity

    def mark(self, marks: Mapping[str, Decimal]) -> list[EquityRecord]:
        """Value every account at ``marks`` and return its equity, by ordinal."""
        points = []
        for ordinal in sorted(self.states):
            # Valuing is no look: nothing acts on it.
            state = self.states[ordinal].with_marks(marks)
            figures = account_figures(state, self.rules)
            peak = None if state.peak is None else max(state.peak, figures.equity)
            self.states[ordinal] = replace(state, peak=peak)
            points.append(
                EquityRecord(
                    ordinal, figures.equity, figures.wallet, figures.unrealised, figures.used_margin
                )
            )
        return points


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
        kind=instruction.order_type,
        limit_price=instruction.limit_price,
        trigger_price=instruction.trigger_price,
        callback_rate=instruction.callback_rate,
        activation_price=instruction.activation_price,
        time_in_force=instruction.time_in_force,
        exit_callback_rate=instruction.trailing_stop_pct,
        exit_activation_price=instruction.trailing_activation,
    )


def verdict_of(status: str, *, kind: str, filled_at_once: bool) -> LegVerdict:
    """Return what an order that was accepted came to when it arrived, whatever happened to it later.

    A market order that is neither filled nor refused has an outcome that nobody knows yet; one that may rest waits, has taken, or
    (IOC) is gone.
    """
    if status == OrderStatus.FILLED and filled_at_once:
        return LegVerdict.FILLED
    if kind == OrderKind.MARKET:
        return LegVerdict.REJECTED if status == OrderStatus.REJECTED else LegVerdict.UNKNOWN
    return LegVerdict.CANCELLED if status == OrderStatus.EXPIRED else LegVerdict.RESTING
