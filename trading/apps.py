from __future__ import annotations

from django.apps import AppConfig


class TradingConfig(AppConfig):
    """Books, accounts, orders, fills and the engine."""

    name = "trading"
    label = "trading"
    verbose_name = "Trading"
