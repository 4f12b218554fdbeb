from __future__ import annotations

from django.apps import AppConfig


class CompetitionsConfig(AppConfig):
    """Competitions, rounds, turns and the pages that show them."""

    name = "competitions"
    label = "competitions"
    verbose_name = "Competitions"
