"""Tell whether the services the arena leans on can be reached."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from arena_site.connections import FAILED, findings
from marketdata.management.base import ArenaCommand
from marketdata.management.output import table, write_tables


class Command(ArenaCommand):
    help = (
        "Ask database, Redis, Binance's public interface and the feeds of seasons for a sign of life, compare the clocks, and see "
        "which keys are set. Changes nothing and spends no tokens."
    )
    exit_codes = {
        0: "all that is needed answers; warnings are about what no season needs now, or what is only unwise",
        1: "something that is needed does not answer: database, Redis (if configured), a clock that is 5 s off, a feed of a season",
    }
    examples = ("check_connections", "check_connections --providers", "check_connections --json")
    has_json = True
    # It is asked when something is wrong, a setting perhaps.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--providers",
            action="store_true",
            help="also connect to the host of each enabled provider, and hang up",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = list(findings(with_providers=options["providers"]))
        failed = [item.name for item in found if item.state == FAILED]
        if options["json"]:
            self.write_json({"ok": not failed, "at": timezone.now(), "checks": found})
        else:
            rows = [
                (
                    item.name,
                    item.state,
                    None if item.took_ms is None else f"{item.took_ms:.0f} ms",
                    item.detail,
                )
                for item in found
            ]
            headings = ("what", "state", "took", "found")
            made = table("Connections", headings, rows, right=("took",))
            write_tables(self.stdout, [made], no_color=options["no_color"])
        if failed:
            raise CommandError(f"not well: {', '.join(failed)}")
