from __future__ import annotations

from django.apps import AppConfig


class AgentsConfig(AppConfig):
    """Providers, agents, prompts and their answers."""

    name = "agents"
    label = "agents"
    verbose_name = "Agents"
