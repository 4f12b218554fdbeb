"""What an arena needs before it can open: tables, a season to look at, an operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from arena_site.account import ensure_operator


@dataclass(frozen=True, slots=True)
class Preparation:
    """What was found or made; ``password`` is None unless the account was just made."""

    username: str
    password: str | None
    season: str
    season_path: str
    feed_note: str
    is_new_season: bool


def prepare(*, now: datetime) -> Preparation:
    """Bring tables, demo season and operator's account up to date; harmless when they are."""
    from competitions.services.demo import ensure_demo_season

    if migrations_pending():
        call_command("migrate", verbosity=0, interactive=False)
    demo = ensure_demo_season(now=now)
    username, password = ensure_operator()
    return Preparation(
        username=username,
        password=password,
        season=demo.competition.name,
        season_path=f"c/{demo.competition.slug}/",
        feed_note=demo.feed_note,
        is_new_season=demo.created,
    )


def migrations_pending() -> bool:
    """Tell whether the database lacks a migration; reads its list of applied ones."""
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
