"""Large texts, each stored once under the hash of its bytes."""

from __future__ import annotations

import hashlib
import zlib
from typing import ClassVar

from django.db import models


class BlobQuerySet(models.QuerySet["Blob"]):
    """Lookups of stored bytes by hash."""

    def put(self, body: str | bytes) -> str:
        """Store ``body`` if it is new and return its sha256 (hex of the uncompressed bytes)."""
        raw = body.encode("utf-8", "backslashreplace") if isinstance(body, str) else body
        sha = hashlib.sha256(raw).hexdigest()
        self.bulk_create(
            [Blob(sha256=sha, size=len(raw), packed=zlib.compress(raw, 6))], ignore_conflicts=True
        )
        return sha

    def text(self, sha256: str) -> str:
        """Return the stored text; bytes that are not UTF-8 show as replacement characters. Queries once."""
        return self.get(pk=sha256).raw().decode("utf-8", "replace")


BlobManager = models.Manager.from_queryset(BlobQuerySet)


class Blob(models.Model):
    """Bytes under their own hash; never updated."""

    append_only: ClassVar[bool] = True

    sha256 = models.CharField(max_length=64, primary_key=True)
    size = models.PositiveBigIntegerField(help_text="Bytes before packing.")
    packed = models.BinaryField(help_text="zlib of the bytes.")

    objects = BlobManager()

    def __str__(self) -> str:
        return self.sha256

    def raw(self) -> bytes:
        """Return the bytes as they were stored."""
        return zlib.decompress(bytes(self.packed))
