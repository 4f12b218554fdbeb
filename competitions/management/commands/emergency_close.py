"""Halt seasons and close every position at market; asks nothing, needs neither Redis nor Celery."""

from __future__ import annotations

import getpass
import logging
import os
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from competitions.live import bridge
from competitions.models import Competition
from competitions.selectors.flatness import OpenPosition, flatness_of
from competitions.services.control import CloseLine, emergency_close, halt_at_once
from competitions.services.errors import ControlError
from marketdata.management.base import ArenaCommand, wrong_use
from marketdata.management.output import table, write_line, write_tables
from trading.models import Order, Position
from trading.models.books import BookState

logger = logging.getLogger(__name__)

REASON_LENGTH = 200
WORDS = {
    "CLOSED": "green",
    "NOTHING TO CLOSE": "green",
    "PARTIAL": "bold red",
    "REFUSED": "bold red",
    "FAILED": "bold red",
}


@dataclass(frozen=True, slots=True)
class SeasonClose:
    """What became of one season; ``still_open`` and ``waiting_orders`` were read again after the close.

    ``is_safe`` says that nothing is open and nothing can be opened any more.
    """

    slug: str
    outcome: str
    book_state: str
    is_safe: bool
    message: str
    positions: tuple[CloseLine, ...]
    still_open: tuple[OpenPosition, ...]
    waiting_orders: int


class Command(ArenaCommand):
    help = (
        "Halt a season (or all) and close every position at market, at once and without a question. Needs the database alone; "
        "run it again as often as you like."
    )
    exit_codes = {
        0: "every named season is flat and halted (or there was nothing to close)",
        1: "something is left open: the table says what and why; run it again",
        130: "stopped by Ctrl+C: what was closed stays closed, the rest is open; run it again",
    }
    examples = (
        "emergency_close --all",
        'emergency_close --competition demo --reason "prices look wrong"',
        "emergency_close --all --json",
    )
    has_json = True
    interrupted = (
        "stopped: seasons reached so far are halted and what was closed stays closed, but positions may be open; "
        "run the same line again"
    )
    # An emergency does not wait for a setting that is wrong elsewhere.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--competition", metavar="SLUG")
        which.add_argument(
            "--all", action="store_true", help="every season that has started and is not flat"
        )
        parser.add_argument(
            "--reason", default="", metavar="TEXT", help="kept in the season and the audit log"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        reason = " ".join(options["reason"].split())
        if len(reason) > REASON_LENGTH:
            raise wrong_use(
                f"--reason must have at most {REASON_LENGTH} characters, had {len(reason)}"
            )
        chosen = self._chosen(options)
        # Open pages see it within a second by the database: nothing here waits for Redis.
        with bridge.only_by_database():
            # All are halted before the first one waits for its feed.
            for competition in chosen:
                _halt(competition, reason)
            closed = [_close(competition, reason) for competition in chosen]
        if options["json"]:
            ok = all(season.is_safe for season in closed)
            self.write_json({"ok": ok, "at": timezone.now(), "competitions": closed})
        else:
            self._tell(closed, no_color=options["no_color"])
        failed = [season.slug for season in closed if not season.is_safe]
        if failed:
            raise CommandError(
                f"NOT FLAT OR NOT HALTED: {', '.join(failed)}; run the same line again"
            )

    def _chosen(self, options: dict[str, Any]) -> list[Competition]:
        started = Competition.objects.filter(book__isnull=False).select_related("book")
        if options["all"]:
            # A halted book may be left open by a close that failed half way; an ended one trades no more.
            closable = started.exclude(book__state=BookState.ENDED).order_by("started_at")
            books = {
                *Position.objects.open().values_list("account__book_id", flat=True),
                *Order.objects.unfinished().values_list("account__book_id", flat=True),
            }
            return [row for row in closable if not row.is_over or row.book_id in books]
        found = list(started.filter(slug=options["competition"]))
        if not found:
            known = ", ".join(started.order_by("slug").values_list("slug", flat=True)[:20])
            raise wrong_use(
                f"no started competition {options['competition'][:80]!r}; started are: {known or 'none'}"
            )
        return found

    def _tell(self, closed: Sequence[SeasonClose], *, no_color: bool) -> None:
        if not closed:
            write_line(
                self.stdout, "nothing to close: no season runs, and none that was halted is open"
            )
            return
        lines = [
            (season.slug, line.participant, line.symbol, line.quantity, line.filled, line.message)
            for season in closed
            for line in season.positions
        ]
        positions = table(
            "Positions",
            ("competition", "participant", "symbol", "quantity", "closed", "what became of it"),
            lines,
            right=("quantity", "closed"),
            styles=WORDS,
        )
        seasons = table(
            "Read again from the database",
            ("competition", "outcome", "book", "still open", "orders waiting", "remark"),
            [_row(season) for season in closed],
            right=("still open", "orders waiting"),
            styles=WORDS,
        )
        write_tables(self.stdout, [positions, seasons] if lines else [seasons], no_color=no_color)


def _row(season: SeasonClose) -> tuple[object, ...]:
    return (
        season.slug,
        season.outcome,
        season.book_state,
        len(season.still_open),
        season.waiting_orders,
        season.message or None,
    )


def _halt(competition: Competition, reason: str) -> None:
    """Halt one season; what goes wrong is told by the close that follows."""
    try:
        halt_at_once(competition, actor=_person(), reason=reason, now=timezone.now())
    except ControlError:
        logger.info("not halted before the close slug=%s", competition.slug)
    except Exception:
        logger.exception("not halted before the close slug=%s", competition.slug)


def _close(competition: Competition, reason: str) -> SeasonClose:
    """Close one season and look again; a failure of one must not keep the others open."""
    outcome, message = "PARTIAL", ""
    lines: tuple[CloseLine, ...] = ()
    try:
        report = emergency_close(competition, actor=_person(), reason=reason, now=timezone.now())
        lines, message = report.lines, report.note
    except ControlError as error:
        outcome, message = "REFUSED", str(error)
    except Exception as error:
        logger.exception("emergency close failed slug=%s", competition.slug)
        outcome, message = "FAILED", f"{type(error).__name__}: {error}"
    left = flatness_of(competition)
    if left.is_safe and outcome != "FAILED":
        outcome = "CLOSED" if lines else "NOTHING TO CLOSE"
    return SeasonClose(
        slug=competition.slug,
        outcome=outcome,
        book_state=left.book_state,
        is_safe=left.is_safe and outcome != "FAILED",
        message=message,
        positions=lines,
        still_open=left.still_open,
        waiting_orders=left.waiting_orders,
    )


def _person() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # A container's user has a number and no name.
        name = f"user {os.getuid()}"
    return f"{name} (command)"
