"""Tell whether one part of the arena is at work, for the health checks of containers."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from competitions.models import Heartbeat
from marketdata.management.base import ArenaCommand, positive

# Who writes a sign of life when the part does its work: beat's ring is heard by the clock.
SIGNS = {
    "beat": "clock",
    "clock": "clock",
    "sweeper": "sweeper",
    "feed": "feed",
    "checker": "checker",
}


class Command(ArenaCommand):
    help = "Tell by the exit code whether a part has given a sign of life lately. Beat is judged by the clock that it rings."
    exit_codes = {
        0: "the part gave a sign of life in time",
        1: "it is silent for too long, or was never heard of",
    }
    examples = ("arena_health clock", "arena_health feed --seconds 60")
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("part", choices=sorted(SIGNS))
        parser.add_argument(
            "--seconds", type=positive, default=30, help="how old it may be (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        part, longest = options["part"], options["seconds"]
        sign = Heartbeat.objects.filter(name=SIGNS[part]).first()
        if sign is None:
            raise CommandError(f"{part} has never given a sign of life")
        age = (timezone.now() - sign.at).total_seconds()
        if age > longest:
            raise CommandError(
                f"{part} gave its last sign of life {age:.0f} s ago, wanted one in {longest} s"
            )
        self.stdout.write(f"{part} gave a sign of life {age:.0f} s ago")
