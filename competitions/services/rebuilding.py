"""Making a season's projections anew: wallets, positions, standings, rollups and counters, from its records through the engine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from competitions.models import Competition
from competitions.services.audit import record_act
from competitions.services.errors import ControlError
from competitions.services.journal import Row
from competitions.services.verifying.book import tape_counters
from competitions.services.verifying.columns import differences
from competitions.services.verifying.season import Run, edge_of, recompute_season
from competitions.services.verifying.terms import season_counters
from trading import services as trading


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was different, in sentences; ``is_written`` says that it was made anew."""

    changes: tuple[str, ...]
    is_written: bool


def rebuild_season(
    competition: Competition, *, actor: str, now: datetime, is_check: bool = False
) -> Rebuilt:
    """Recompute the projections of a started season and write those that differ, in one transaction; with ``is_check`` only tell.

    Raises:
        ControlError: When a round is being played or the season moved on meanwhile, or when records themselves disagree: they are
            what projections are made of, and nobody can make them anew.
    """
    try:
        run = recompute_season(competition)
    except ValueError as error:
        raise ControlError(f"{competition.slug} cannot be rebuilt: {error}") from error
    if run.report.problems:
        raise ControlError(
            f"{competition.slug} cannot be rebuilt: its records disagree, the first: {run.report.problems[0]}"
        )
    counters = season_counters(run.competition, run.contract)
    with transaction.atomic():
        locked = Competition.objects.select_for_update().get(pk=competition.pk)
        if run.edge.is_playing or edge_of(locked) != run.edge:
            raise ControlError(
                f"{competition.slug} is being played: pause it first, or try again between two rounds"
            )
        changes = _changes(locked, run, counters)
        if changes and not is_check:
            _write(locked, run, counters)
            record_act("rebuilt", locked.slug, actor=actor, now=now, changes=str(len(changes)))
    return Rebuilt(tuple(changes), is_written=bool(changes) and not is_check)


def _changes(competition: Competition, run: Run, counters: Row) -> list[str]:
    book = competition.opened_book
    return [
        *run.ledger.projections(run.replay),
        *differences("book", book, tape_counters(book)),
        *differences(f"season {competition.slug}", competition, counters),
    ]


def _write(competition: Competition, run: Run, counters: Row) -> None:
    journal = run.journal
    trading.rewrite_projections(
        competition.opened_book,
        trading.Projections(
            wallets={ordinal: state.wallet for ordinal, state in run.replay.states.items()},
            statuses={ordinal: run.ledger.status(ordinal) for ordinal in run.replay.states},
            positions=[journal.positions[key] for key in sorted(journal.positions)],
            rollups=list(journal.rollups.values()),
            standings=[row for _, row in journal.standings(run.replay.states)],
            tape=tape_counters(competition.opened_book),
        ),
    )
    for name, value in counters.items():
        setattr(competition, name, value)
    competition.save(update_fields=list(counters))
