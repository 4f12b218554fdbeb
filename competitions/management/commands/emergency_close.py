"""Halt seasons and close every position at market; asks nothing, needs neither Redis nor Celery."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from competitions.models import Competition
from competitions.services.control import CloseReport, emergency_close
from competitions.services.errors import ControlError
from trading.models import Position
from trading.models.books import BookState


class Command(BaseCommand):
    help = "Halt a season (or all) and close every position at market, at once and without a question. Exit code 1 unless all is flat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--competition", metavar="SLUG")
        which.add_argument(
            "--all", action="store_true", help="every season that has started and is not flat"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = self._chosen(options)
        if not chosen:
            self.stdout.write("nothing to close: no season runs, and none that was halted is open")
        failed = [competition.slug for competition in chosen if not self._close(competition)]
        if failed:
            raise CommandError(f"not closed: {', '.join(failed)}; the reason is told above")

    def _chosen(self, options: dict[str, Any]) -> list[Competition]:
        started = Competition.objects.filter(book__isnull=False)
        if options["all"]:
            # A halted book may be left open by a close that failed half way; an ended one trades no more.
            closable = started.exclude(book__state=BookState.ENDED)
            ids = set(Position.objects.open().values_list("account__book_id", flat=True))
            return [row for row in closable if not row.is_over or row.book_id in ids]
        found = list(started.filter(slug=options["competition"]))
        if not found:
            known = ", ".join(started.order_by("slug").values_list("slug", flat=True)[:20])
            raise CommandError(
                f"no started competition {options['competition']!r}; started are: {known or 'none'}"
            )
        return found

    def _close(self, competition: Competition) -> bool:
        actor = f"{getpass.getuser()} (command)"
        try:
            report = emergency_close(competition, actor=actor, reason="", now=timezone.now())
        except ControlError as error:
            self.stderr.write(f"{competition.slug}: {error}")
            return False
        self._tell(competition, report)
        return report.is_flat

    def _tell(self, competition: Competition, report: CloseReport) -> None:
        for line in report.lines:
            self.stdout.write(
                f"{competition.slug}  {line.participant}  {line.symbol} {line.quantity}: {line.message}"
            )
        state = "flat" if report.is_flat else "NOT FLAT"
        self.stdout.write(f"{competition.slug}: {len(report.lines)} positions handled, {state}")
