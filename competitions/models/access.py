"""Who may come in by the API."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models


class Scope(models.TextChoices):
    READ = "READ", "Read: also what is not public, as far as the owner may see it"
    CONTROL = "CONTROL", "Control: start, pause, resume, stop, emergency close"
    ADMIN = "ADMIN", "Admin: make competitions and register participants; everything else too"
    PARTICIPANT = (
        "PARTICIPANT",
        "Participant: what is the owner's own; see it, register it, try it before the start",
    )


# What a scope brings along.
IMPLIED: dict[str, frozenset[str]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.CONTROL: frozenset({Scope.READ, Scope.CONTROL}),
    Scope.ADMIN: frozenset({Scope.READ, Scope.CONTROL, Scope.ADMIN}),
    Scope.PARTICIPANT: frozenset({Scope.PARTICIPANT}),
}


class ApiKey(models.Model):
    """A key of the API: only the hash of its secret is kept, and it may never do more than its owner."""

    prefix = models.CharField(
        max_length=8, unique=True, editable=False, help_text="The key's name, its second part."
    )
    digest = models.CharField(
        max_length=64, editable=False, help_text="sha256 of the secret, its third part."
    )
    name = models.CharField(max_length=80, help_text="What it is for, for example: nightly export.")
    scopes = models.JSONField(default=list, help_text="Some of READ, CONTROL, ADMIN, PARTICIPANT.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="api_keys",
        help_text="In whose name it acts; CONTROL needs an operator, ADMIN an administrator.",
    )
    created_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="UTC; empty for a key that holds until it is revoked."
    )
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="To the minute.")
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"

    def is_valid(self, now: datetime) -> bool:
        """Tell whether it opens anything at ``now``; its owner must be loaded."""
        is_expired = self.expires_at is not None and self.expires_at <= now
        return self.revoked_at is None and not is_expired and self.owner.is_active

    def grants(self, scope: Scope) -> bool:
        """Tell whether its scopes hold ``scope``, by themselves or by what they bring along."""
        return any(scope in IMPLIED.get(held, ()) for held in self.scopes)


class ApiReply(models.Model):
    """What a write answered under an idempotency key: asked again, it is answered again and nothing is done twice."""

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="replies")
    name = models.CharField(max_length=100, help_text="The Idempotency-Key header.")
    request_hash = models.CharField(max_length=64, help_text="sha256 of method, path and body.")
    status = models.PositiveSmallIntegerField()
    body = models.TextField(help_text="JSON as answered.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "name"], name="apireply_one_per_name")
        ]

    def __str__(self) -> str:
        return f"{self.key_id} {self.name}"
