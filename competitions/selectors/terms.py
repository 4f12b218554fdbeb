"""A season's rules in plain words: from the frozen contract, or from the draft before the start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from competitions.domain.contract import Contract
from competitions.domain.words import CLOCKS, FILL_RULES, MARGIN_MODELS
from competitions.models import Competition
from competitions.selectors.account_terms import TierView, account_terms, tier_views
from competitions.selectors.seasons import Season
from competitions.templatetags.arena_format import interval, long_stamp, number, times
from trading.domain.rules import BookRules


@dataclass(frozen=True, slots=True)
class Term:
    """One rule: its name and what it says."""

    name: str
    says: str


@dataclass(frozen=True, slots=True)
class Terms:
    """All rules; ``is_frozen`` once the season has started. ``sha256`` is the contract's, ``tiers`` those that it freezes."""

    short: tuple[Term, ...]
    full: tuple[Term, ...]
    is_frozen: bool
    sha256: str
    text: str
    tiers: tuple[TierView, ...] = ()


def terms_of(season: Season) -> Terms:
    """Return the rules. No queries."""
    competition = season.competition
    if not competition.contract:
        drafted = tuple(_draft_terms(season))
        return Terms(drafted, (*drafted, *_account(competition)), False, "", "")
    contract = Contract.from_json(competition.contract)
    short = tuple(_short(contract, season))
    return Terms(
        short,
        (*short, *_more(contract)),
        True,
        competition.contract_hash,
        competition.contract,
        tier_views(contract.rules),
    )


def _account(rules: BookRules | Competition) -> Iterator[Term]:
    yield Term(
        "Stops and targets",
        "execute between rounds"
        if rules.resting_orders
        else "are a recorded plan, executed by no one",
    )
    for name, says in account_terms(rules):
        yield Term(name, says)


def _short(contract: Contract, season: Season) -> Iterator[Term]:
    rules = contract.rules
    yield Term(
        "Instruments", " ".join(spec.base_asset or spec.symbol for spec in rules.instruments)
    )
    yield Term("Market", season.competition.feed.name)
    yield Term("Venue", contract.venue)
    yield Term(
        "Round",
        f"every {interval(contract.interval_seconds)}, {contract.deadline_seconds} s deadline",
    )
    yield Term("Fill", FILL_RULES.get(contract.rules.fill_rule, contract.rules.fill_rule))
    yield Term("Fee, taker", _bps(rules.fee_bps_taker))
    if rules.resting_orders:
        yield Term("Fee, maker", _bps(rules.fee_bps_maker))
    yield Term("Slippage", _bps(rules.slippage_bps))
    yield Term("Leverage", f"at most {times(rules.max_leverage)}")
    yield Term("Position share", f"at most {rules.max_position_size_pct:f} % of equity")
    yield Term("Margin usage", f"at most {rules.max_margin_usage_pct:f} % of equity")
    yield Term("Open positions", f"at most {rules.max_open_positions}")
    yield Term("Short positions", "allowed" if rules.allow_short else "not allowed")
    yield Term("Failed answer", "hold, and on record")


def _more(contract: Contract) -> Iterator[Term]:
    rules = contract.rules
    yield Term("Start capital", f"{number(contract.initial_capital)} {rules.settlement_asset}")
    yield Term("First slot", long_stamp(contract.starts_at))
    if contract.ends_at:
        yield Term("End", long_stamp(contract.ends_at))
    if contract.max_rounds:
        yield Term("Rounds", f"at most {contract.max_rounds:,}")
    yield Term("Clock", CLOCKS.get(contract.clock, contract.clock))
    yield Term("Candles shown", f"{contract.candle_count} of {', '.join(contract.timeframes)}")
    yield Term("Margin model", MARGIN_MODELS.get(rules.margin_model, rules.margin_model))
    yield Term("Margin buffer", times(rules.margin_buffer))
    yield Term("Adding to a position", "allowed" if rules.allow_pyramiding else "not allowed")
    yield from _account(rules)
    for spec in rules.instruments:
        yield Term(
            spec.symbol,
            f"tick {spec.tick:f}, step {spec.step:f}, at least {spec.min_notional:f} {spec.quote_asset}, "
            f"leverage at most {times(_leverage_limit(rules, spec.symbol))}",
        )


def _leverage_limit(rules: BookRules, symbol: str) -> int:
    return rules.leverage_limit(rules.spec(symbol))


def _draft_terms(season: Season) -> Iterator[Term]:
    competition: Competition = season.competition
    yield Term("Instruments", " ".join(grid.base for grid in season.grids.values()))
    yield Term("Market", competition.feed.name)
    yield Term("Venue", competition.venue)
    yield Term(
        "Round",
        f"every {interval(competition.interval_seconds)}, {competition.deadline_seconds} s deadline",
    )
    yield Term("Fill", FILL_RULES[competition.fill_rule])
    yield Term("Fee, taker", _bps(competition.fee_bps_taker))
    if competition.resting_orders:
        yield Term("Fee, maker", _bps(competition.fee_bps_maker))
    yield Term("Slippage", _bps(competition.slippage_bps))
    yield Term("Leverage", f"at most {times(competition.max_leverage)}")
    yield Term("Position share", f"at most {competition.max_position_size_pct:f} % of equity")
    yield Term("Margin usage", f"at most {competition.max_margin_usage_pct:f} % of equity")
    yield Term("Open positions", f"at most {competition.max_open_positions}")
    yield Term("Failed answer", "hold, and on record")


def _bps(value: Decimal) -> str:
    return f"{number(value / 100, 4)} % of notional"
