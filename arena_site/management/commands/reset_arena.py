"""Remove every season and keep what was set up."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from competitions.models import Competition
from competitions.services.resetting import reset_arena


class Command(BaseCommand):
    help = "Remove all seasons with their orders, answers, events and audit log; users, feeds, candles, providers and agents stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--yes", action="store_true", help="really do it")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["yes"]:
            count = Competition.objects.count()
            raise CommandError(
                f"this would remove {count} competitions for good; stop the arena, then add --yes"
            )
        self.stdout.write(f"{reset_arena()} competitions removed")
