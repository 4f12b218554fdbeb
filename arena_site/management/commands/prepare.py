from __future__ import annotations

from typing import Any

from django.utils import timezone

from arena_site.preparation import prepare
from marketdata.management.base import ArenaCommand


class Command(ArenaCommand):
    """Bring tables, demo season and operator's account up to date, for the split shape."""

    help = "Migrate, make a demo season if there is none, and an operator if there is none."
    exit_codes = {0: "tables, season and operator are there", 1: "the database cannot be used"}
    examples = ("prepare",)

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare and tell what was found or made."""
        ready = prepare(now=timezone.now())
        state = "made" if ready.is_new_season else "found"
        self.stdout.write(f"Season {ready.season} {state} at /{ready.season_path}")
        self.stdout.write(f"Market {ready.feed_note}")
        if ready.password is None:
            self.stdout.write(f"Operator {ready.username} found")
        else:
            self.stdout.write(f"Operator {ready.username} made, password {ready.password}")
