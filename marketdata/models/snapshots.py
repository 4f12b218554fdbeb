"""What all agents of a round may know of the market."""

from __future__ import annotations

import json
import uuid
from typing import Any, ClassVar

from django.db import models

from marketdata.models.blobs import Blob
from marketdata.models.feeds import Feed


class SnapshotStatus(models.TextChoices):
    OK = "OK", "Complete"
    NO_DATA = "NO_DATA", "No usable data"


class MarketSnapshot(models.Model):
    """One instant of the market, frozen and hashed; the same for all participants of a round. Immutable."""

    append_only: ClassVar[bool] = True

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="snapshots")
    as_of = models.DateTimeField()
    status = models.CharField(max_length=8, choices=SnapshotStatus.choices)
    manifest = models.ForeignKey(
        Blob,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Canonical JSON; its hash is the snapshot's.",
    )
    captured_at = models.DateTimeField(help_text="Wall time of the capture.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=SnapshotStatus.values),
                name="marketsnapshot_status_known",
            ),
        ]
        indexes = [models.Index(fields=["feed", "-as_of"], name="marketsnapshot_latest")]

    def __str__(self) -> str:
        return f"{self.feed_id} {self.as_of.isoformat()}"

    @property
    def sha256(self) -> str:
        """Return the hash of the manifest."""
        return self.manifest_id

    def content(self) -> dict[str, Any]:
        """Return the manifest as parsed JSON. Queries once."""
        content: dict[str, Any] = json.loads(Blob.objects.text(self.manifest_id))
        return content
