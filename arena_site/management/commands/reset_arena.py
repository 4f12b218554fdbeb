"""Remove every season and keep what was set up."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from arena_site.embedded.lock import AlreadyRunningError, instance_lock
from competitions.services.leases import signs_of_life
from competitions.services.resetting import TableRows, reset_arena, season_rows
from marketdata.management.base import ArenaCommand, wrong_use
from marketdata.management.output import table, write_line, write_tables

FRESH_SECONDS = 30


class Command(ArenaCommand):
    help = (
        "Remove all seasons with their orders, answers, events and audit log; users, API keys, feeds, candles, providers and agents "
        "stay."
    )
    exit_codes = {
        0: "done (or, with --dry-run, counted)",
        1: "refused, because an arena lives: nothing was removed",
    }
    examples = ("reset_arena --dry-run", "reset_arena --yes", "reset_arena --yes --json")
    has_json = True
    interrupted = "stopped: nothing was removed"

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--yes", action="store_true", help="really do it")
        what.add_argument("--dry-run", action="store_true", help="only count what would go")
        parser.add_argument(
            "--force",
            action="store_true",
            help=f"do it though an arena seems to live (the lock file is held, or a part was heard of in the last {FRESH_SECONDS} s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"]:
            self._tell(season_rows(), is_removed=False, options=options)
            return
        if not options["yes"]:
            rows = sum(row.rows for row in season_rows())
            raise wrong_use(
                f"this would remove {rows} rows of seasons for good; look with --dry-run, stop the arena, then add --yes"
            )
        with _nobody_else(is_forced=options["force"]):
            self._tell(reset_arena(), is_removed=True, options=options)

    def _tell(
        self, counted: tuple[TableRows, ...], *, is_removed: bool, options: dict[str, Any]
    ) -> None:
        total = sum(row.rows for row in counted)
        if options["json"]:
            self.write_json({"removed": is_removed, "rows": total, "tables": counted})
            return
        filled = [(row.table, row.rows) for row in counted if row.rows]
        if filled:
            rows = table("Tables", ("table", "rows"), filled, right=("rows",))
            write_tables(self.stdout, [rows], no_color=options["no_color"])
        words = "removed" if is_removed else "would be removed"
        write_line(self.stdout, f"{total} rows {words}; what was set up stays")


@contextmanager
def _nobody_else(*, is_forced: bool) -> Iterator[None]:
    """Refuse while an arena lives, and hold its lock so that none starts meanwhile."""
    if is_forced:
        yield
        return
    signs = signs_of_life(now=timezone.now(), seconds=FRESH_SECONDS)
    if signs:
        raise CommandError(
            f"an arena lives: {'; '.join(signs)}. Stop it and wait {FRESH_SECONDS} s, or add --force"
        )
    if not os.access(settings.VAR_DIR, os.W_OK):
        # Where no lock file can be, no one-process arena is.
        yield
        return
    try:
        with instance_lock(settings.VAR_DIR / "arena.lock"):
            yield
    except AlreadyRunningError as error:
        raise CommandError(f"{error}; stop it, or add --force") from error
