"""Tradable symbols and the venue's limits on them."""

from __future__ import annotations

from decimal import Decimal

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

from marketdata.domain.instruments import AssetClass as AssetClassCode
from marketdata.domain.instruments import InstrumentSpec
from marketdata.fields import ExactDecimalField


class AssetClass(models.TextChoices):
    CRYPTO = "CRYPTO", "Crypto"
    STOCK = "STOCK", "Stock"
    PREDICTION = "PREDICTION", "Prediction market"


class InstrumentQuerySet(models.QuerySet["Instrument"]):
    """Instruments by what may be traded."""

    def enabled(self) -> InstrumentQuerySet:
        return self.filter(is_enabled=True)


InstrumentManager = models.Manager.from_queryset(InstrumentQuerySet)


class Instrument(models.Model):
    """One tradable symbol with its tick, step and minimum sizes; a competition freezes a copy of them at its start."""

    symbol = models.CharField(
        max_length=32,
        unique=True,
        validators=[RegexValidator(r"^[A-Z0-9.:_-]+$", "capital letters, digits and . : _ - only")],
        help_text="As the feed calls it, for example BTCUSDT: capital letters, digits and . : _ -",
    )
    name = models.CharField(
        max_length=80, blank=True, help_text="Name that people read, for example Bitcoin perpetual."
    )
    asset_class = models.CharField(
        max_length=12,
        choices=AssetClass.choices,
        default=AssetClass.CRYPTO,
        help_text="What kind of thing is traded.",
    )
    base_asset = models.CharField(
        max_length=16,
        blank=True,
        help_text="What is bought, for example BTC; empty for the symbol without the quote asset.",
    )
    quote_asset = models.CharField(
        max_length=16, default="USDT", help_text="What it is paid in, for example USDT."
    )
    tick_size = ExactDecimalField(help_text="Smallest price move, in the quote asset.")
    step_size = ExactDecimalField(help_text="Smallest quantity move, in base units.")
    min_quantity = ExactDecimalField(help_text="Smallest order, in base units.")
    max_quantity = ExactDecimalField(
        null=True, blank=True, help_text="Largest order, in base units; empty for none."
    )
    min_notional = ExactDecimalField(help_text="Smallest order value, in the quote asset.")
    max_leverage = models.PositiveSmallIntegerField(
        default=20,
        validators=[MinValueValidator(1)],
        help_text="Most that the venue lends: 20 means positions of twenty times their margin.",
    )
    is_enabled = models.BooleanField(
        default=True, help_text="Without it new competitions leave the symbol out."
    )
    updated_at = models.DateTimeField(auto_now=True)

    objects = InstrumentManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(max_leverage__gte=1), name="instrument_leverage_at_least_1"
            )
        ]

    def __str__(self) -> str:
        return self.symbol

    def spec(self) -> InstrumentSpec:
        """Return the limits as the engine wants them."""
        return InstrumentSpec(
            symbol=self.symbol,
            tick=self.tick_size,
            step=self.step_size,
            min_quantity=self.min_quantity,
            min_notional=self.min_notional,
            max_leverage=self.max_leverage,
            max_quantity=self.max_quantity,
            asset_class=AssetClassCode(self.asset_class),
            base_asset=self.base_asset or self.symbol.removesuffix(self.quote_asset),
            quote_asset=self.quote_asset,
        )


class MarginTier(models.Model):
    """One step of a symbol's dated maintenance-margin table; notional bounds in the quote asset, floor included, cap excluded."""

    instrument = models.ForeignKey(
        Instrument, on_delete=models.PROTECT, related_name="margin_tiers"
    )
    version = models.CharField(max_length=32, help_text="Which table, for example its date.")
    notional_floor = ExactDecimalField(default=Decimal(0))
    notional_cap = ExactDecimalField(null=True, blank=True)
    maintenance_rate = ExactDecimalField()
    maintenance_amount = ExactDecimalField(default=Decimal(0))
    max_leverage = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "version", "notional_floor"], name="margintier_one_per_floor"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.version} from {self.notional_floor}"
