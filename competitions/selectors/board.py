"""The leaderboard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from competitions.models.rounds import Turn, TurnState
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
    """Return the leaderboard. Queries twice: standings, last turns."""
    if season.competition.book_id is None:
        return Board(tuple(_unstarted(season)), closed_rounds=0, at=None)
    standings = list(Standing.objects.filter(account__book_id=season.competition.book_id))
    last = _last_turns(season)
    standings.sort(key=lambda row: (-row.equity, season.by_account[row.account_id].ordinal))
    closed = max((row.number for row in standings), default=0)
    ranks = _ranks(season, standings) if closed else {}
    rows = tuple(
        _row(
            season.by_account[standing.account_id],
            standing,
            rank=ranks.get(standing.account_id),
            last=last.get(season.by_account[standing.account_id].id),
        )
        for standing in standings
    )
    return Board(rows, closed, max((row.at for row in standings), default=None))


def _ranks(season: Season, standings: Iterable[Standing]) -> dict[object, int]:
    """Return places from 1; equal equity shares one. Baselines are ranked only when they are among themselves."""
    rated = [
        standing
        for standing in standings
        if season.model_count == 0 or not season.by_account[standing.account_id].is_baseline
    ]
    ranks: dict[object, int] = {}
    for place, standing in enumerate(rated, start=1):
        before = rated[place - 2] if place > 1 else None
        is_tie = before is not None and before.equity == standing.equity
        ranks[standing.account_id] = ranks[before.account_id] if before and is_tie else place
    return ranks


def _row(
    entrant: Entrant, standing: Standing, *, rank: int | None, last: LastTurn | None
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


def _last_turns(season: Season) -> dict[object, LastTurn]:
    """Return each participant's latest settled turn of the last two rounds."""
    competition = season.competition
    turns = (
        Turn.objects.filter(
            round__competition=competition,
            round__number__gte=competition.round_count - 1,
            state=TurnState.SETTLED,
        )
        .order_by("round__number")
        .values_list("participant_id", "round__number", "outcome", "reason", "settled_at")
    )
    return {
        participant: LastTurn(number, outcome, shown(reason), settled_at)
        for participant, number, outcome, reason, settled_at in turns
    }
