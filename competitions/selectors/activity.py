"""What the participants did: decisions, open positions, closed trades."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db.models import Prefetch, QuerySet

from competitions.models.rounds import Leg, LegVerdict, Turn, TurnOutcome, TurnState
from competitions.selectors.checks import denial_shown
from competitions.selectors.market import ClosingMarks
from competitions.selectors.seasons import Entrant, Grid, Season
from competitions.selectors.shown import shown
from trading.models import Fill, Position

FEED_LENGTH = 12
TRADES_LENGTH = 20
SUMMARY_LIMIT = 600
REASONING_LIMIT = 1_500
MAX_LEGS = 8
_FAILED = {"INVALID", "REFUSED", "TIMEOUT", "ERROR", "LATE"}


@dataclass(frozen=True, slots=True)
class LegView:
    """One instruction and what became of it; ``filled`` is quantity and average price."""

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


def leg_view(season: Season, leg: Leg) -> LegView:
    """Return an instruction as it is shown."""
    wish: dict[str, Any] = leg.instruction
    symbol = str(wish.get("symbol") or "")
    quantity, price = _filled(leg)
    return LegView(
        index=leg.index,
        action=shown(str(wish.get("action") or ""), limit=24).replace("_", " "),
        symbol=shown(symbol, limit=32),
        base=season.base(symbol),
        grid=season.grid(symbol),
        size=" ".join(filter(None, (_size(wish), _waits(wish)))),
        leverage=wish.get("leverage"),
        stop_loss=_decimal(wish.get("stop_loss")),
        take_profit=_decimal(wish.get("take_profit")),
        invalidation=shown(str(wish.get("invalidation") or "")),
        confidence=_decimal(wish.get("confidence")),
        reasoning=shown(str(wish.get("reasoning") or ""), limit=REASONING_LIMIT),
        verdict=leg.verdict,
        denial=shown(leg.denial),
        filled_quantity=quantity,
        filled_price=price,
    )


def _filled(leg: Leg) -> tuple[Decimal | None, Decimal | None]:
    """Return quantity and average price of the order's fills."""
    if leg.order is None or leg.verdict != LegVerdict.FILLED:
        return None, None
    fills = list(leg.order.fills.all())
    quantity = sum((fill.quantity for fill in fills), Decimal(0))
    if not quantity:
        return None, None
    spent = sum((fill.quantity * fill.price for fill in fills), Decimal(0))
    return quantity, spent / quantity


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


@dataclass(frozen=True, slots=True)
class PositionView:
    """An open holding; ``mark`` and what follows from it are None while no mark is known."""

    entrant: Entrant
    grid: Grid | None
    symbol: str
    base: str
    side: str
    quantity: Decimal
    leverage: int
    entry: Decimal | None
    mark: Decimal | None
    notional: Decimal | None
    unrealised: Decimal | None
    margin_return: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    invalidation: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """A participant's open holdings together."""

    entrant: Entrant
    positions: tuple[PositionView, ...]
    unrealised: Decimal | None


@dataclass(frozen=True, slots=True)
class Holdings:
    """All open positions, by participant in the leaderboard's order; ``at`` is the market time of the marks."""

    holders: tuple[Holder, ...]
    count: int
    at: datetime | None


def holdings_of(season: Season, marks: ClosingMarks, *, order: Sequence[Entrant]) -> Holdings:
    """Return the open positions of the book. Queries once."""
    rows = Position.objects.open().filter(account__in=list(season.by_account)).order_by("symbol")
    views = [position_view(season, row, marks) for row in rows]
    holders = []
    for entrant in order:
        own = tuple(view for view in views if view.entrant == entrant)
        if own:
            holders.append(Holder(entrant, own, total_of(view.unrealised for view in own)))
    return Holdings(tuple(holders), len(views), marks.at)


def position_view(season: Season, row: Position, marks: ClosingMarks) -> PositionView:
    """Return a holding at the marks."""
    mark = marks.marks.get(row.symbol)
    size = abs(row.quantity)
    notional = None if mark is None else size * mark
    unrealised = None
    if notional is not None:
        unrealised = notional - row.entry_cost if row.is_long else row.entry_cost - notional
    margin = row.entry_cost / row.leverage
    return PositionView(
        entrant=season.by_account[row.account_id],
        grid=season.grid(row.symbol),
        symbol=row.symbol,
        base=season.base(row.symbol),
        side="LONG" if row.is_long else "SHORT",
        quantity=size,
        leverage=row.leverage,
        entry=row.entry_cost / size if size else None,
        mark=mark,
        notional=notional,
        unrealised=unrealised,
        margin_return=unrealised / margin if unrealised is not None and margin else None,
        stop_loss=row.stop_loss,
        take_profit=row.take_profit,
        invalidation=shown(row.invalidation),
        opened_at=row.opened_at,
    )


def total_of(values: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum, None when a part is unknown."""
    total = Decimal(0)
    for value in values:
        if value is None:
            return None
        total += value
    return total


@dataclass(frozen=True, slots=True)
class TradeView:
    """A holding from flat to flat; ``net`` is after fees and funding."""

    entrant: Entrant
    grid: Grid | None
    base: str
    side: str
    quantity: Decimal
    leverage: int
    entry: Decimal | None
    exit: Decimal | None
    held: timedelta | None
    fees: Decimal
    net: Decimal
    closed_at: datetime | None


def trades_of(
    season: Season, *, entrant: Entrant | None = None, limit: int = TRADES_LENGTH
) -> tuple[TradeView, ...]:
    """Return the latest closed trades, newest first. Queries once."""
    accounts = [entrant.account_id] if entrant else list(season.by_account)
    rows = (
        Position.objects.closed()
        .filter(account__in=accounts)
        .order_by("-closed_at", "account__ordinal", "-seq")[:limit]
    )
    return tuple(_trade_view(season, row) for row in rows)


def _trade_view(season: Season, row: Position) -> TradeView:
    return TradeView(
        entrant=season.by_account[row.account_id],
        grid=season.grid(row.symbol),
        base=season.base(row.symbol),
        side="LONG" if row.is_long else "SHORT",
        quantity=row.entered_quantity,
        leverage=row.leverage,
        entry=row.average_entry,
        exit=row.average_exit,
        held=row.closed_at - row.opened_at if row.closed_at else None,
        fees=row.fees,
        net=row.realised - row.fees + row.funding,
        closed_at=row.closed_at,
    )
