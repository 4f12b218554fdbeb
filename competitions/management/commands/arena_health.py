"""Tell whether one part of the arena is at work, for the health checks of containers."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from competitions.models import Heartbeat

# Who writes a sign of life when the part does its work: beat's ring is heard by the clock.
SIGNS = {"beat": "clock", "clock": "clock", "sweeper": "sweeper", "feed": "feed"}


class Command(BaseCommand):
    help = "Exit with 0 when a part has given a sign of life lately, else with 1 and a sentence. Beat is judged by the clock that it rings."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("part", choices=sorted(SIGNS))
        parser.add_argument(
            "--seconds", type=float, default=30, help="how old it may be (%(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        part, longest = options["part"], options["seconds"]
        sign = Heartbeat.objects.filter(name=SIGNS[part]).first()
        if sign is None:
            raise CommandError(f"{part} has never given a sign of life")
        age = (timezone.now() - sign.at).total_seconds()
        if age > longest:
            raise CommandError(
                f"{part} gave its last sign of life {age:.0f} s ago, wanted one in {longest:g} s"
            )
        self.stdout.write(f"{part} gave a sign of life {age:.0f} s ago")
