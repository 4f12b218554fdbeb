"""One round: its market, its turns, its digest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from competitions.models.rounds import Round, RoundState, TurnState
from competitions.selectors.activity import TurnView, turn_rows, turn_view
from competitions.selectors.seasons import Entrant, Grid, Season
from competitions.selectors.shown import shown


@dataclass(frozen=True, slots=True)
class QuoteView:
    """A symbol's quote in the snapshot."""

    grid: Grid
    bid: Decimal
    ask: Decimal
    mark: Decimal


@dataclass(frozen=True, slots=True)
class Waiting:
    """A participant whose turn is not settled yet."""

    entrant: Entrant
    state: str


@dataclass(frozen=True, slots=True)
class RoundView:
    """Everything about one round; ``reasons`` tell why a snapshot was not usable."""

    row: Round
    quotes: tuple[QuoteView, ...]
    reasons: tuple[str, ...]
    snapshot_hash: str
    captured_at: datetime | None
    turns: tuple[TurnView, ...]
    waiting: tuple[Waiting, ...]
    previous: int | None
    following: int | None

    @property
    def title(self) -> str:
        return f"round {self.row.number}"

    @property
    def is_open(self) -> bool:
        return self.row.state == RoundState.OPEN


def round_view(season: Season, number: int) -> RoundView | None:
    """Return round ``number``, None when it was not opened. Queries at most seven times."""
    row = (
        Round.objects.select_related("snapshot")
        .filter(competition=season.competition, number=number)
        .first()
    )
    if row is None:
        return None
    content = row.snapshot.content() if row.snapshot else {}
    turns = list(turn_rows().filter(round=row).order_by("participant__ordinal"))
    settled = [turn for turn in turns if turn.state == TurnState.SETTLED]
    return RoundView(
        row=row,
        quotes=_quotes(season, content),
        reasons=tuple(_reason(reason) for reason in content.get("reasons", [])),
        snapshot_hash=row.snapshot.sha256 if row.snapshot else "",
        captured_at=row.snapshot.captured_at if row.snapshot else None,
        turns=tuple(turn_view(season, turn) for turn in settled),
        waiting=tuple(
            Waiting(season.by_id[turn.participant_id], turn.get_state_display())
            for turn in turns
            if turn.state != TurnState.SETTLED
        ),
        previous=number - 1 if number > 1 else None,
        following=number + 1 if number < season.competition.round_count else None,
    )


def _quotes(season: Season, content: dict[str, Any]) -> tuple[QuoteView, ...]:
    quotes = content.get("quotes", {})
    return tuple(
        QuoteView(
            grid,
            Decimal(quotes[symbol]["bid"]),
            Decimal(quotes[symbol]["ask"]),
            Decimal(quotes[symbol]["mark"]),
        )
        for symbol, grid in season.grids.items()
        if symbol in quotes
    )


def _reason(reason: dict[str, Any]) -> str:
    found = reason.get("found")
    told = f"{reason.get('symbol', '')} {reason.get('reason', '')}".strip()
    return shown(f"{told}, found {found}" if found else told, limit=200)
