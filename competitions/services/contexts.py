"""What each participant of a round is told, put together from rows in a bounded number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Max, Prefetch

from agents.domain.context import (
    AccountView,
    DecisionContext,
    OrderView,
    PositionView,
    RecentDecision,
    RulesView,
)
from competitions.domain.contract import Contract
from competitions.models import Leg, Participant, Round, Turn
from competitions.models.rounds import LegVerdict
from competitions.selectors.extras import extra_numbers, scheduled_place, since_scheduled
from competitions.services.bookkeeping import denial_text, states_at
from competitions.services.setup import history_from
from marketdata import services as marketdata
from marketdata.domain.canonical import sha256_text
from marketdata.domain.facts import Quote
from trading.domain.drawdown import drawdown_pct, drawdown_tier
from trading.domain.intents import OrderKind, Side
from trading.domain.maintenance import liquidation_price
from trading.domain.margin import account_figures, unrealised
from trading.domain.rules import BookRules
from trading.domain.sizing import SmallestOrder, smallest_order
from trading.domain.state import AccountState, PositionState
from trading.models import Order
from trading.models.orders import OrderStatus

RECENT = 3


def build_contexts(
    round_: Round, contract: Contract, participants: Sequence[Participant]
) -> dict[int, DecisionContext]:
    """Return the participants' contexts by ordinal; the market and the rules are the same objects for all.

    Rounds are told by their place in the schedule, so that an extra round changes nothing of what others are told.
    """
    if not participants or round_.snapshot is None:
        return {}
    manifest = round_.snapshot.content()
    quotes = marketdata.quotes_of(manifest)
    market = marketdata.market_view(
        round_.competition.feed,
        contract.rules.instruments,
        contract.timeframes,
        as_of=round_.slot_at,
        quotes=quotes,
        funding=marketdata.funding_of(manifest),
        candle_count=contract.candle_count,
        history_from=history_from(contract),
    )
    rules = RulesView.of(contract.rules, interval_seconds=contract.interval_seconds)
    states = states_at(
        [participant.seat.pk for participant in participants],
        {symbol: quote.mark for symbol, quote in quotes.items()},
        with_peaks=contract.rules.watches_drawdown,
        with_orders=contract.rules.resting_orders,
    )
    waiting = waiting_orders(states, contract, at=round_.slot_at)
    rejected = _rejected(participants, round_, contract)
    extras = extra_numbers(round_.competition)
    place = scheduled_place(round_.number, extras)
    recent = _recent(round_, participants, extras)
    return {
        participant.ordinal: DecisionContext(
            competition_name=round_.competition.name,
            round_number=place,
            total_rounds=contract.max_rounds,
            as_of=round_.slot_at,
            market=market,
            rules=rules,
            account=account_view(
                states[participant.seat.pk],
                contract,
                at=round_.slot_at,
                orders=waiting[participant.seat.pk],
            ),
            recent=tuple(recent[participant.pk]),
            denials=(
                *(recent[participant.pk][-1].denials if recent[participant.pk] else ()),
                *rejected[participant.seat.pk],
            ),
            smallest=smallest_orders(contract, quotes),
            seed_material=sha256_text(
                f"{contract.seed}:{place}{':extra' if round_.is_extra else ''}:{participant.ordinal}"
            ),
            is_extra=round_.is_extra,
        )
        for participant in participants
    }


def account_view(
    state: AccountState, contract: Contract, *, at: datetime, orders: Sequence[OrderView] = ()
) -> AccountView:
    """Return an account as its participant is told it, valued at the state's marks."""
    figures = account_figures(state, contract.rules)
    return AccountView(
        wallet=state.wallet,
        equity=figures.equity,
        free_margin=figures.free_margin,
        used_margin=figures.used_margin,
        positions=tuple(
            _position_view(position, state, contract.rules, at=at)
            for _, position in sorted(state.positions.items())
        ),
        drawdown_pct=None if state.peak is None else drawdown_pct(state.peak, figures.equity),
        drawdown_tier=drawdown_tier(state, contract.rules).value,
        orders=tuple(orders),
    )


def smallest_orders(contract: Contract, quotes: Mapping[str, Quote]) -> dict[str, SmallestOrder]:
    """Return by symbol the least that may be opened at the quotes; nothing where no order rests, whose prompts do not tell it."""
    if not contract.rules.resting_orders:
        return {}
    return {
        spec.symbol: smallest_order(spec, quotes[spec.symbol], contract.rules)
        for spec in contract.rules.instruments
        if spec.symbol in quotes
    }


def waiting_orders(
    states: Mapping[UUID, AccountState], contract: Contract, *, at: datetime
) -> dict[UUID, list[OrderView]]:
    """Return the orders that wait, by account and in the order of acceptance; a query where orders may rest, none elsewhere."""
    found: dict[UUID, list[OrderView]] = defaultdict(list)
    if contract.rules.resting_orders:
        rows = Order.objects.resting().filter(account__in=list(states))
        for row in rows.in_order_of_acceptance():
            found[row.account_id].append(_order_view(row, at=at))
    return found


def _order_view(row: Order, *, at: datetime) -> OrderView:
    return OrderView(
        symbol=row.symbol,
        side=Side(row.side),
        quantity=row.quantity - row.filled_quantity,
        kind=OrderKind(row.kind),
        limit_price=row.limit_price,
        trigger_price=row.trigger_price,
        callback_rate=row.callback_rate,
        activation_price=row.activation_price,
        trailing_best=row.trail_extreme,
        time_in_force=row.time_in_force,
        reduce_only=row.reduce_only,
        close_position=row.close_position,
        age_minutes=_minutes(row.market_at, at),
    )


def _position_view(
    position: PositionState, state: AccountState, rules: BookRules, *, at: datetime
) -> PositionView:
    mark = state.marks[position.symbol]
    liquidation = None
    if rules.acts_between_rounds:
        liquidation = liquidation_price(state, position.symbol, rules)
    return PositionView(
        symbol=position.symbol,
        side="LONG" if position.is_long else "SHORT",
        quantity=abs(position.quantity),
        entry=position.entry_cost / abs(position.quantity),
        mark=mark,
        unrealised=unrealised(position, mark),
        leverage=position.leverage,
        stop_loss=position.exits.stop_loss,
        take_profit=position.exits.take_profit,
        invalidation=position.exits.invalidation,
        age_minutes=_minutes(position.opened_at, at),
        trailing_stop_pct=position.exits.callback_rate,
        trailing_activation=position.exits.activation_price,
        trailing_best=position.trail_extreme,
        liquidation=liquidation,
    )


def _minutes(since: datetime, at: datetime) -> int:
    return int((at - since).total_seconds() // 60)


def _rejected(
    participants: Sequence[Participant], round_: Round, contract: Contract
) -> dict[UUID, list[str]]:
    """Return the orders that were refused at their trigger since the account's last turn, in words with figures."""
    told: dict[UUID, list[str]] = defaultdict(list)
    if not contract.rules.resting_orders:
        return told
    settled = dict(
        Turn.objects.filter(
            participant__in=participants,
            round__competition_id=round_.competition_id,
            round__number__lt=round_.number,
        )
        .values_list("participant__account_id")
        .annotate(last=Max("settled_at"))
    )
    rows = Order.objects.filter(
        account__in=[participant.seat.pk for participant in participants],
        status=OrderStatus.REJECTED,
        denial_code__gt="",
    )
    for row in rows.in_order_of_acceptance():
        last = settled.get(row.account_id)
        if last is None or row.updated_at > last:
            told[row.account_id].append(
                f"{row.side} {row.symbol} {row.kind.lower()}, at its trigger: {denial_text(row)}"
            )
    return told


def _recent(
    round_: Round, participants: Sequence[Participant], extras: Sequence[int]
) -> dict[object, list[RecentDecision]]:
    """Return the last decisions of each participant, oldest first; two queries, one more where extra rounds were played."""
    turns = (
        Turn.objects.filter(
            participant__in=participants,
            round__number__lt=round_.number,
            round__number__gte=since_scheduled(round_.competition, RECENT, before=round_.number),
            round__competition_id=round_.competition_id,
        )
        .select_related("round", "decision")
        .only(
            "participant_id",
            "outcome",
            "reason",
            "round__number",
            "round__kind",
            "decision__summary",
        )
        .prefetch_related(Prefetch("legs", Leg.objects.filter(verdict=LegVerdict.DENIED)))
        .order_by("round__number")
    )
    found: dict[object, list[RecentDecision]] = defaultdict(list)
    for turn in turns:
        found[turn.participant_id].append(
            RecentDecision(
                round_number=scheduled_place(turn.round.number, extras),
                summary=turn.decision.summary if turn.decision else turn.reason,
                outcome=turn.outcome,
                denials=tuple(
                    leg.denial for leg in sorted(turn.legs.all(), key=lambda leg: leg.index)
                ),
                is_extra=turn.round.is_extra,
            )
        )
    return defaultdict(list, {key: turns[-RECENT:] for key, turns in found.items()})
