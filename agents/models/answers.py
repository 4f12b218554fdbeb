"""What was asked, what came back, and what was read out of it."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from agents.models.agents import Agent
from marketdata.models import Blob
from trading.fields import MoneyField


class CompletionStatus(models.TextChoices):
    OK = "OK", "Answered"
    REFUSED = "REFUSED", "Refused by the model"
    TRUNCATED = "TRUNCATED", "Cut at the token limit"
    EMPTY = "EMPTY", "Empty answer"
    TIMEOUT = "TIMEOUT", "No answer in time"
    ERROR = "ERROR", "Provider error"


class Completion(models.Model):
    """One raw call: the request by hashes, the raw answer, usage, latency, cost, error; written before it is parsed, never changed.

    ``attempt`` counts the tries of a turn from 1. Token counts are None where the provider did not tell; ``cost`` is None when the
    price is unknown, never 0 for unknown.
    """

    append_only: ClassVar[bool] = True

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    turn_key = models.CharField(max_length=32)
    attempt = models.PositiveSmallIntegerField()
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="completions")
    provider = models.CharField(max_length=40, help_text="Slug at the time of the call.")
    model = models.CharField(max_length=120)
    returned_model = models.CharField(
        max_length=120, blank=True, help_text="The model the provider says it used."
    )
    system = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    market = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    request = models.ForeignKey(
        Blob,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Canonical JSON of the parameters sent, keys left out.",
    )
    body = models.ForeignKey(
        Blob,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The provider's answer, whole, as received.",
    )
    text = models.ForeignKey(
        Blob,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The model's text.",
    )
    reasoning = models.ForeignKey(
        Blob,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Thinking text, where the provider returns it.",
    )
    status = models.CharField(max_length=10, choices=CompletionStatus.choices)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    finish_reason = models.CharField(max_length=40, blank=True)
    provider_request_id = models.CharField(max_length=120, blank=True)
    error = models.CharField(max_length=500, blank=True)
    input_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    cached_tokens = models.PositiveIntegerField(null=True, blank=True)
    reasoning_tokens = models.PositiveIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField()
    cost = MoneyField(null=True, blank=True, help_text="US dollars.")
    sent_at = models.DateTimeField()
    answered_at = models.DateTimeField()

    class Meta:
        # Newest first, as the list shows them.
        indexes = [models.Index(fields=["-sent_at", "-id"], name="completion_newest")]
        constraints = [
            models.UniqueConstraint(
                fields=["turn_key", "attempt"], name="completion_one_per_attempt"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=CompletionStatus.values),
                name="completion_status_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.turn_key} try {self.attempt}"


class DecisionStatus(models.TextChoices):
    VALID = "VALID", "Valid"
    REPAIRED = "REPAIRED", "Repaired"
    INVALID = "INVALID", "Invalid"
    REFUSED = "REFUSED", "Refused"
    TIMEOUT = "TIMEOUT", "Timed out"
    ERROR = "ERROR", "Provider error"


class DecisionSource(models.TextChoices):
    MODEL = "MODEL", "Language model"
    BASELINE = "BASELINE", "Baseline"
    TICK = "TICK", "Bot tick"


class Decision(models.Model):
    """What was parsed out of a turn's answer; one per turn key. Immutable.

    ``instructions`` is a list of canonical instruction objects (agents.domain.decisions), decimals as strings.
    """

    append_only: ClassVar[bool] = True

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    turn_key = models.CharField(max_length=32, unique=True)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="decisions")
    completion = models.ForeignKey(
        Completion, on_delete=models.PROTECT, null=True, blank=True, related_name="decisions"
    )
    source = models.CharField(max_length=8, choices=DecisionSource.choices)
    status = models.CharField(max_length=8, choices=DecisionStatus.choices)
    text = models.ForeignKey(
        Blob, on_delete=models.PROTECT, related_name="+", help_text="The text it was read from."
    )
    summary = models.TextField(blank=True)
    instructions = models.JSONField(default=list, blank=True)
    repairs = models.JSONField(
        default=list, blank=True, help_text="What was mended before reading, in words."
    )
    error = models.CharField(max_length=500, blank=True)
    decided_at = models.DateTimeField()

    class Meta:
        # Newest first, as the list shows them.
        indexes = [models.Index(fields=["-decided_at", "-id"], name="decision_newest")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=DecisionStatus.values), name="decision_status_known"
            )
        ]

    def __str__(self) -> str:
        return self.turn_key
