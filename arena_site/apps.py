from __future__ import annotations

from django.apps import AppConfig, apps


class ArenaSiteConfig(AppConfig):
    """The house: settings, commands, health pages and system checks."""

    name = "arena_site"
    label = "arena_site"
    verbose_name = "Arena"

    def ready(self) -> None:
        """Register the system checks, and the Celery application under which tasks are queued."""
        from arena_site import celery, checks  # noqa: F401

        # As the admin's headings call it: what the library is named tells nobody anything.
        apps.get_app_config("axes").verbose_name = "Logins"
