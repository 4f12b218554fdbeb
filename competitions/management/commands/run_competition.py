"""Play a season's rounds in this process, without the clock and without Celery."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import IO, Any, cast

from django.core.management.base import CommandError
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from competitions.management.chosen import find_competition
from competitions.models import Competition, Round
from competitions.models.competitions import CompetitionStatus
from competitions.selectors.board import BoardRow, board_of
from competitions.selectors.seasons import load_season
from competitions.services.control import start_competition
from competitions.services.driving import CHUNK, drive
from competitions.services.errors import ControlError
from marketdata.management.base import ArenaCommand, positive
from marketdata.management.output import console_on, table, write_tables

FIGURES = ("Rank", "Participant", "Equity", "Return", "Max drawdown", "Trades")
TEXTS = {"Participant", "Last outcome"}


class Command(ArenaCommand):
    help = "Play rounds of a season here and now; starts it if it is a draft, goes on where it was otherwise."
    exit_codes = {
        0: "the rounds were played",
        1: "not possible now: the season is over, paused, or driven by another process",
        130: "stopped by Ctrl+C: a round in progress is finished by the next call",
    }
    examples = (
        "run_competition demo --rounds 200",
        "run_competition demo --duration 60",
    )
    interrupted = "stopped: what was played is kept, and the next call goes on from there"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the competition's address, for example demo")
        length = parser.add_mutually_exclusive_group()
        length.add_argument(
            "--rounds", type=positive, help="how many more rounds to play (default: to the end)"
        )
        length.add_argument(
            "--duration", type=positive, metavar="MINUTES", help="for how many minutes to play"
        )
        parser.add_argument(
            "--chunk", type=positive, default=CHUNK, help=f"turns asked together (default {CHUNK})"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        competition = self._competition(options["slug"])
        console = console_on(
            cast("IO[str]", self.stdout),
            is_terminal=self.stdout.isatty(),
            no_color=options["no_color"],
        )
        try:
            if competition.status in {CompetitionStatus.DRAFT, CompetitionStatus.SCHEDULED}:
                competition = start_competition(
                    competition, actor="run_competition", now=timezone.now()
                )
            played = self._play(competition, console, options)
        except ControlError as error:
            raise CommandError(str(error)) from error
        competition.refresh_from_db()
        self._tell(competition, played, no_color=options["no_color"])

    def _competition(self, slug: str) -> Competition:
        competition = find_competition(slug)
        if competition.is_over:
            raise CommandError(
                f"{slug} is over ({competition.status}: {competition.stop_reason}); its digest is {competition.season_digest}"
            )
        if competition.status == CompetitionStatus.PAUSED:
            raise CommandError(f"{slug} is paused; resume it in the operator console first")
        return competition

    def _play(self, competition: Competition, console: Console, options: dict[str, Any]) -> int:
        total = _total(competition, options["rounds"])
        stop_at = time.monotonic() + 60 * options["duration"] if options["duration"] else None
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        played = 0
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            bar = progress.add_task(f"{competition.slug}", total=total)
            rounds = drive(
                competition,
                rounds=options["rounds"],
                until=lambda: stop_at is not None and time.monotonic() >= stop_at,
                chunk=options["chunk"],
            )
            for round_ in rounds:
                played += 1
                progress.update(
                    bar, advance=1, description=f"{competition.slug} round {round_.number}"
                )
                if not console.is_terminal and played % 50 == 0:
                    console.print(_line(round_))
        return played

    def _tell(self, competition: Competition, played: int, *, no_color: bool) -> None:
        made = table(
            f"{competition.name}: {played} rounds played, {competition.round_count} in all",
            (*FIGURES, "Last outcome"),
            [_cells(row) for row in board_of(load_season(competition)).rows],
            right=[name for name in FIGURES if name not in TEXTS],
        )
        write_tables(self.stdout, [made], no_color=no_color)
        if competition.season_digest:
            self.stdout.write(f"season digest {competition.season_digest}")
        self.stdout.write(f"check it: manage.py verify {competition.slug}")


def _total(competition: Competition, rounds: int | None) -> int | None:
    if competition.max_rounds is None:
        return rounds
    left = competition.max_rounds - competition.scheduled_count
    return left if rounds is None else min(rounds, left)


def _line(round_: Round) -> str:
    return f"round {round_.number} closed, slot {round_.slot_at:%Y-%m-%d %H:%M} UTC, digest {round_.digest[:12]}"


def _cells(row: BoardRow) -> tuple[str, ...]:
    drawdown = "—" if row.max_drawdown is None else f"{row.max_drawdown * 100:.2f} %"
    return (
        "—" if row.rank is None else str(row.rank),
        row.entrant.name,
        f"{row.equity:,.2f}",
        f"{row.earned * 100:+.2f} %",
        drawdown,
        str(row.trades),
        row.last.outcome if row.last else "—",
    )
