"""Closed candles and funding rates, by source."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from django.db import models, transaction

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


class CandleSeriesQuerySet(models.QuerySet["CandleSeries"]):
    """Series with the times between which they hold candles."""

    def with_extent(self) -> CandleSeriesQuerySet:
        """Add ``first_open`` and ``last_open`` (None when empty); two index look-ups a series."""
        opens = Candle.objects.filter(series=models.OuterRef("pk"))
        return self.annotate(
            first_open=models.Subquery(opens.order_by("open_at").values("open_at")[:1]),
            last_open=models.Subquery(opens.order_by("-open_at").values("open_at")[:1]),
        )


CandleSeriesManager = models.Manager.from_queryset(CandleSeriesQuerySet)


class CandleSeries(models.Model):
    """All candles of one symbol and timeframe from one source (a venue, an import, a seeded generator)."""

    source = models.CharField(max_length=64)
    symbol = models.CharField(max_length=32)
    timeframe = models.CharField(max_length=4, choices=TimeframeCode.choices)
    token = models.UUIDField(
        default=uuid.uuid4,
        editable=False,
        help_text="Never used again, so that copies in memory can trust it.",
    )
    revision = models.PositiveIntegerField(
        default=0,
        editable=False,
        help_text="Counts additions of candles before the end of those already held.",
    )

    objects = CandleSeriesManager()

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

    @transaction.atomic
    def store(self, series: CandleSeries, facts: Sequence[CandleFact]) -> int:
        """Insert those candles that the series does not hold yet and return how many; the others stay as they are.

        Args:
            series: Where they belong; locked meanwhile.
            facts: Closed candles, oldest first.
        """
        if not facts:
            return 0
        locked = CandleSeries.objects.select_for_update().get(pk=series.pk)
        held = self.filter(series=locked, open_at__range=(facts[0].open_at, facts[-1].open_at))
        known = set(held.values_list("open_at", flat=True))
        fresh = [fact for fact in facts if fact.open_at not in known]
        if fresh and self.filter(series=locked, open_at__gt=fresh[0].open_at).exists():
            CandleSeries.objects.filter(pk=locked.pk).update(revision=models.F("revision") + 1)
        self.bulk_create([Candle.of(locked, fact) for fact in fresh], batch_size=2000)
        return len(fresh)


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

    @classmethod
    def of(cls, series: CandleSeries, fact: CandleFact) -> Candle:
        """Return an unsaved row of a candle."""
        return cls(
            series=series,
            open_at=fact.open_at,
            open=fact.open,
            high=fact.high,
            low=fact.low,
            close=fact.close,
            volume=fact.volume,
        )

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
