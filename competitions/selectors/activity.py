"""What the participants did: their decisions, and between them what happened to their accounts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import Prefetch, QuerySet

from competitions.models.rounds import Leg, LegVerdict, Turn, TurnOutcome, TurnState
from competitions.selectors.checks import denial_shown
from competitions.selectors.executions import Execution, happenings_of
from competitions.selectors.exits import exits_in_words
from competitions.selectors.orders import fate_of, filled
from competitions.selectors.seasons import Entrant, Grid, Season
from competitions.selectors.shown import shown
from trading.domain.denials import Denial, DenialCode
from trading.models import Fill

FEED_LENGTH = 12
SUMMARY_LIMIT = 600
REASONING_LIMIT = 1_500
MAX_LEGS = 8
_RESTING = LegVerdict.RESTING
_MAY_FILL = {LegVerdict.FILLED, _RESTING}
_FAILED = {"INVALID", "REFUSED", "TIMEOUT", "ERROR", "LATE"}


@dataclass(frozen=True, slots=True)
class LegView:
    """One instruction and what became of it; ``filled`` is quantity and average price.

    ``fate`` tells in words how an order that was left waiting stands now, empty for others. ``executes`` as of a position.
    """

    index: int
    action: str
    symbol: str
    base: str
    grid: Grid | None
    size: str
    leverage: int | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    invalidation: str
    confidence: Decimal | None
    reasoning: str
    verdict: str
    denial: str
    filled_quantity: Decimal | None
    filled_price: Decimal | None
    fate: str = ""
    callback_rate: Decimal | None = None
    activation_price: Decimal | None = None
    executes: bool = False

    @property
    def exits(self) -> tuple[str, ...]:
        """Return the exits in words."""
        return exits_in_words(
            self.grid,
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
            callback_rate=self.callback_rate,
            activation_price=self.activation_price,
            invalidation=self.invalidation,
        )

    @property
    def is_hold(self) -> bool:
        return self.action == "hold"

    @property
    def refusal(self) -> str:
        """Return the denial for people; ``denial`` is exact."""
        return denial_shown(self.denial)


@dataclass(frozen=True, slots=True)
class TurnView:
    """A settled turn in the feed; ``reason`` says why there was no decision."""

    key: str
    entrant: Entrant
    number: int
    outcome: str
    summary: str
    reason: str
    error: str
    is_failed: bool
    took: timedelta | None
    answered_at: datetime | None
    slot_at: datetime
    legs: tuple[LegView, ...]
    is_extra: bool = False

    @property
    def reasonings(self) -> tuple[LegView, ...]:
        """Return the instructions whose reason is more than the summary."""
        return tuple(leg for leg in self.legs if leg.reasoning and leg.reasoning != self.summary)

    @property
    def shown_legs(self) -> tuple[LegView, ...]:
        """Return the instructions that meant to change something."""
        return tuple(leg for leg in self.legs if not leg.is_hold)[:MAX_LEGS]


def turn_rows() -> QuerySet[Turn]:
    """Return turns with all that a :class:`TurnView` needs, in four queries."""
    fills = Fill.objects.order_by("seq")
    legs = (
        Leg.objects.select_related("order")
        .prefetch_related(Prefetch("order__fills", queryset=fills))
        .order_by("index")
    )
    return Turn.objects.select_related("round", "decision").prefetch_related(
        Prefetch("legs", queryset=legs)
    )


def feed_of(
    season: Season, *, entrant: Entrant | None = None, limit: int = FEED_LENGTH
) -> tuple[TurnView, ...]:
    """Return the latest settled turns, newest first. Queries at most four times.

    Without ``entrant`` a turn that was skipped is told only once for each participant.
    """
    turns = turn_rows().filter(round__competition=season.competition, state=TurnState.SETTLED)
    ordered = turns.order_by("-round__number", "-settled_at", "-participant__ordinal")
    if entrant is not None:
        own = ordered.filter(participant_id=entrant.id)[:limit]
        return tuple(turn_view(season, turn) for turn in own)
    # Bounds the scan: this many rounds hold enough turns.
    rounds = 2 + 2 * limit // max(1, len(season.entrants))
    if season.competition.extra_count:
        # An extra round may hold a single one.
        rounds += 2 * limit
    recent = ordered.filter(round__number__gt=season.competition.round_count - rounds)
    told = _without_repeats(recent[: 2 * limit])
    return tuple(turn_view(season, turn) for turn in told[:limit])


def _without_repeats(turns: Iterable[Turn]) -> list[Turn]:
    skipped: set[object] = set()
    kept = []
    for turn in turns:
        if turn.outcome == TurnOutcome.SKIPPED:
            if turn.participant_id in skipped:
                continue
            skipped.add(turn.participant_id)
        kept.append(turn)
    return kept


def turn_view(season: Season, turn: Turn) -> TurnView:
    """Return a turn as it is shown; its rows must have been fetched by :func:`turn_rows`."""
    decision = turn.decision
    answered = turn.answered_at
    error = shown(decision.error) if decision else ""
    reason = shown(turn.reason)
    return TurnView(
        key=turn.turn_key,
        entrant=season.by_id[turn.participant_id],
        number=turn.round.number,
        outcome=turn.outcome,
        summary=shown(decision.summary, limit=SUMMARY_LIMIT) if decision else "",
        reason="" if error.startswith(reason) else reason,
        error=error,
        is_failed=turn.outcome in _FAILED,
        took=answered - turn.round.opened_at if answered else None,
        answered_at=answered,
        slot_at=turn.round.slot_at,
        legs=tuple(leg_view(season, leg) for leg in turn.legs.all()),
        is_extra=turn.round.is_extra,
    )


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One line of the feed: a settled turn, or what happened to an account between turns."""

    turn: TurnView | None = None
    happening: Execution | None = None


def with_happenings(
    season: Season, turns: tuple[TurnView, ...], *, limit: int = FEED_LENGTH
) -> tuple[FeedEntry, ...]:
    """Return the turns of :func:`feed_of`, and between them what happened since the oldest of them. Queries once."""
    if not turns:
        return ()
    waiting = list(happenings_of(season, since=turns[-1].slot_at, limit=limit))
    entries: list[FeedEntry] = []
    for turn in turns:
        # What happened at the slot itself came before the round that it opened.
        while waiting and waiting[0].at > turn.slot_at:
            entries.append(FeedEntry(happening=waiting.pop(0)))
        entries.append(FeedEntry(turn=turn))
    return (*entries, *(FeedEntry(happening=item) for item in waiting))


def leg_view(season: Season, leg: Leg) -> LegView:
    """Return an instruction as it is shown."""
    wish: dict[str, Any] = leg.instruction
    symbol = str(wish.get("symbol") or "")
    grid = season.grid(symbol)
    fills = list(leg.order.fills.all()) if leg.order and leg.verdict in _MAY_FILL else []
    quantity, price = filled(fills)
    return LegView(
        index=leg.index,
        action=shown(str(wish.get("action") or ""), limit=24).replace("_", " "),
        symbol=shown(symbol, limit=32),
        base=season.base(symbol),
        grid=grid,
        size=" ".join(filter(None, (_size(wish), _waits(wish)))),
        leverage=wish.get("leverage"),
        stop_loss=_decimal(wish.get("stop_loss")),
        take_profit=_decimal(wish.get("take_profit")),
        invalidation=shown(str(wish.get("invalidation") or "")),
        confidence=_decimal(wish.get("confidence")),
        reasoning=shown(str(wish.get("reasoning") or ""), limit=REASONING_LIMIT),
        verdict=leg.verdict,
        denial=shown(leg.denial or _denied_later(leg)),
        filled_quantity=quantity,
        filled_price=price,
        callback_rate=_decimal(wish.get("callback_rate")),
        activation_price=_decimal(wish.get("activation_price")),
        executes=season.rules is not None and season.rules.resting_orders,
        fate=fate_of(leg.order, fills, grid) if leg.order and leg.verdict == _RESTING else "",
    )


def _denied_later(leg: Leg) -> str:
    """Return why the order was rejected at its trigger; empty for one that was not."""
    order = leg.order
    if order is None or leg.verdict != _RESTING or not order.denial_code:
        return ""
    return str(Denial(DenialCode(order.denial_code), order.denial_context))


def _size(wish: dict[str, Any]) -> str:
    """Return the wished size in words: 0.80, 6,550.00 USDT, 25 % of free margin."""
    for name in ("quantity", "notional", "margin_fraction"):
        value = _decimal(wish.get(name))
        if value is None:
            continue
        if name == "quantity":
            return f"{value:,f}"
        if name == "notional":
            return f"for {value:,.2f}"
        return f"{value * 100:.4g}\u00a0% of free margin"
    return ""


def _waits(wish: dict[str, Any]) -> str:
    """Return what the order waits for, in words: limit 2,000; stop market at 50,000; trailing stop 2 %. Empty for a market order."""
    kind = shown(str(wish.get("order_type") or ""), limit=24).replace("_", " ")
    for name, words in (("limit_price", ""), ("trigger_price", "at ")):
        level = _decimal(wish.get(name))
        if level is not None:
            return f"{kind} {words}{level:,f}"
    rate = _decimal(wish.get("callback_rate"))
    return kind if rate is None else f"{kind} {rate:f}\u00a0%"


def _decimal(value: object) -> Decimal | None:
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 20 else None
