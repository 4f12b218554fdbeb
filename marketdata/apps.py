from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from marketdata.append_only import install_triggers


class MarketdataConfig(AppConfig):
    """Instruments, candles, feeds and snapshots."""

    name = "marketdata"
    label = "marketdata"
    verbose_name = "Market data"

    def ready(self) -> None:
        post_migrate.connect(install_triggers, sender=self)
