"""A season's first round as it would be, for one agent: contract, snapshot, what it is told, what the rules say to its answer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agents.domain.context import DecisionContext, RulesView
from agents.domain.decisions import instruction_from_json
from agents.models import Decision
from competitions.domain.contract import Contract
from competitions.models import Competition, Participant, Trial
from competitions.models.competitions import ClockKind
from competitions.models.rounds import LegVerdict
from competitions.services.contexts import account_view, smallest_orders
from competitions.services.errors import ControlError
from competitions.services.market import contract_of, no_data_reason
from competitions.services.replaying import Replay
from competitions.services.setup import draw_contract, history_from, market_problems, roster_entry
from marketdata import services as marketdata
from marketdata.domain.canonical import canonical_decimal, sha256_text
from marketdata.domain.facts import Timeframe
from marketdata.models.snapshots import MarketSnapshot, SnapshotStatus
from trading.domain.rules import FillRule
from trading.domain.state import AccountState

# What a replayed leg means where nothing is carried out.
VERDICTS = dict.fromkeys((LegVerdict.FILLED, LegVerdict.RESTING, LegVerdict.UNKNOWN), "ACCEPTED")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a trial is asked about: the contract as it would be, the market's snapshot, the agent's seat."""

    contract: Contract
    snapshot: MarketSnapshot
    participant: Participant


def scene_of(trial: Trial, *, now: datetime) -> Scene:
    """Return what the trial is about, its snapshot captured unless it has one; network inside, so never in a transaction.

    Raises:
        ControlError: Naming what keeps the agent from being asked; ValueError likewise, for rules out of range.
    """
    competition = trial.competition
    participant = trial.participant or Participant(
        competition=competition, ordinal=1, slug=trial.agent.slug, name=trial.agent.name
    )
    participant.agent = trial.agent
    contract = _contract(competition, participant, trial.symbols, now=now)
    snapshot = trial.snapshot
    if snapshot is None:
        as_of = contract.starts_at if contract.clock == ClockKind.DATA else now
        snapshot = _capture(competition, contract, as_of=as_of, now=now)
    return Scene(contract, snapshot, participant)


def _contract(
    competition: Competition, participant: Participant, symbols: Collection[str], *, now: datetime
) -> Contract:
    """Return the contract under which the season would start now, or did, with one seat."""
    if competition.contract:
        contract = contract_of(competition)
    else:
        problems = list(market_problems(competition))
        if problems:
            raise ControlError("; ".join(problems))
        contract = draw_contract(competition, now=now)
    unknown = sorted(set(symbols) - set(contract.rules.symbols))
    if unknown:
        known = ", ".join(contract.rules.symbols)
        raise ControlError(f"{competition.slug} trades {known}, asked for {', '.join(unknown)}")
    kept = tuple(
        spec for spec in contract.rules.instruments if not symbols or spec.symbol in symbols
    )
    rules = replace(contract.rules, instruments=kept)
    return replace(contract, rules=rules, roster=(roster_entry(participant),))


def _history_from(contract: Contract) -> datetime | None:
    # On the wall clock the first slot may be far away: there the last candles are shown.
    return history_from(contract) if contract.clock == ClockKind.DATA else None


def _capture(
    competition: Competition, contract: Contract, *, as_of: datetime, now: datetime
) -> MarketSnapshot:
    captured = marketdata.capture_snapshot(
        competition.feed,
        contract.rules.instruments,
        [Timeframe(name) for name in contract.timeframes],
        as_of=as_of,
        now=now,
        with_opens=contract.rules.fill_rule == FillRule.NEXT_BAR,
        history_from=_history_from(contract),
    )
    if captured.snapshot.status != SnapshotStatus.OK:
        raise ControlError(no_data_reason(captured))
    return captured.snapshot


def context_of(competition: Competition, scene: Scene) -> DecisionContext:
    """Return what the first round would tell: the start capital, no positions, no past."""
    contract, as_of = scene.contract, scene.snapshot.as_of
    manifest = scene.snapshot.content()
    quotes = marketdata.quotes_of(manifest)
    ordinal = scene.participant.ordinal
    account = AccountState(
        ordinal=ordinal,
        wallet=contract.initial_capital,
        marks={symbol: quote.mark for symbol, quote in quotes.items()},
        peak=contract.initial_capital if contract.rules.watches_drawdown else None,
    )
    return DecisionContext(
        competition_name=competition.name,
        round_number=1,
        total_rounds=contract.max_rounds,
        as_of=as_of,
        market=marketdata.market_view(
            competition.feed,
            contract.rules.instruments,
            contract.timeframes,
            as_of=as_of,
            quotes=quotes,
            funding=marketdata.funding_of(manifest),
            candle_count=contract.candle_count,
            history_from=_history_from(contract),
        ),
        rules=RulesView.of(contract.rules, interval_seconds=contract.interval_seconds),
        account=account_view(account, contract, at=as_of),
        smallest=smallest_orders(contract, quotes),
        seed_material=sha256_text(f"{contract.seed}:1:{ordinal}"),
    )


def verdicts_of(scene: Scene, decision: Decision) -> list[dict[str, Any]]:
    """Return for each instruction what the season's engine says to it, one after the other, on an account that nobody keeps."""
    contract, manifest = scene.contract, scene.snapshot.content()
    quotes = marketdata.quotes_of(manifest)
    opens = marketdata.quotes_of(manifest, key="opens")
    ordinal = scene.participant.ordinal
    played = Replay(contract).play_turn(
        ordinal,
        [instruction_from_json(item) for item in decision.instructions],
        opens if contract.rules.fill_rule == FillRule.NEXT_BAR else quotes,
        {symbol: quote.mark for symbol, quote in quotes.items()},
        at=scene.snapshot.as_of,
        outside={},
    )
    fills = {fill.leg: fill for fill in played.fills}
    told = []
    for leg, instruction in zip(played.legs, decision.instructions, strict=True):
        fill = fills.get(leg.index)
        figures = {
            name: canonical_decimal(getattr(fill, name)) if fill else None
            for name in ("quantity", "price", "fee")
        }
        told.append(
            {
                "index": leg.index,
                "instruction": instruction,
                "verdict": VERDICTS.get(LegVerdict(leg.verdict), leg.verdict),
                "denial": leg.denial,
                **figures,
            }
        )
    return told
