"""What a replay did, kept as the rows that the services would have written: each by its natural key, column by column.

A row is a mapping from the names of its columns to values. Columns that point to another row hold that row's natural key: an account
is its ordinal, an order its client order id, a fill ``(ordinal, seq)``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from marketdata.domain.facts import Quote, floor_time
from trading.domain.denials import Denial, RuleCheck
from trading.domain.events import Event, OrderAsked
from trading.domain.intents import Exits, OrderIntent, Side, Wish, WishAction
from trading.domain.margin import AccountFigures, account_figures
from trading.domain.money import ZERO
from trading.domain.outcome import (
    BookedFill,
    EntryKind,
    OrderChange,
    OrderStatus,
    Outcome,
    PostingLine,
)
from trading.domain.rules import BookRules
from trading.domain.standings import Drawdown
from trading.domain.state import AccountState, PositionState
from trading.models.orders import OrderCause
from trading.services.equity import SPAN_SECONDS
from trading.services.saving import (
    causes_of,
    ending_fields,
    endings,
    is_wiped_out,
    position_fields,
)

Row = dict[str, Any]

WAITING = {OrderStatus.SUBMITTING.value, OrderStatus.OPEN.value, OrderStatus.PARTIAL.value}
# The columns of an order that nobody asked for.
EMPTY_ORDER: Row = {
    "turn_key": "",
    "leg": 0,
    "limit_price": None,
    "callback_rate": None,
    "activation_price": None,
    "trail_extreme": None,
    "time_in_force": "",
    "reserved": ZERO,
    "stop_loss": None,
    "take_profit": None,
    "exit_callback_rate": None,
    "exit_activation_price": None,
    "invalidation": "",
    "denial_code": "",
    "denial_context": {},
    "checks": [],
    "venue_order_id": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the orders of one turn or act have in common.

    ``is_arrival`` means that an order's market time is that of its quote. ``earlier`` holds the tape positions of single orders, by
    client order id: of those that a close which was cut off had placed, and in a book on which the market acts of all; the others
    have ``tape_position``. ``filled`` holds those of their first fills, where these may be others.
    """

    cause: OrderCause
    prefix: str
    market_at: datetime
    tape_position: int
    turn_key: str = ""
    is_arrival: bool = False
    earlier: Mapping[str, int] = field(default_factory=dict)
    filled: Mapping[str, int] = field(default_factory=dict)

    def position_of(self, client_order_id: str) -> int:
        """Return the tape position of an order."""
        return self.earlier.get(client_order_id, self.tape_position)

    def filled_at(self, client_order_id: str) -> int:
        """Return the tape position of an order's fills when it arrived."""
        return self.filled.get(client_order_id, self.position_of(client_order_id))


@dataclass(slots=True)
class Tally:
    """The figures of an account's standing that count up."""

    start_capital: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    fills: int = 0
    trades: int = 0
    wins: int = 0
    denials: int = 0
    number: int = 0
    at: datetime | None = None
    figures: AccountFigures | None = None
    drawdown: Drawdown | None = None


@dataclass(slots=True)
class Journal:
    """The rows of a season as a replay makes them.

    ``orders``, ``fills``, ``postings`` and ``equity`` hold what came since the last :meth:`forget`, orders that wait longer than that
    as long as they do; ``positions``, ``rollups`` and ``tallies`` the whole season. ``wiped_out`` holds the participants to whom
    nothing is left. ``code`` is the book's, in the names of orders.
    """

    rules: BookRules
    code: str = ""
    orders: dict[str, Row] = field(default_factory=dict)
    fills: dict[tuple[int, int], Row] = field(default_factory=dict)
    postings: dict[tuple[str, int], Row] = field(default_factory=dict)
    equity: dict[tuple[int, int], Row] = field(default_factory=dict)
    positions: dict[tuple[int, int], Row] = field(default_factory=dict)
    rollups: dict[tuple[int, str, datetime], Row] = field(default_factory=dict)
    tallies: dict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    wiped_out: set[int] = field(default_factory=set)
    scene: Scene | None = None
    _pieces: dict[tuple[str, int, int], int] = field(default_factory=lambda: defaultdict(int))
    _names: dict[str, str] = field(default_factory=dict)
    _endings: dict[int, str] = field(default_factory=dict)

    def forget(self) -> None:
        """Drop the rows that were compared: orders that still wait are not yet what they will be."""
        waiting = {name: row for name, row in self.orders.items() if row["status"] in WAITING}
        for rows in (self.orders, self.fills, self.postings, self.equity):
            rows.clear()
        self.orders.update(waiting)

    def ended_orders(self) -> dict[str, Row]:
        """Return the orders that are what they will stay."""
        return {name: row for name, row in self.orders.items() if row["status"] not in WAITING}

    def acted(self, outcome: Outcome, *, at: datetime, tape_position: int) -> None:
        """Keep what the market set off on one account between its turns."""
        ordinal = outcome.state.ordinal
        for pieces in endings(outcome).values():
            columns = ending_fields(self.code, ordinal, pieces, outcome)
            row = {**EMPTY_ORDER, "account": ordinal, "tape_position": tape_position, **columns}
            self.orders[row["client_order_id"]] = row
            self._endings |= {fill.seq: row["client_order_id"] for fill in pieces}
        for fill in outcome.fills:
            self._fill(outcome.state, fill, tape_position=tape_position, by_market=True)
        self._rest(outcome, tape_position)
        self._fund_closed(outcome, at)
        self._endings.clear()
        if is_wiped_out(outcome):
            self.wiped_out.add(ordinal)

    def _fund_closed(self, outcome: Outcome, at: datetime) -> None:
        """Put a funding payment that was told late on the holding that was closed since its stamp."""
        ordinal = outcome.state.ordinal
        touched = {held.symbol for held in outcome.positions}
        for line in outcome.postings:
            symbol = line.cause_id.split(":")[2]
            if line.house is None and line.kind is EntryKind.FUNDING and symbol not in touched:
                seqs = [
                    seq
                    for (owner, seq), row in self.positions.items()
                    if owner == ordinal and row["symbol"] == symbol and row["opened_at"] <= at
                ]
                self.positions[ordinal, max(seqs)]["funding"] += line.amount

    def stepped(self, event: Event, outcome: Outcome) -> None:
        """Keep what one step of the engine wrote."""
        state = outcome.state
        if isinstance(event, OrderAsked):
            self._asked(state, event, outcome)
        for fill in outcome.fills:
            assert self.scene is not None
            name = self._names.get(fill.client_order_id, fill.client_order_id)
            self._fill(state, fill, tape_position=self.scene.filled_at(name), by_market=False)
        self._rest(outcome, None)

    def _rest(self, outcome: Outcome, tape_position: int | None) -> None:
        """Keep holdings, postings and how orders stand after an outcome."""
        ordinal = outcome.state.ordinal
        for position in outcome.positions:
            self._position(ordinal, position)
        behind = {
            cause: (ordinal, fill.seq)
            for fill in outcome.fills
            for cause in causes_of(ordinal, fill.seq)
        }
        for line in outcome.postings:
            self._posting(ordinal, line, behind.get(line.cause_id), tape_position)
        for change in outcome.orders:
            name = self._names.get(change.client_order_id, change.client_order_id)
            row = self.orders.get(name)
            if row is not None and change.status is not OrderStatus.DENIED:
                _change(row, change)

    def refused(
        self, state: AccountState, index: int, wish: Wish, denial: Denial, quote: Quote | None
    ) -> None:
        """Keep an order that was refused before it was sized."""
        assert self.scene is not None
        held = state.positions.get(wish.symbol)
        side = Side.BUY if wish.action is WishAction.OPEN_LONG else Side.SELL
        if not wish.opens and held is not None:
            side = Side.closing(held.quantity)
        intent = OrderIntent(
            symbol=wish.symbol[:32],
            side=side,
            quantity=ZERO,
            leverage=wish.leverage or (held.leverage if held else self.rules.default_leverage),
            reduce_only=not wish.opens,
            kind=wish.kind,
            time_in_force=wish.time_in_force,
            exits=Exits(invalidation=wish.invalidation),
        )
        at = quote.at if quote and self.scene.is_arrival else self.scene.market_at
        check = RuleCheck(denial.code, "", None, passed=False)
        name = f"{self.scene.prefix}{index}"
        self.tallies[state.ordinal].denials += 1
        self.orders[name] = self._order(
            state.ordinal, name, intent, denial=denial, checks=(check,), at=at
        )

    def _asked(self, state: AccountState, event: OrderAsked, outcome: Outcome) -> None:
        name = self._name(state, event)
        self._names[event.client_order_id] = name
        change = outcome.orders[0]
        self.tallies[state.ordinal].denials += bool(outcome.denials)
        accepted = state.orders.get(event.client_order_id)
        self.orders[name] = row = self._order(
            state.ordinal,
            name,
            # As it was fitted: prices on the tick, quantity on the step.
            accepted.intent if accepted else event.intent,
            denial=outcome.denials[0] if outcome.denials else None,
            checks=outcome.checks,
            at=event.at,
        )
        row["reserved"] = change.reserved
        row["expected_price"] = change.expected_price

    def _name(self, state: AccountState, event: OrderAsked) -> str:
        """Return the client order id: of a turn by its leg, of an act by the holding that it closes and the piece of it."""
        assert self.scene is not None
        if self.scene.turn_key:
            return f"{self.scene.prefix}{_leg(event.client_order_id)}"
        seq = state.positions[event.intent.symbol].seq
        key = (self.scene.prefix, state.ordinal, seq)
        self._pieces[key] += 1
        return f"{self.scene.prefix}{state.ordinal}-{seq}.{self._pieces[key]}"

    def _order(
        self,
        ordinal: int,
        name: str,
        intent: OrderIntent,
        *,
        denial: Denial | None,
        checks: tuple[RuleCheck, ...],
        at: datetime,
    ) -> Row:
        assert self.scene is not None
        exits = intent.exits
        if denial:
            exits = Exits(invalidation=exits.invalidation)
            intent = intent.unpriced()
        return {
            "account": ordinal,
            "client_order_id": name,
            "cause": self.scene.cause.value,
            "turn_key": self.scene.turn_key,
            "leg": _leg(name) if self.scene.turn_key else 0,
            "symbol": intent.symbol,
            "side": intent.side.value,
            "kind": intent.kind.value,
            "quantity": intent.quantity,
            "filled_quantity": ZERO,
            "limit_price": intent.limit_price,
            "trigger_price": intent.trigger_price,
            "callback_rate": intent.callback_rate,
            "activation_price": intent.activation_price,
            "trail_extreme": None,
            "time_in_force": intent.time_in_force.value if intent.time_in_force else "",
            "reduce_only": intent.reduce_only,
            "close_position": intent.close_position,
            "leverage": min(max(intent.leverage, 0), 32767),
            "status": (OrderStatus.DENIED if denial else OrderStatus.SUBMITTING).value,
            "reserved": ZERO,
            "expected_price": None,
            "stop_loss": exits.stop_loss,
            "take_profit": exits.take_profit,
            "exit_callback_rate": exits.callback_rate,
            "exit_activation_price": exits.activation_price,
            "invalidation": exits.invalidation[:500],
            "denial_code": denial.code.value if denial else "",
            "denial_context": dict(denial.context) if denial else {},
            "checks": [check.as_json() for check in checks],
            "venue_order_id": "",
            "tape_position": self.scene.position_of(name),
            "market_at": at,
        }

    def _fill(
        self, state: AccountState, fill: BookedFill, *, tape_position: int, by_market: bool
    ) -> None:
        name = self._endings.get(fill.seq) or self._names.get(
            fill.client_order_id, fill.client_order_id
        )
        tally = self.tallies[state.ordinal]
        tally.fills += 1
        tally.fees += fill.fee
        tally.realised += fill.realised
        self.fills[state.ordinal, fill.seq] = {
            "account": state.ordinal,
            "order": name,
            "seq": fill.seq,
            "trade_id": name + fill.trade_id.removeprefix(fill.client_order_id)
            if fill.client_order_id
            else fill.trade_id,
            "symbol": fill.symbol,
            "side": fill.side.value,
            "quantity": fill.quantity,
            "price": fill.price,
            "fee": fill.fee,
            "realised": fill.realised,
            "is_maker": fill.is_maker,
            "reference_price": fill.reference_price,
            "tape_position": tape_position,
            "by_market": by_market,
            "at": fill.at,
        }

    def _position(self, ordinal: int, position: PositionState) -> None:
        if position.is_closed:
            tally = self.tallies[ordinal]
            tally.trades += 1
            tally.wins += position.net_result > ZERO
        self.positions[ordinal, position.seq] = {
            "account": ordinal,
            "seq": position.seq,
            **position_fields(position),
        }

    def _posting(
        self,
        ordinal: int,
        line: PostingLine,
        fill: tuple[int, int] | None,
        tape_position: int | None,
    ) -> None:
        if line.house is None and line.kind is EntryKind.FUNDING:
            self.tallies[ordinal].funding += line.amount
        self.postings[line.cause_id, line.line] = {
            "cause_id": line.cause_id,
            "line": line.line,
            "account": ordinal if line.house is None else None,
            "house": line.house.value if line.house else "",
            "kind": line.kind.value,
            "amount": line.amount,
            "fill": fill,
            "tape_position": None if fill else tape_position,
            "at": line.at,
        }

    def open_accounts(self, states: Mapping[int, AccountState], *, at: datetime) -> None:
        """Keep the equity points at the start; they are in no rollup."""
        for ordinal, state in states.items():
            figures = account_figures(state, self.rules)
            tally = self.tallies[ordinal]
            tally.start_capital = figures.equity
            tally.at, tally.figures = at, figures
            tally.drawdown = Drawdown(figures.equity, ZERO)
            self.equity[ordinal, 0] = _point(ordinal, 0, at, figures)

    def mark(self, states: Mapping[int, AccountState], *, number: int, at: datetime) -> None:
        """Keep an equity point of every account at the marks that ``states`` hold."""
        for ordinal, state in states.items():
            figures = account_figures(state, self.rules)
            tally = self.tallies[ordinal]
            assert tally.drawdown is not None
            tally.number, tally.at, tally.figures = number, at, figures
            tally.drawdown = tally.drawdown.after(figures.equity)
            self.equity[ordinal, number] = _point(ordinal, number, at, figures)
            self._roll_up(ordinal, figures.equity, at=at)

    def _roll_up(self, ordinal: int, equity: Decimal, *, at: datetime) -> None:
        for span, seconds in SPAN_SECONDS.items():
            start = floor_time(at.astimezone(UTC), seconds)
            row = self.rollups.setdefault(
                (ordinal, span.value, start),
                {
                    "account": ordinal,
                    "span": span.value,
                    "start_at": start,
                    "first": equity,
                    "low": equity,
                    "high": equity,
                },
            )
            row["low"] = min(row["low"], equity)
            row["high"] = max(row["high"], equity)
            row["last"] = equity

    def standings(self, states: Mapping[int, AccountState]) -> Iterator[tuple[int, Row]]:
        """Yield each account's standing by ordinal; ``states`` are the accounts as they are now."""
        for ordinal, tally in sorted(self.tallies.items()):
            figures, drawdown = tally.figures, tally.drawdown
            if figures is None or drawdown is None:
                continue
            yield (
                ordinal,
                {
                    "account": ordinal,
                    "number": tally.number,
                    "at": tally.at,
                    "start_capital": tally.start_capital,
                    "equity": figures.equity,
                    "wallet": states[ordinal].wallet,
                    "unrealised": figures.unrealised,
                    "used_margin": figures.used_margin,
                    "exposure": figures.exposure,
                    "gross_exposure": figures.gross_exposure,
                    "peak": drawdown.peak,
                    "max_drawdown": drawdown.largest,
                    "realised": tally.realised,
                    "fees": tally.fees,
                    "funding": tally.funding,
                    "fills": tally.fills,
                    "trades": tally.trades,
                    "wins": tally.wins,
                    "denials": tally.denials,
                },
            )


def _change(row: Row, change: OrderChange) -> None:
    row["status"] = change.status.value
    row["reserved"] = change.reserved
    row["filled_quantity"] = change.filled
    if change.quantity is not None:
        row["quantity"] = change.quantity
    if change.trail_extreme is not None:
        row["trail_extreme"] = change.trail_extreme
    if change.denial is not None:
        row["denial_code"] = change.denial.code.value
        row["denial_context"] = dict(change.denial.context)


def _leg(name: str) -> int:
    return int(name.rpartition("-")[2])


def _point(ordinal: int, number: int, at: datetime, figures: AccountFigures) -> Row:
    return {
        "account": ordinal,
        "number": number,
        "at": at,
        "equity": figures.equity,
        "wallet": figures.wallet,
        "unrealised": figures.unrealised,
        "used_margin": figures.used_margin,
    }
