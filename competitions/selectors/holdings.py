"""Open positions at the marks of the last close, and closed trades."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from competitions.selectors.causes import Cause
from competitions.selectors.executions import ways_out
from competitions.selectors.exits import exits_in_words
from competitions.selectors.market import ClosingMarks
from competitions.selectors.seasons import Entrant, Grid, Season
from competitions.selectors.shown import shown
from trading.domain.outlook import PositionOutlook, exit_trigger, position_outlook
from trading.domain.rules import BookRules
from trading.domain.state import AccountState, PositionState
from trading.models import Position
from trading.selectors.states import position_state

TRADES_LENGTH = 20
# From here on a liquidation price is pointed out.
CLOSE = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class PositionView:
    """An open holding; ``mark`` and what follows from it are None while no mark is known.

    ``net`` is what closing at the mark would leave of it, before the closing fee: realised and unrealised profit, less fees, with
    funding. ``outlook`` has the figures of its cover, and ``mode`` the word for what covers it (isolated, cross, cfd), empty where
    nothing is liquidated. ``trail_trigger`` is where its trailing exit fires now. ``executes`` tells that its exits rest in the
    market, and are no mere plan.
    """

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
    realised: Decimal
    fees: Decimal
    funding: Decimal
    net: Decimal | None
    mode: str
    outlook: PositionOutlook
    stop_loss: Decimal | None
    take_profit: Decimal | None
    callback_rate: Decimal | None
    activation_price: Decimal | None
    trail_extreme: Decimal | None
    trail_trigger: Decimal | None
    executes: bool
    invalidation: str
    opened_at: datetime

    @property
    def is_close(self) -> bool:
        """Tell whether the mark is within a tenth of its liquidation."""
        return self.outlook.distance is not None and self.outlook.distance < CLOSE

    @property
    def exits(self) -> tuple[str, ...]:
        """Return the exits in words."""
        return exits_in_words(
            self.grid,
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
            callback_rate=self.callback_rate,
            activation_price=self.activation_price,
            trail_trigger=self.trail_trigger,
            invalidation=self.invalidation,
        )


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
    rows = list(
        Position.objects.open()
        .filter(account__in=list(season.by_account))
        .select_related("account")
        .order_by("symbol")
    )
    states = _states(rows, marks.marks)
    views = [position_view(season, row, marks, state=states[row.account_id]) for row in rows]
    holders = []
    for entrant in order:
        own = tuple(view for view in views if view.entrant == entrant)
        if own:
            holders.append(Holder(entrant, own, total_of(view.unrealised for view in own)))
    return Holdings(tuple(holders), len(views), marks.at)


def _states(rows: Iterable[Position], marks: Mapping[str, Decimal]) -> dict[UUID, AccountState]:
    """Return the accounts of positions, for telling what covers them: without their orders."""
    states: dict[UUID, AccountState] = {}
    for row in rows:
        known = states.get(row.account_id)
        if known is None:
            known = AccountState(
                ordinal=row.account.ordinal, wallet=row.account.wallet, marks=dict(marks)
            )
        states[row.account_id] = known.with_position(position_state(row))
    return states


def position_view(
    season: Season, row: Position, marks: ClosingMarks, *, state: AccountState | None = None
) -> PositionView:
    """Return a holding at the marks; without its account's ``state`` it is not told what covers it."""
    mark = marks.marks.get(row.symbol)
    size = abs(row.quantity)
    notional = None if mark is None else size * mark
    unrealised = None
    if notional is not None:
        unrealised = notional - row.entry_cost if row.is_long else row.entry_cost - notional
    margin = row.entry_cost / row.leverage
    held = position_state(row)
    rules = None if state is None else season.rules
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
        realised=row.realised,
        fees=row.fees,
        funding=row.funding,
        net=None if unrealised is None else held.net_result + unrealised,
        mode=margin_mode_of(rules),
        outlook=_outlook(state, held, rules),
        stop_loss=row.stop_loss,
        take_profit=row.take_profit,
        callback_rate=row.callback_rate,
        activation_price=row.activation_price,
        trail_extreme=row.trail_extreme,
        trail_trigger=exit_trigger(held, rules) if rules and rules.find_spec(row.symbol) else None,
        executes=rules is not None and rules.resting_orders,
        invalidation=shown(row.invalidation),
        opened_at=row.opened_at,
    )


def margin_mode_of(rules: BookRules | None) -> str:
    """Return what covers a position: isolated, cross or cfd; empty where nothing is liquidated."""
    if rules is None or not rules.acts_between_rounds:
        return ""
    return rules.margin_mode.value if rules.has_tiers else rules.margin_model.value


def _outlook(
    state: AccountState | None, held: PositionState, rules: BookRules | None
) -> PositionOutlook:
    if state is None or rules is None or rules.find_spec(held.symbol) is None:
        return PositionOutlook()
    return position_outlook(state, held.symbol, rules)


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
    """A holding from flat to flat; ``net`` is after fees and funding, ``closed_by`` what closed it in words, empty if not asked."""

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
    funding: Decimal
    net: Decimal
    closed_at: datetime | None
    closed_by: str = ""


def trades_of(
    season: Season, *, entrant: Entrant | None = None, limit: int = TRADES_LENGTH
) -> tuple[TradeView, ...]:
    """Return the latest closed trades, newest first. Queries once, and once more for what closed those of one ``entrant``."""
    accounts = [entrant.account_id] if entrant else list(season.by_account)
    rows = list(
        Position.objects.closed()
        .filter(account__in=accounts)
        .order_by("-closed_at", "account__ordinal", "-seq")[:limit]
    )
    # Of a whole book's trades it would mean to look through all of its fills.
    ways = ways_out(rows) if entrant and rows else {}
    return tuple(_trade_view(season, row, ways.get(row.pk)) for row in rows)


def _trade_view(season: Season, row: Position, way: Cause | None) -> TradeView:
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
        funding=row.funding,
        net=row.realised - row.fees + row.funding,
        closed_at=row.closed_at,
        closed_by=way.words if way else "",
    )
