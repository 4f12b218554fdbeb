from __future__ import annotations

from django.apps import AppConfig


class MarketdataConfig(AppConfig):
    """Instruments, candles, feeds and snapshots."""

    name = "marketdata"
    label = "marketdata"
    verbose_name = "Market data"
