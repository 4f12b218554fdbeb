"""From a draft to a frozen season: what is wrong with it, and the contract it starts under."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from agents.models import PromptTemplate
from competitions.domain.contract import Contract, RosterEntry
from competitions.domain.slots import first_slot
from competitions.models import Competition, Participant
from competitions.models.competitions import ClockKind
from competitions.selectors.readiness import (
    NO_INSTRUMENT,
    NO_PARTICIPANT,
    disabled_agent,
    schedule_problems,
    venue_problems,
)
from competitions.services.errors import ControlError
from competitions.services.tiers import tier_tables
from marketdata.domain.canonical import digest_of
from marketdata.domain.facts import Timeframe
from marketdata.feeds import FeedError, MarketFeed, open_feed
from marketdata.models.feeds import FeedKind
from trading.domain.rules import BookRules, MarginMode, MarginModel, StopOutBasis
from trading.domain.rules import FillRule as FillRuleCode

WARM_UP_BARS = 250


def problems_of(competition: Competition) -> list[str]:
    """Return, in words for the organiser, everything that keeps the competition from starting; empty when it may.

    Asks the feed which symbols it has, which for a live feed is one request.
    """
    problems = [
        *_roster_problems(competition),
        *schedule_problems(competition),
        *market_problems(competition),
    ]
    if not problems:
        problems += _contract_problems(competition)
    return problems


def _contract_problems(competition: Competition) -> Iterator[str]:
    try:
        rules_of(competition)
        if competition.feed.kind == FeedKind.REPLAY:
            _replay_period(competition, open_feed(competition.feed))
    except (ValueError, ControlError) as error:
        yield str(error)


def _roster_problems(competition: Competition) -> Iterator[str]:
    roster = list(competition.participants.select_related("agent"))
    if not roster:
        yield NO_PARTICIPANT
    for participant in roster:
        if not participant.agent.is_enabled:
            yield disabled_agent(participant)


def market_problems(competition: Competition) -> Iterator[str]:
    """Yield what is wrong with a draft's instruments, timeframes and feed; a live feed is asked, once."""
    if not competition.timeframes:
        yield "at least one timeframe is wanted, found none"
        return
    known = [item.value for item in Timeframe]
    unknown = [name for name in competition.timeframes if name not in known]
    if unknown:
        yield f"timeframes are some of {', '.join(known)}, found {', '.join(map(str, unknown))}"
        return
    symbols = list(competition.instruments.enabled().values_list("symbol", flat=True))
    if not symbols:
        yield NO_INSTRUMENT
    yield from venue_problems(competition)
    yield from _missing_symbols(competition, symbols)


def _missing_symbols(competition: Competition, symbols: list[str]) -> Iterator[str]:
    try:
        feed = open_feed(competition.feed)
        held = set(feed.symbols(symbols))
    except FeedError as error:
        yield f"the feed {competition.feed.slug} cannot be asked: {error}"
        return
    missing = sorted(set(symbols) - held)
    if missing:
        yield f"the feed {competition.feed.slug} has no {', '.join(missing)}; it has {', '.join(sorted(held)) or 'none of the symbols'}"


def rules_of(competition: Competition) -> BookRules:
    """Return the rules that the competition's fields say; raise ValueError for figures out of range."""
    instruments = list(competition.instruments.enabled())
    rules = BookRules(
        margin_model=MarginModel(competition.margin_model),
        settlement_asset=competition.settlement_asset,
        fee_bps_taker=competition.fee_bps_taker,
        fee_bps_maker=competition.fee_bps_maker,
        slippage_bps=competition.slippage_bps,
        max_leverage=competition.max_leverage,
        max_position_size_pct=competition.max_position_size_pct,
        max_open_positions=competition.max_open_positions,
        max_margin_usage_pct=competition.max_margin_usage_pct,
        margin_buffer=competition.margin_buffer,
        margin_requirement_pct=competition.margin_requirement_pct,
        maintenance_margin_pct=competition.maintenance_margin_pct,
        allow_short=competition.allow_short,
        allow_pyramiding=competition.allow_pyramiding,
        resting_orders=competition.resting_orders,
        fill_rule=FillRuleCode(competition.fill_rule),
        instruments=tuple(instrument.spec() for instrument in instruments),
        acts_between_rounds=competition.acts_between_rounds,
        margin_mode=MarginMode(competition.margin_mode),
        stop_out_basis=StopOutBasis(competition.stop_out_basis),
        clearance_fee_bps=competition.clearance_fee_bps,
        leverage_limits=tuple(competition.leverage_limits.items()),
        max_decisions_per_hour=competition.max_decisions_per_hour,
        drawdown_warn_pct=competition.drawdown_warn_pct,
        drawdown_stop_pct=competition.drawdown_stop_pct,
        drawdown_close_pct=competition.drawdown_close_pct,
        overnight_bps_long=competition.overnight_bps_long,
        overnight_bps_short=competition.overnight_bps_short,
        overnight_hour_utc=competition.overnight_hour_utc,
    )
    # Where nothing is liquidated no tier counts, and the contract need not name any.
    return replace(rules, tiers=tier_tables(instruments)) if rules.has_tiers else rules


def template_hash(template: PromptTemplate) -> str:
    """Return the hash of a template's texts."""
    return digest_of(
        {"system": template.system, "market": template.market, "account": template.account}
    )


def roster_entry(participant: Participant) -> RosterEntry:
    """Return one participant as the contract freezes it."""
    agent = participant.agent
    return RosterEntry(
        ordinal=participant.ordinal,
        name=participant.name,
        slug=participant.slug,
        provider_kind=agent.provider.kind,
        provider=agent.provider.slug,
        model=agent.model,
        parameters=agent.parameters,
        template_slug=agent.template.slug,
        template_version=agent.template.version,
        template=template_hash(agent.template),
        timeout_seconds=agent.timeout_seconds,
    )


def draw_contract(competition: Competition, *, now: datetime) -> Contract:
    """Return the contract that the competition would start under at ``now``; empty times are filled in from the feed.

    Raises:
        ControlError: If the stored data are too short for the period.
    """
    starts_at, ends_at = _period(competition, now=now)
    roster = competition.participants.select_related("agent__provider", "agent__template").order_by(
        "ordinal"
    )
    return Contract(
        starts_at=starts_at,
        ends_at=ends_at,
        max_rounds=competition.max_rounds,
        interval_seconds=competition.interval_seconds,
        deadline_seconds=competition.deadline_seconds,
        clock=competition.clock,
        venue=competition.venue,
        feed_kind=competition.feed.kind,
        feed_source=competition.feed.source,
        feed_seed=competition.feed.seed,
        feed_spread_bps=competition.feed.spread_bps,
        timeframes=tuple(competition.timeframes),
        candle_count=competition.candle_count,
        initial_capital=competition.initial_capital,
        seed=competition.seed,
        rules=rules_of(competition),
        roster=tuple(roster_entry(participant) for participant in roster),
    )


def start_moves(competition: Competition, *, now: datetime) -> bool:
    """Tell whether the first slot is the next one from ``now``, because none was chosen or the chosen one has passed."""
    if competition.clock == ClockKind.WALL:
        return competition.starts_at is None or competition.starts_at < now
    return competition.starts_at is None and competition.feed.kind != FeedKind.REPLAY


def _period(competition: Competition, *, now: datetime) -> tuple[datetime, datetime | None]:
    if start_moves(competition, now=now):
        return first_slot(now, competition.interval_seconds), competition.ends_at
    if competition.clock == ClockKind.WALL or competition.feed.kind != FeedKind.REPLAY:
        assert competition.starts_at is not None
        return competition.starts_at, competition.ends_at
    return _replay_period(competition, open_feed(competition.feed))


def _replay_period(competition: Competition, feed: MarketFeed) -> tuple[datetime, datetime]:
    base = Timeframe(competition.timeframes[0])
    spans = [
        feed.coverage(symbol, base)
        for symbol in competition.instruments.enabled().values_list("symbol", flat=True)
    ]
    held = [span for span in spans if span is not None]
    if not held:
        raise ControlError(
            f"no candles of {base.value} can be made of what is stored as {competition.feed.source}"
        )
    first, last = max(span[0] for span in held), min(span[1] for span in held)
    starts_at = competition.starts_at or first_slot(
        first + WARM_UP_BARS * base.delta, competition.interval_seconds
    )
    ends_at = min(competition.ends_at or last, last)
    if not first <= starts_at < ends_at:
        raise ControlError(
            f"the stored candles of all symbols reach from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC; "
            f"a season from {starts_at:%Y-%m-%d %H:%M} to {ends_at:%Y-%m-%d %H:%M} does not fit"
        )
    return starts_at, ends_at


def history_from(contract: Contract) -> datetime:
    """Return the open time from which series are chained in snapshots: warm-up before the first slot, whatever else is stored."""
    longest = max(Timeframe(name).seconds for name in contract.timeframes)
    return contract.starts_at - timedelta(seconds=WARM_UP_BARS * longest)
