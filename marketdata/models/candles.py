"""Closed candles and funding rates, by source."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.db import models

from marketdata.domain.facts import Candle as CandleFact
from marketdata.fields import ExactDecimalField


class TimeframeCode(models.TextChoices):
    M1 = "1m", "1 minute"
    M3 = "3m", "3 minutes"
    M5 = "5m", "5 minutes"
    M15 = "15m", "15 minutes"
    H1 = "1h", "1 hour"
    H4 = "4h", "4 hours"
    D1 = "1d", "1 day"


class CandleSeries(models.Model):
    """All candles of one symbol and timeframe from one source (a venue, an import, a seeded generator)."""

    source = models.CharField(max_length=64)
    symbol = models.CharField(max_length=32)
    timeframe = models.CharField(max_length=4, choices=TimeframeCode.choices)

    class Meta:
        verbose_name_plural = "candle series"
        constraints = [
            models.UniqueConstraint(
                fields=["source", "symbol", "timeframe"], name="candleseries_one_per_source"
            )
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.symbol} {self.timeframe}"


class CandleQuerySet(models.QuerySet["Candle"]):
    """Candles by time."""

    def closed_by(self, at: datetime, *, seconds: int) -> CandleQuerySet:
        """Return those that ended at or before ``at``; ``seconds`` is the timeframe's length."""
        return self.filter(
            open_at__lte=datetime.fromtimestamp(at.timestamp() - seconds, tz=at.tzinfo)
        )


CandleManager = models.Manager.from_queryset(CandleQuerySet)


class Candle(models.Model):
    """One closed bar; immutable."""

    append_only: ClassVar[bool] = True

    series = models.ForeignKey(CandleSeries, on_delete=models.PROTECT, related_name="candles")
    open_at = models.DateTimeField(help_text="First instant of the bar, UTC.")
    open = ExactDecimalField()
    high = ExactDecimalField()
    low = ExactDecimalField()
    close = ExactDecimalField()
    volume = ExactDecimalField(help_text="Base units.")

    objects = CandleManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["series", "open_at"], name="candle_one_per_open")
        ]

    def __str__(self) -> str:
        return f"{self.series_id} {self.open_at.isoformat()}"

    def fact(self) -> CandleFact:
        """Return the bar as a value."""
        return CandleFact(self.open_at, self.open, self.high, self.low, self.close, self.volume)


class FundingRate(models.Model):
    """A settled funding rate; a fraction of notional that longs pay when it is positive."""

    append_only: ClassVar[bool] = True

    source = models.CharField(max_length=64)
    symbol = models.CharField(max_length=32)
    at = models.DateTimeField()
    rate = ExactDecimalField()
    mark = ExactDecimalField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "symbol", "at"], name="fundingrate_one_per_stamp"
            )
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.symbol} {self.at.isoformat()}"
