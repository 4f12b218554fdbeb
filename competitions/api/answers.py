"""What the API answers with."""

from __future__ import annotations

import uuid
from typing import Any

from ninja import Schema

from competitions.api.wire import Amount, Instant


class CompetitionOut(Schema):
    """A competition in a list; times of its schedule are market times."""

    id: uuid.UUID
    slug: str
    name: str
    description: str
    status: str
    visibility: str
    mode: str
    clock: str
    feed: str
    venue: str
    starts_at: Instant | None
    ends_at: Instant | None
    max_rounds: int | None
    interval_seconds: int
    deadline_seconds: int
    initial_capital: Amount
    settlement_asset: str
    round_count: int
    started_at: Instant | None
    finished_at: Instant | None
    created_at: Instant


class EntrantOut(Schema):
    """A participant in brief."""

    id: uuid.UUID
    ordinal: int
    slug: str
    name: str
    provider: str
    model: str
    is_baseline: bool
    state: str
    state_reason: str


class RulesOut(Schema):
    """The rules of trading; percentages in percent, fees in hundredths of a percent; null and 0 for limits and fees there are not."""

    margin_model: str
    fill_rule: str
    fee_bps_taker: Amount
    fee_bps_maker: Amount
    slippage_bps: Amount
    max_leverage: int
    max_position_size_pct: Amount
    max_open_positions: int
    max_margin_usage_pct: Amount
    margin_requirement_pct: Amount
    maintenance_margin_pct: Amount
    allow_short: bool
    allow_pyramiding: bool
    acts_between_rounds: bool
    resting_orders: bool
    margin_mode: str
    stop_out_basis: str
    clearance_fee_bps: Amount
    leverage_limits: dict[str, int]
    max_decisions_per_hour: int | None
    drawdown_warn_pct: Amount | None
    drawdown_stop_pct: Amount | None
    drawdown_close_pct: Amount | None
    overnight_bps_long: Amount
    overnight_bps_short: Amount
    overnight_hour_utc: int


class CompetitionDetailOut(CompetitionOut):
    """A competition with its rules, instruments and roster."""

    rules: RulesOut
    instruments: list[str]
    timeframes: list[str]
    participants: list[EntrantOut]
    contract_hash: str
    season_digest: str
    stop_reason: str


class CompetitionPage(Schema):
    items: list[CompetitionOut]
    next_cursor: str | None


class StatusOut(Schema):
    """Where a competition stands; ``seq`` is the number of its last event."""

    id: uuid.UUID
    slug: str
    status: str
    status_label: str
    mode: str
    round_count: int
    total_rounds: int | None
    is_round_open: bool
    next_round_at: Instant | None
    market_at: Instant | None
    last_event_at: Instant | None
    is_stale: bool
    seq: int
    stop_reason: str


class BoardRowOut(Schema):
    """One line of the leaderboard; returns and ratios are fractions of 1, ``rank`` is null for baselines."""

    rank: int | None
    participant: EntrantOut
    equity: Amount
    total_return: Amount
    max_drawdown: Amount | None
    trades: int
    win_rate: Amount | None
    fees: Amount
    exposure: Amount | None
    extra_turns: int
    last_outcome: str | None


class BoardOut(Schema):
    """The leaderboard, best equity first, as of the last closed round."""

    competition_id: uuid.UUID
    competition: str
    closed_rounds: int
    at: Instant | None
    rows: list[BoardRowOut]


class RoundOut(Schema):
    """One round; ``slot_at`` and ``marked_at`` are market times. ``asked_by`` tells who asked for an EXTRA one."""

    number: int
    kind: str
    asked_by: str
    state: str
    slot_at: Instant
    has_data: bool
    opened_at: Instant
    deadline_at: Instant
    closed_at: Instant | None
    marked_at: Instant | None
    snapshot: str | None
    digest: str


class RoundPage(Schema):
    items: list[RoundOut]
    next_cursor: str | None


class EventOut(Schema):
    """One thing that viewers were told; ``seq`` is dense, so that a listener can tell what it missed."""

    seq: int
    kind: str
    at: Instant
    payload: dict[str, Any]


class EventPage(Schema):
    items: list[EventOut]
    next_cursor: str | None


class ParametersOut(Schema):
    """What the model is asked with: as requested, as sent, and why they differ."""

    requested: dict[str, Any]
    effective: dict[str, Any]
    warnings: list[str]


class ParticipantOut(EntrantOut):
    """A participant with its model and parameters."""

    competition_id: uuid.UUID
    competition: str
    agent: str
    timeout_seconds: int
    parameters: ParametersOut
    created_at: Instant


class RegisteredOut(ParticipantOut):
    """A participant just registered; ``warnings`` name the parameters that its provider cannot take."""

    warnings: list[str]


class CloseLineOut(Schema):
    """What became of one position; quantities are signed as the position was."""

    participant: str
    symbol: str
    quantity: str
    filled: str
    message: str


class CloseReportOut(Schema):
    """Every position at an emergency close; ``is_flat`` only when nothing is left open."""

    is_flat: bool
    lines: list[CloseLineOut]


class PerformanceOut(Schema):
    """How it went; returns and ratios are fractions of 1, null where there is nothing to divide."""

    participant_id: uuid.UUID
    rank: int | None
    rounds: int
    start_capital: Amount
    equity: Amount
    total_return: Amount
    peak_equity: Amount
    max_drawdown: Amount
    trades: int
    wins: int
    win_rate: Amount | None
    fills: int
    denials: int
    realised: Amount
    fees: Amount
    funding: Amount
    outcomes: dict[str, int]


class EquityPointOut(Schema):
    """Equity at the close of a round; round 0 is the start."""

    round: int
    at: Instant
    equity: Amount
    wallet: Amount
    unrealised: Amount
    used_margin: Amount


class EquityPage(Schema):
    items: list[EquityPointOut]
    next_cursor: str | None


class LegOut(Schema):
    """One instruction as parsed, and what became of it.

    ``order_status`` is how its order stands now, so that one left RESTING is followed to its end; null without an order. Fills and
    ``denial`` are as of now, too.
    """

    index: int
    instruction: dict[str, Any]
    verdict: str
    denial: str
    client_order_id: str | None
    order_status: str | None
    filled_quantity: Amount | None
    filled_price: Amount | None


class DecisionOut(Schema):
    """A settled turn; ``status`` is how its answer was read, null when there was none."""

    turn: str
    participant_id: uuid.UUID
    participant: str
    round: int
    round_kind: str
    slot_at: Instant
    outcome: str
    reason: str
    status: str | None
    summary: str
    error: str
    answered_at: Instant | None
    settled_at: Instant | None
    instructions: list[LegOut]


class DecisionPage(Schema):
    items: list[DecisionOut]
    next_cursor: str | None


class HeartbeatOut(Schema):
    """When a part of the arena was last heard of, wall time."""

    name: str
    at: Instant


class ArenaStatusOut(Schema):
    """The arena at large; ``competitions`` counts those the caller may see, by status."""

    now: Instant
    competitions: dict[str, int]
    heartbeats: list[HeartbeatOut]


class MarkOut(Schema):
    """A symbol's mark in the latest snapshot of a competition."""

    symbol: str
    base: str
    mark: Amount
    change: Amount | None
    tick: Amount
    step: Amount


class MarketOut(Schema):
    """The market as a competition saw it last; ``change`` is a fraction over ``rounds`` rounds."""

    competition: str
    feed: str
    is_simulated: bool
    has_data: bool
    as_of: Instant | None
    captured_at: Instant | None
    rounds: int
    prices: list[MarkOut]
