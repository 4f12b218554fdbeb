from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from marketdata.append_only import install_triggers


class CompetitionsConfig(AppConfig):
    """Competitions, rounds, turns and the pages that show them."""

    name = "competitions"
    label = "competitions"
    verbose_name = "Competitions"

    def ready(self) -> None:
        post_migrate.connect(install_triggers, sender=self)
