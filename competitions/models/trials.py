"""Trials: an agent asked as in a season's first round, with a pretend account, and nothing traded."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime

from django.db import models

from agents.models import Agent, Decision
from competitions.models.competitions import Competition
from competitions.models.participants import Participant
from marketdata.models import MarketSnapshot


class TrialState(models.TextChoices):
    PENDING = "PENDING", "Waiting"
    ASKED = "ASKED", "Asked"
    DONE = "DONE", "Done"


class TrialOutcome(models.TextChoices):
    READ = "READ", "Answer read"
    INVALID = "INVALID", "Invalid"
    REFUSED = "REFUSED", "Refused"
    TIMEOUT = "TIMEOUT", "Timed out"
    ERROR = "ERROR", "Error"
    SKIPPED = "SKIPPED", "Skipped"


def make_trial_key() -> str:
    """Return the key under which a trial's calls are kept; no turn has one like it."""
    return f"trial-{secrets.token_hex(10)}"


class TrialQuerySet(models.QuerySet["Trial"]):
    """Trials by what is left to do with them."""

    def unfinished(self) -> TrialQuerySet:
        return self.exclude(state=TrialState.DONE)

    def claimable(self, now: datetime) -> TrialQuerySet:
        """Return unfinished trials that nobody holds, or whose lease passed."""
        return self.unfinished().filter(
            models.Q(lease_until__isnull=True) | models.Q(lease_until__lt=now)
        )


TrialManager = models.Manager.from_queryset(TrialQuerySet)


class Trial(models.Model):
    """One trial; what was asked and answered are the completions of ``trial_key``. ``fence`` grows with each claim."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    trial_key = models.CharField(max_length=32, unique=True, default=make_trial_key)
    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="trials")
    participant = models.ForeignKey(
        Participant,
        on_delete=models.CASCADE,
        null=True,
        related_name="trials",
        help_text="None for an agent that is tried without taking part.",
    )
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="trials")
    symbols = models.JSONField(default=list, help_text="Those shown; empty for all.")
    asked_by = models.CharField(max_length=150)
    state = models.CharField(max_length=7, choices=TrialState.choices, default=TrialState.PENDING)
    outcome = models.CharField(max_length=7, choices=TrialOutcome.choices, blank=True)
    reason = models.CharField(max_length=500, blank=True, help_text="Why there is no decision.")
    snapshot = models.ForeignKey(
        MarketSnapshot, on_delete=models.PROTECT, null=True, related_name="trials"
    )
    decision = models.ForeignKey(
        Decision, on_delete=models.PROTECT, null=True, related_name="trials"
    )
    verdicts = models.JSONField(
        default=list,
        help_text="For each instruction what the rules would say to it, at the snapshot's prices.",
    )
    lease_until = models.DateTimeField(null=True, help_text="Wall time.")
    fence = models.PositiveIntegerField(default=0)
    requested_at = models.DateTimeField(help_text="Wall time.")
    deadline_at = models.DateTimeField(null=True, help_text="Wall time of the end of asking.")
    finished_at = models.DateTimeField(null=True, help_text="Wall time.")

    objects = TrialManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["participant"],
                condition=~models.Q(state="DONE"),
                name="trial_one_in_flight_per_participant",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=TrialState.values), name="trial_state_known"
            ),
            models.CheckConstraint(
                condition=models.Q(state="DONE", outcome__in=TrialOutcome.values)
                | (~models.Q(state="DONE") & models.Q(outcome="")),
                name="trial_done_has_outcome",
            ),
        ]

    def __str__(self) -> str:
        return self.trial_key

    @property
    def is_done(self) -> bool:
        return self.state == TrialState.DONE
