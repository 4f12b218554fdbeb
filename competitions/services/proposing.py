"""What a season would start under, beside what is known: shown before somebody confirms it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from competitions.domain.agreement import (
    INSTRUMENTS,
    ROSTER,
    Change,
    Difference,
    Line,
    agreed_hash,
    differences,
    lines_of,
    pack,
    unpack,
)
from competitions.domain.contract import Contract
from competitions.models import Competition
from competitions.models.competitions import OFFERED
from competitions.services import control
from competitions.services.errors import ContractChanged, ControlError
from competitions.services.setup import draw_contract, problems_of, start_moves
from marketdata.feeds import FeedError
from trading.domain.rules import BookRules, FillRule, MarginModel


@dataclass(frozen=True, slots=True)
class Proposal:
    """The contract that would be frozen now.

    ``problems`` keep it from starting. ``lines`` are its terms beside those of ``beside``, in words; empty when no contract can be
    drawn. A confirmation carries ``agreed``, the hash, and ``shown``, the lines as one text; ``start_moves`` says that the first
    slot is no part of the hash.
    """

    competition: Competition
    problems: tuple[str, ...]
    beside: str
    lines: tuple[Difference, ...]
    agreed: str
    start_moves: bool
    shown: str = ""

    @property
    def can_start(self) -> bool:
        return bool(self.agreed) and not self.problems

    @property
    def changed(self) -> int:
        """Return how many lines differ."""
        return sum(line.change != Change.SAME for line in self.lines)


def propose(competition: Competition, *, now: datetime, shown: str = "") -> Proposal:
    """Return what the season would start under at ``now``. Asks the feed which symbols it has; writes nothing.

    With ``shown``, what a page carried back, it is beside that; otherwise beside the season it was duplicated from, the last one
    that started with its feed, or the defaults.
    """
    problems, moves = problems_of(competition), start_moves(competition, now=now)
    contract = _drawn(competition, now=now)
    if contract is None:
        return Proposal(competition, tuple(problems), "", (), "", moves)
    before: Sequence[Line] = unpack(shown) if shown else ()
    beside = "what you were shown before"
    if not before:
        beside, before = _compared_with(competition, contract)
    lines = lines_of(contract, start_moves=moves)
    return Proposal(
        competition,
        tuple(problems),
        beside,
        differences(before, lines),
        agreed_hash(contract, start_moves=moves),
        moves,
        pack(lines),
    )


def start_as_agreed(
    competition: Competition,
    *,
    agreed: str,
    shown: str,
    actor: str,
    now: datetime,
    at_its_time: bool = False,
) -> Proposal | None:
    """Start a season (or let the clock start it) under the contract that was confirmed; None when that is done.

    Nothing is started when nothing was confirmed or the contract is another one by now: then the answer is what there is to
    confirm, beside what was shown.

    Raises:
        ControlError: If it cannot be started at all.
    """
    act = control.schedule_competition if at_its_time else control.start_competition
    if agreed:
        try:
            act(competition, actor=actor, now=now, agreed=agreed)
        except ContractChanged:
            competition.refresh_from_db()
        else:
            return None
    return propose(competition, now=now, shown=shown)


def _drawn(competition: Competition, *, now: datetime) -> Contract | None:
    """Return the contract as far as there is one; why there is none is among the problems."""
    if not competition.timeframes:
        return None
    try:
        return draw_contract(competition, now=now)
    except (ControlError, FeedError, ValueError):
        return None


def _compared_with(competition: Competition, contract: Contract) -> tuple[str, Sequence[Line]]:
    origin = competition.duplicated_from
    if origin is not None and origin.contract:
        return (
            f"the season it was duplicated from, {origin.name}",
            lines_of(Contract.from_json(origin.contract)),
        )
    last = (
        Competition.objects.filter(feed=competition.feed_id)
        .exclude(contract="")
        .exclude(pk=competition.pk)
        .order_by("-started_at")
        .first()
    )
    if last is not None:
        return (
            f"the last season that started with this feed, {last.name}",
            lines_of(Contract.from_json(last.contract)),
        )
    return "the arena's defaults", _default_lines(contract)


def _default_lines(contract: Contract) -> list[Line]:
    """Return the terms that an untouched form would have on this market; who plays and what is traded have no default."""
    form = Competition(**OFFERED)
    rules = BookRules(
        margin_model=MarginModel(form.margin_model),
        settlement_asset=contract.rules.settlement_asset,
        fee_bps_taker=form.fee_bps_taker,
        fee_bps_maker=form.fee_bps_maker,
        slippage_bps=form.slippage_bps,
        max_leverage=form.max_leverage,
        max_position_size_pct=form.max_position_size_pct,
        max_open_positions=form.max_open_positions,
        max_margin_usage_pct=form.max_margin_usage_pct,
        margin_buffer=form.margin_buffer,
        margin_requirement_pct=form.margin_requirement_pct,
        maintenance_margin_pct=form.maintenance_margin_pct,
        allow_short=form.allow_short,
        allow_pyramiding=form.allow_pyramiding,
        resting_orders=form.resting_orders,
        acts_between_rounds=form.acts_between_rounds,
        tiers=contract.rules.tiers,
        fill_rule=FillRule(form.fill_rule),
        instruments=contract.rules.instruments,
    )
    default = replace(
        contract,
        ends_at=None,
        max_rounds=form.max_rounds,
        interval_seconds=form.interval_seconds,
        deadline_seconds=form.deadline_seconds,
        clock=form.clock,
        venue=form.venue,
        candle_count=form.candle_count,
        initial_capital=form.initial_capital,
        seed=form.seed,
        rules=rules,
    )
    lines = lines_of(default, start_moves=True)
    return [line for line in lines if line.section not in {INSTRUMENTS, ROSTER}]
