"""Where market facts come from."""

from __future__ import annotations

from django.db import models


class FeedKind(models.TextChoices):
    REPLAY = "REPLAY", "Replay of stored candles"
    SYNTHETIC = "SYNTHETIC", "Synthetic market"
    BINANCE = "BINANCE", "Binance USD-M, public data"


class Feed(models.Model):
    """A configured source of market facts; fixed for a competition once it is made."""

    slug = models.SlugField(
        max_length=64, unique=True, help_text="Short name in lower case, for example binance-main."
    )
    name = models.CharField(max_length=80, help_text="Name that people read.")
    kind = models.CharField(
        max_length=12,
        choices=FeedKind.choices,
        help_text="A replay needs imported candles; a synthetic market needs nothing; Binance needs the network, but no key.",
    )
    source = models.CharField(
        max_length=64,
        help_text="Name under which its candles are stored; a replay reads the candles imported under this name.",
    )
    seed = models.PositiveBigIntegerField(
        default=0, help_text="Synthetic only: the same seed makes the same market."
    )
    spread_bps = models.PositiveSmallIntegerField(
        default=2,
        help_text="Replay and synthetic only: bid-ask spread in hundredths of a percent, since candles carry none.",
    )
    base_url = models.URLField(
        blank=True, help_text="Binance only: another REST host; empty for the one of the settings."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=FeedKind.values), name="feed_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def is_simulated(self) -> bool:
        """Tell whether prices are not those of a market now: replayed or invented."""
        return self.kind != FeedKind.BINANCE


class FeedHealth(models.Model):
    """The last good and the last bad word from a feed; a projection, one row a feed."""

    feed = models.OneToOneField(Feed, on_delete=models.CASCADE, related_name="health")
    last_ok_at = models.DateTimeField(null=True)
    last_error_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name_plural = "feed health"

    def __str__(self) -> str:
        return f"health of {self.feed_id}"
