"""Make a season's projections anew from its records."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from competitions.management.chosen import find_competition
from competitions.services.errors import ControlError
from competitions.services.rebuilding import rebuild_season
from marketdata.management.base import ArenaCommand, wrong_use


class Command(ArenaCommand):
    help = (
        "Recompute wallets, positions, standings, rollups and counters of a season from its fills, postings, tape and acts, and write "
        "those that differ."
    )
    exit_codes = {
        0: "nothing differed, or what differed was written",
        1: "with --check: something differs; or the season cannot be rebuilt, and the reason is told",
    }
    examples = ("rebuild demo --check", "rebuild demo", "rebuild demo --json")
    has_json = True
    interrupted = "stopped: nothing was changed"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the competition's address, for example demo")
        parser.add_argument(
            "--check", action="store_true", help="only tell what differs, and write nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        competition = find_competition(options["slug"])
        if not competition.has_started:
            raise wrong_use(f"{competition.slug} has not started, there is nothing to rebuild")
        try:
            rebuilt = rebuild_season(
                competition,
                actor="command line",
                now=timezone.now(),
                is_check=options["check"],
            )
        except ControlError as error:
            raise CommandError(str(error)) from error
        count = len(rebuilt.changes)
        if options["json"]:
            self.write_json(
                {
                    "ok": not count or rebuilt.is_written,
                    "competition": competition.slug,
                    "written": rebuilt.is_written,
                    "changes": list(rebuilt.changes),
                }
            )
        else:
            for change in rebuilt.changes:
                self.stdout.write(change)
        if count and not rebuilt.is_written:
            raise CommandError(f"{competition.slug}: {count} differences, nothing was written")
        if not options["json"]:
            told = f"{count} differences mended" if count else "nothing differs"
            self.stdout.write(f"{competition.slug}: {told}")
