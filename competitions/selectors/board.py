"""The leaderboard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Q

from competitions.models import Competition
from competitions.models.rounds import Turn, TurnOutcome, TurnState
from competitions.selectors.extras import extra_turns, since_scheduled
from competitions.selectors.seasons import Entrant, Season
from competitions.selectors.shown import shown
from trading.models import Standing

# The exposure bar reaches from -5 to +5 times equity.
EXPOSURE_SPAN = 5


@dataclass(frozen=True, slots=True)
class LastTurn:
    """A participant's latest settled turn."""

    number: int
    outcome: str
    reason: str
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One line; fractions of 1, None where unknown. ``rank`` is None for baselines and before the first round.

    ``bar_x`` and ``bar_width`` place the exposure bar, in percent of its width.
    """

    rank: int | None
    entrant: Entrant
    equity: Decimal
    earned: Decimal
    max_drawdown: Decimal | None
    trades: int
    win_rate: Decimal | None
    fees: Decimal
    exposure: Decimal | None
    bar_x: str
    bar_width: str
    last: LastTurn | None
    extra_turns: int = 0


@dataclass(frozen=True, slots=True)
class Board:
    """All lines, best equity first; ``closed_rounds`` is the last round they include."""

    rows: tuple[BoardRow, ...]
    closed_rounds: int
    at: datetime | None

    @property
    def leader(self) -> BoardRow | None:
        """Return the first ranked line; None before the first round."""
        return next((row for row in self.rows if row.rank is not None), None)

    @property
    def trades(self) -> int:
        return sum(row.trades for row in self.rows)


def board_of(season: Season) -> Board:
    """Return the leaderboard. Queries twice: standings, last turns; twice more where extra rounds were played."""
    if season.competition.book_id is None:
        return Board(tuple(_unstarted(season)), closed_rounds=0, at=None)
    found = Standing.objects.filter(account__book_id=season.competition.book_id)
    entered = [(season.by_account[row.account_id], row) for row in found]
    entered.sort(key=lambda pair: (-pair[1].equity, pair[0].ordinal))
    last = last_turns([season.competition])
    ranks = ranks_of(entered, idle_among(last))
    # The point after an emergency close is numbered after all rounds.
    rounds = season.competition.round_count
    closed = min(max((row.number for _, row in entered), default=0), rounds)
    extra = extra_turns(season)
    rows = tuple(
        _row(
            entrant,
            standing,
            rank=ranks.get(entrant.id),
            last=last.get(entrant.id),
            extra=extra.get(entrant.id, 0),
        )
        for entrant, standing in entered
    )
    return Board(rows, closed, max((row.at for _, row in entered), default=None))


def ranks_of(
    entered: Sequence[tuple[Entrant, Standing]], idle: Collection[UUID]
) -> dict[UUID, int]:
    """Return places from 1 by participant id; ``entered`` is sorted, equal equity shares a place.

    Models are ranked among themselves, and those that sit out (``idle``) are not; where no model plays,
    the baselines are ranked. Nobody is before the first closed round.
    """
    played = [pair for pair in entered if pair[1].number > 0 and pair[0].id not in idle]
    rated = [pair for pair in played if not pair[0].is_baseline] or played
    ranks: dict[UUID, int] = {}
    for place, (entrant, standing) in enumerate(rated, start=1):
        before, ahead = rated[place - 2] if place > 1 else (None, None)
        is_tie = ahead is not None and ahead.equity == standing.equity
        ranks[entrant.id] = ranks[before.id] if before is not None and is_tie else place
    return ranks


def idle_among(last: Mapping[UUID, LastTurn]) -> set[UUID]:
    """Return the participants who sat out the latest round, for want of a key for example."""
    return {key for key, turn in last.items() if turn.outcome == TurnOutcome.SKIPPED}


def _row(
    entrant: Entrant, standing: Standing, *, rank: int | None, last: LastTurn | None, extra: int
) -> BoardRow:
    exposure = standing.exposure / standing.equity if standing.equity > 0 else None
    left, width = exposure_bar(exposure)
    return BoardRow(
        rank=rank,
        entrant=entrant,
        equity=standing.equity,
        earned=standing.equity / standing.start_capital - 1,
        max_drawdown=standing.max_drawdown,
        trades=standing.trades,
        win_rate=Decimal(standing.wins) / standing.trades if standing.trades else None,
        fees=standing.fees,
        exposure=exposure,
        bar_x=left,
        bar_width=width,
        last=last,
        extra_turns=extra,
    )


def exposure_bar(exposure: Decimal | None) -> tuple[str, str]:
    """Return left edge and width in percent of a bar whose middle is zero."""
    share = float(exposure or 0) / EXPOSURE_SPAN
    share = max(-1.0, min(1.0, share))
    left = 50 + min(0.0, share) * 50
    return f"{left:.1f}%", f"{abs(share) * 50:.1f}%"


def _unstarted(season: Season) -> Iterable[BoardRow]:
    capital = season.competition.initial_capital
    left, width = exposure_bar(None)
    for entrant in season.entrants:
        yield BoardRow(
            rank=None,
            entrant=entrant,
            equity=capital,
            earned=Decimal(0),
            max_drawdown=None,
            trades=0,
            win_rate=None,
            fees=Decimal(0),
            exposure=None,
            bar_x=left,
            bar_width=width,
            last=None,
        )


def last_turns(competitions: Sequence[Competition]) -> dict[UUID, LastTurn]:
    """Return each participant's latest settled turn since the last scheduled round but one.

    Queries once, and once for each competition with extra rounds.
    """
    plain = [row for row in competitions if not row.extra_count]
    wanted = Q(
        round__competition__in=plain,
        round__number__gte=F("round__competition__round_count") - 1,
    )
    for row in competitions:
        if row.extra_count:
            wanted |= Q(round__competition=row, round__number__gte=since_scheduled(row, 2))
    turns = (
        Turn.objects.filter(wanted, state=TurnState.SETTLED)
        .order_by("round__number")
        .values_list("participant_id", "round__number", "outcome", "reason", "settled_at")
    )
    return {
        participant: LastTurn(number, outcome, shown(reason), settled_at)
        for participant, number, outcome, reason, settled_at in turns
    }
