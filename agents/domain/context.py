"""What a participant is told in a round: the market, the rules, its own account and its last steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.views import MarketView
from trading.domain.intents import OrderKind, Side
from trading.domain.rules import BookRules
from trading.domain.sizing import SmallestOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesView:
    """The limits and costs of the season, in numbers.

    ``*_pct`` are percent of equity, ``*_bps`` hundredths of a percent of notional. ``interval_seconds`` is the market time between
    rounds, None when it is not fixed. ``resting_orders`` False means that exits are only written down, ``acts_between_rounds`` that
    positions are liquidated.
    """

    settlement_asset: str
    max_leverage: int
    default_leverage: int
    max_position_size_pct: Decimal
    max_open_positions: int
    max_margin_usage_pct: Decimal
    margin_buffer: Decimal
    fee_bps_taker: Decimal
    slippage_bps: Decimal
    allow_short: bool
    allow_pyramiding: bool
    resting_orders: bool
    fill_rule: str
    instruments: tuple[InstrumentSpec, ...]
    interval_seconds: int | None = None
    fee_bps_maker: Decimal = Decimal(0)
    leverage_limits: tuple[tuple[str, int], ...] = ()
    acts_between_rounds: bool = False
    margin_model: str = "perpetual"
    margin_mode: str = "cross"
    margin_requirement_pct: Decimal = Decimal(10)
    maintenance_margin_pct: Decimal = Decimal(5)
    max_decisions_per_hour: int | None = None
    drawdown_warn_pct: Decimal | None = None
    drawdown_stop_pct: Decimal | None = None
    drawdown_close_pct: Decimal | None = None
    overnight_bps_long: Decimal = Decimal(0)
    overnight_bps_short: Decimal = Decimal(0)
    overnight_hour_utc: int = 21

    @classmethod
    def of(cls, rules: BookRules, *, interval_seconds: int | None = None) -> RulesView:
        """Return what participants are told of a book's rules."""
        return cls(
            settlement_asset=rules.settlement_asset,
            max_leverage=rules.max_leverage,
            default_leverage=rules.default_leverage,
            max_position_size_pct=rules.max_position_size_pct,
            max_open_positions=rules.max_open_positions,
            max_margin_usage_pct=rules.max_margin_usage_pct,
            margin_buffer=rules.margin_buffer,
            fee_bps_taker=rules.fee_bps_taker,
            slippage_bps=rules.slippage_bps,
            allow_short=rules.allow_short,
            allow_pyramiding=rules.allow_pyramiding,
            resting_orders=rules.resting_orders,
            fill_rule=str(rules.fill_rule),
            instruments=rules.instruments,
            interval_seconds=interval_seconds,
            fee_bps_maker=rules.fee_bps_maker,
            leverage_limits=rules.leverage_limits,
            acts_between_rounds=rules.acts_between_rounds,
            margin_model=str(rules.margin_model),
            margin_mode=str(rules.margin_mode),
            margin_requirement_pct=rules.margin_requirement_pct,
            maintenance_margin_pct=rules.maintenance_margin_pct,
            max_decisions_per_hour=rules.max_decisions_per_hour,
            drawdown_warn_pct=rules.drawdown_warn_pct,
            drawdown_stop_pct=rules.drawdown_stop_pct,
            drawdown_close_pct=rules.drawdown_close_pct,
            overnight_bps_long=rules.overnight_bps_long,
            overnight_bps_short=rules.overnight_bps_short,
            overnight_hour_utc=rules.overnight_hour_utc,
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(spec.symbol for spec in self.instruments)

    def leverage_limit(self, spec: InstrumentSpec) -> int:
        """Return the highest leverage allowed on the symbol."""
        own = dict(self.leverage_limits).get(spec.symbol, self.max_leverage)
        return min(self.max_leverage, spec.max_leverage, own)


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """One open position; ``side`` is LONG or SHORT, ``quantity`` unsigned, ``age_minutes`` in market time.

    ``trailing_stop_pct`` is the trailing exit, ``trailing_best`` the best price that it has followed to (None before it is active).
    ``liquidation`` is the mark at which the position is no longer covered, None when there is none or nobody liquidates.
    """

    symbol: str
    side: str
    quantity: Decimal
    entry: Decimal
    mark: Decimal
    unrealised: Decimal
    leverage: int
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    invalidation: str = ""
    age_minutes: int = 0
    trailing_stop_pct: Decimal | None = None
    trailing_activation: Decimal | None = None
    trailing_best: Decimal | None = None
    liquidation: Decimal | None = None

    @property
    def is_long(self) -> bool:
        return self.side == "LONG"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """One order that rests; ``quantity`` is what is left of it, ``age_minutes`` in market time."""

    symbol: str
    side: Side
    quantity: Decimal
    kind: OrderKind
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    callback_rate: Decimal | None = None
    activation_price: Decimal | None = None
    trailing_best: Decimal | None = None
    time_in_force: str = ""
    reduce_only: bool = False
    close_position: bool = False
    age_minutes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """The participant's money at the round's marks, in the settlement currency.

    ``drawdown_pct`` is the fall from the highest equity, ``drawdown_tier`` NONE, WARN, STOP or CLOSE; None and NONE in a season without
    such rules.
    """

    wallet: Decimal
    equity: Decimal
    free_margin: Decimal
    used_margin: Decimal
    positions: tuple[PositionView, ...] = ()
    drawdown_pct: Decimal | None = None
    drawdown_tier: str = "NONE"
    orders: tuple[OrderView, ...] = ()

    def position(self, symbol: str) -> PositionView | None:
        """Return the open position in ``symbol``, None when there is none."""
        return next((held for held in self.positions if held.symbol == symbol), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentDecision:
    """One of the participant's last turns: what it said and what came of it."""

    round_number: int
    summary: str
    outcome: str
    denials: tuple[str, ...] = ()
    is_extra: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionContext:
    """All that a prompt is built from; ``market`` and ``rules`` are the same for every participant of the round.

    ``recent`` holds the last three decisions, oldest first; ``denials`` the refusals of the last one and those of orders at their
    trigger since. ``smallest`` is by symbol the least that may be opened now, told where orders rest. ``seed_material`` is never
    shown: it seeds the random baseline and differs by season, round and participant. ``round_number`` counts the schedule's rounds; an
    extra turn (``is_extra``) has the number of the round before it.
    """

    competition_name: str
    round_number: int
    total_rounds: int | None
    as_of: datetime
    market: MarketView
    rules: RulesView
    account: AccountView
    recent: tuple[RecentDecision, ...] = ()
    denials: tuple[str, ...] = ()
    smallest: Mapping[str, SmallestOrder] = field(default_factory=dict)
    seed_material: str = ""
    is_extra: bool = False
