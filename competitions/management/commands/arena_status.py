"""Tell how the arena is, to people and to monitors."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone
from rich.table import Table

from competitions.management.chosen import find_competition
from competitions.models import Competition
from competitions.models.competitions import CompetitionStatus
from competitions.selectors.board import BoardRow, board_of
from competitions.selectors.operations import run_of
from competitions.selectors.seasons import load_season
from competitions.selectors.status import ArenaStatus, SeasonState, status_of
from competitions.services.driving import is_driven_elsewhere
from competitions.templatetags.arena_format import NBSP, duration
from marketdata.management.base import ArenaCommand
from marketdata.management.output import table, write_line, write_tables

COLOURS = {
    "ok": "green",
    "warning": "yellow",
    "failed": "bold red",
    "off": "dim",
    "RUNNING": "green",
    "PAUSED": "yellow",
    "FAILED": "bold red",
}


class Command(ArenaCommand):
    help = "Show every season, the arena's parts with their last signs of life, feeds, queue and the last acts of operators."
    exit_codes = {
        0: "all is well (a silent part that no season needs is no trouble)",
        1: "something is wrong: a part that a season needs is silent, a feed fails, a season is stale, a round or the queue is stuck",
    }
    examples = (
        "arena_status",
        "arena_status --competition demo",
        "arena_status --json",
    )
    has_json = True
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--competition", metavar="SLUG", default="", help="one season, with who takes part"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now, slug = timezone.now(), options["competition"]
        one = find_competition(slug) if slug else None
        status = status_of(now=now, driven=_driven(now), slug=slug)
        if options["json"]:
            self.write_json(_document(status, one, now=now))
        else:
            tables = [*_tables(status), *(_details(one, now=now) if one else ())]
            write_tables(self.stdout, tables, no_color=options["no_color"])
            if not status.competitions:
                write_line(
                    self.stdout, "no competitions yet: `manage.py arena` makes a demo season"
                )
        if status.troubles:
            raise CommandError("; ".join(status.troubles))


def _driven(now: datetime) -> list[Any]:
    waiting = [CompetitionStatus.RUNNING, CompetitionStatus.SCHEDULED]
    rows = Competition.objects.filter(status__in=waiting)
    return [row.pk for row in rows if is_driven_elsewhere(row, now=now)]


def _document(status: ArenaStatus, one: Competition | None, *, now: datetime) -> dict[str, object]:
    document: dict[str, object] = {
        "ok": not status.troubles,
        "at": status.at,
        "troubles": status.troubles,
        "competitions": status.competitions,
        "parts": status.parts,
        "feeds": status.feeds,
        "queue": status.queue,
        "acts": status.acts,
    }
    if one is not None:
        document["participants"] = [_participant(row) for row in board_of(load_season(one)).rows]
        document["positions"] = [
            {
                "participant": view.entrant.slug,
                "symbol": view.symbol,
                "side": view.side,
                "quantity": view.quantity,
                "leverage": view.leverage,
                "entry": view.entry,
                "mark": view.mark,
                "unrealised": view.unrealised,
                "opened_at": view.opened_at,
            }
            for view in run_of(one, now=now).positions
        ]
    return document


def _participant(row: BoardRow) -> dict[str, object]:
    return {
        "rank": row.rank,
        "slug": row.entrant.slug,
        "name": row.entrant.name,
        "state": row.entrant.state,
        "equity": row.equity,
        "total_return": row.earned,
        "max_drawdown": row.max_drawdown,
        "trades": row.trades,
        "last_outcome": row.last.outcome if row.last else None,
    }


def _tables(status: ArenaStatus) -> Iterator[Table]:
    if status.competitions:
        headings = ("slug", "status", "round", "next", "players", "open", "leader", "stale", "feed")
        rows = [_season_row(season, status.at) for season in status.competitions]
        yield table(
            "Competitions",
            headings,
            rows,
            right=("round", "next", "players", "open"),
            styles=COLOURS,
        )
    yield table(
        "Parts",
        ("part", "state", "heard of", "needed", "note"),
        [
            (
                part.name,
                part.state,
                _ago(part.age_seconds),
                "yes" if part.is_needed else "no",
                part.note,
            )
            for part in status.parts
        ],
        right=("heard of",),
        styles=COLOURS,
    )
    if status.feeds:
        rows = [
            (feed.slug, feed.state, _since(feed.last_ok_at, status.at), feed.last_error or None)
            for feed in status.feeds
        ]
        yield table("Feeds", ("feed", "state", "last good", "last error"), rows, styles=COLOURS)
    queue = status.queue
    yield table(
        "Queue",
        ("turns waiting", "state", "oldest"),
        [(queue.waiting, queue.state, _length(queue.oldest_seconds))],
        styles=COLOURS,
    )
    if status.acts:
        rows = [
            (f"{act.at:%Y-%m-%d %H:%M:%S}", act.actor, act.action, act.subject, act.reason or None)
            for act in status.acts
        ]
        yield table("Last acts (UTC)", ("at", "who", "what", "competition", "reason"), rows)


def _season_row(season: SeasonState, now: datetime) -> tuple[object, ...]:
    played = f"{season.round_count}/{season.total_rounds or 'no end'}"
    if season.open_round:
        played += f" ({season.open_round.settled} of {season.open_round.turns})"
    coming = season.next_round_at
    left = None if coming is None else max(0.0, (coming - now).total_seconds())
    leader = season.leader
    return (
        season.slug,
        season.status,
        played,
        None if left is None else f"in {_length(left)}",
        season.participants,
        season.open_positions,
        leader and f"{leader.participant} {leader.equity:,.2f}",
        "STALE" if season.is_stale else "no",
        season.feed,
    )


def _details(one: Competition, *, now: datetime) -> Iterator[Table]:
    rows = [
        (
            row.rank,
            row.entrant.slug,
            row.entrant.state,
            f"{row.equity:,.2f}",
            f"{row.earned * 100:+.2f} %",
            None if row.max_drawdown is None else f"{row.max_drawdown * 100:.2f} %",
            row.trades,
            row.last.outcome if row.last else None,
        )
        for row in board_of(load_season(one)).rows
    ]
    headings = ("rank", "participant", "state", "equity", "return", "drawdown", "trades", "last")
    numbers = ("rank", "equity", "return", "drawdown", "trades")
    yield table("Participants", headings, rows, right=numbers)
    held = [
        (
            view.entrant.slug,
            view.symbol,
            view.side,
            f"{view.quantity:f}",
            view.leverage,
            view.unrealised,
        )
        for view in run_of(one, now=now).positions
    ]
    columns = ("participant", "symbol", "side", "quantity", "leverage", "unrealised")
    yield table("Open positions", columns, held, right=columns[3:])


def _length(seconds: float | None) -> str | None:
    return None if seconds is None else duration(seconds).replace(NBSP, " ")


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{_length(seconds)} ago"


def _since(at: datetime | None, now: datetime) -> str:
    return _ago(None if at is None else (now - at).total_seconds())
