"""Play a season's rounds in this process, without the clock and without Celery."""

from __future__ import annotations

import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from competitions.models import Competition, Round
from competitions.models.competitions import CompetitionStatus
from competitions.selectors.board import BoardRow, board_of
from competitions.selectors.seasons import load_season
from competitions.services.control import start_competition
from competitions.services.driving import CHUNK, drive
from competitions.services.errors import ControlError

FIGURES = ("Rank", "Participant", "Equity", "Return", "Max drawdown", "Trades")
TEXTS = {"Participant", "Last outcome"}


def positive(text: str) -> int:
    """Return a whole number of at least one; raise ArgumentTypeError naming what was found."""
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"a whole number of at least 1 is wanted, was {text!r}")
    return int(text)


class Command(BaseCommand):
    help = "Play rounds of a season here and now; starts it if it is a draft, goes on where it was otherwise."

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
        console = Console(file=cast("IO[str]", self.stdout), force_terminal=self.stdout.isatty())
        try:
            if competition.status in {CompetitionStatus.DRAFT, CompetitionStatus.SCHEDULED}:
                competition = start_competition(
                    competition, actor="run_competition", now=timezone.now()
                )
            played = self._play(competition, console, options)
        except ControlError as error:
            raise CommandError(str(error)) from error
        competition.refresh_from_db()
        self._tell(competition, played, console)

    def _competition(self, slug: str) -> Competition:
        competition = Competition.objects.filter(slug=slug).first()
        if competition is None:
            known = ", ".join(
                Competition.objects.order_by("slug").values_list("slug", flat=True)[:20]
            )
            raise CommandError(f"there is no competition {slug!r}; there is {known or 'none yet'}")
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

    def _tell(self, competition: Competition, played: int, console: Console) -> None:
        table = Table(
            title=f"{competition.name}: {played} rounds played, {competition.round_count} in all"
        )
        for heading in (*FIGURES, "Last outcome"):
            table.add_column(heading, justify="left" if heading in TEXTS else "right")
        for row in board_of(load_season(competition)).rows:
            table.add_row(*_cells(row))
        console.print(table)
        if competition.season_digest:
            console.print(f"season digest {competition.season_digest}")
        console.print(f"check it: manage.py verify {competition.slug}")


def _total(competition: Competition, rounds: int | None) -> int | None:
    if competition.max_rounds is None:
        return rounds
    left = competition.max_rounds - competition.round_count
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
