"""Tell in a few lines how the arena is."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from competitions.models import Competition, Heartbeat
from marketdata.models import FeedHealth


class Command(BaseCommand):
    help = "Show each competition's state and the ages of the arena's signs of life."

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        for row in Competition.objects.select_related("feed").order_by("-created_at"):
            self.stdout.write(
                f"{row.slug}  {row.status}  round {row.round_count} of {row.max_rounds or 'no limit'}  feed {row.feed.slug}  venue {row.venue}"
            )
        if not Competition.objects.exists():
            self.stdout.write("no competitions yet; `manage.py arena` makes a demo season")
        for beat in Heartbeat.objects.order_by("name"):
            self.stdout.write(f"{beat.name}: {(now - beat.at).total_seconds():.0f} s ago")
        for health in FeedHealth.objects.select_related("feed"):
            age = (
                "never"
                if health.last_ok_at is None
                else f"{(now - health.last_ok_at).total_seconds():.0f} s ago"
            )
            self.stdout.write(
                f"feed {health.feed.slug}: last good word {age}{'; last error: ' + health.last_error if health.last_error else ''}"
            )
