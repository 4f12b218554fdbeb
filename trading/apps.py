from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from marketdata.append_only import install_triggers


class TradingConfig(AppConfig):
    """Books, accounts, orders, fills and the engine."""

    name = "trading"
    label = "trading"
    verbose_name = "Trading"

    def ready(self) -> None:
        post_migrate.connect(install_triggers, sender=self)
