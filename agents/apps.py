from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AgentsConfig(AppConfig):
    """Providers, agents, prompts and their answers."""

    name = "agents"
    label = "agents"
    verbose_name = "Agents"

    def ready(self) -> None:
        from marketdata.append_only import install_triggers

        post_migrate.connect(install_triggers, sender=self)
