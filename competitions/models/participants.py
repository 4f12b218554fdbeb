"""Who takes part in a competition."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

from agents.models import Agent
from competitions.models.competitions import MAX_PLACES, Competition
from trading.models import Account


class ParticipantState(models.TextChoices):
    REGISTERED = "REGISTERED", "Registered"
    ACTIVE = "ACTIVE", "Active"
    SUSPENDED = "SUSPENDED", "Suspended"
    LIQUIDATED = "LIQUIDATED", "Liquidated"
    RETIRED = "RETIRED", "Retired"


class Participant(models.Model):
    """An agent in a competition, with a fixed place in the roster and, from the start on, an account of its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    competition = models.ForeignKey(
        Competition, on_delete=models.CASCADE, related_name="participants"
    )
    ordinal = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(MAX_PLACES)],
        help_text="Place in the roster, from 1; empty for the next free one.",
    )
    slug = models.SlugField(
        max_length=60, help_text="Its address in the season; empty to make it from the name."
    )
    name = models.CharField(
        max_length=80, help_text="As pages show it; empty for the name of the agent."
    )
    agent = models.ForeignKey(
        Agent,
        on_delete=models.PROTECT,
        related_name="participants",
        help_text="Who plays: a model with its prompt, or a baseline.",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="participants",
        help_text="Account that may see its competition though it is private, and try it out; empty for the arena's own.",
    )
    account = models.OneToOneField(
        Account,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="participant",
    )
    state = models.CharField(
        max_length=10,
        choices=ParticipantState.choices,
        default=ParticipantState.REGISTERED,
        editable=False,
    )
    state_reason = models.CharField(max_length=300, blank=True, editable=False)
    colour_slot = models.PositiveSmallIntegerField(
        default=0,
        editable=False,
        help_text="1 to 12 for models; baselines have their own row of 1 to 12.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["competition", "ordinal"], name="participant_one_per_ordinal"
            ),
            models.UniqueConstraint(
                fields=["competition", "slug"], name="participant_one_per_slug"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=ParticipantState.values),
                name="participant_state_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.competition_id}/{self.slug}"

    def get_absolute_url(self) -> str:
        return reverse("participant", args=[self.competition.slug, self.slug])

    @property
    def seat(self) -> Account:
        """Return the participant's account; raise ValueError before the start."""
        if self.account is None:
            raise ValueError(f"{self.slug} has no account before the start")
        return self.account

    @property
    def is_baseline(self) -> bool:
        return self.agent.provider.is_baseline
