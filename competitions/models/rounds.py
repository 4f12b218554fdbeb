"""Rounds, and each participant's part in them."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import models
from django.urls import reverse

from agents.models import Decision
from competitions.models.competitions import Competition
from competitions.models.participants import Participant
from marketdata.models import MarketSnapshot
from trading.models import Order


class RoundKind(models.TextChoices):
    SCHEDULED = "SCHEDULED", "Scheduled"
    EXTRA = "EXTRA", "Extra"


class RoundState(models.TextChoices):
    OPEN = "OPEN", "Open"
    CLOSED = "CLOSED", "Closed"


class RoundQuerySet(models.QuerySet["Round"]):
    """Rounds by state."""

    def open(self) -> RoundQuerySet:
        return self.filter(state=RoundState.OPEN)

    def closed(self) -> RoundQuerySet:
        return self.filter(state=RoundState.CLOSED)


RoundManager = models.Manager.from_queryset(RoundQuerySet)


class Round(models.Model):
    """One tick for a roster: a dense number, a slot in market time, one snapshot; closed when every turn has its outcome."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=9, choices=RoundKind.choices, default=RoundKind.SCHEDULED)
    state = models.CharField(max_length=6, choices=RoundState.choices, default=RoundState.OPEN)
    slot_at = models.DateTimeField(
        help_text="Market time; on the interval grid unless the round is an extra one."
    )
    snapshot = models.ForeignKey(
        MarketSnapshot,
        on_delete=models.PROTECT,
        null=True,
        related_name="rounds",
        help_text="None until captured.",
    )
    has_data = models.BooleanField(
        default=True, help_text="False when the snapshot was unusable: all hold."
    )
    first_tape_position = models.PositiveBigIntegerField(default=0)
    last_tape_position = models.PositiveBigIntegerField(null=True)
    deadline_at = models.DateTimeField(help_text="Wall time after which answers are late.")
    opened_at = models.DateTimeField(help_text="Wall time.")
    asked_by = models.CharField(
        max_length=150, blank=True, help_text="Who asked for an extra round; empty for the clock."
    )
    closed_at = models.DateTimeField(null=True, help_text="Wall time.")
    marked_at = models.DateTimeField(null=True, help_text="Market time of the closing marks.")
    digest = models.CharField(max_length=64, blank=True)

    objects = RoundManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["competition", "number"], name="round_one_per_number"),
            models.UniqueConstraint(
                fields=["competition", "slot_at"],
                condition=models.Q(kind="SCHEDULED"),
                name="round_one_per_slot",
            ),
            models.UniqueConstraint(
                fields=["competition"],
                condition=models.Q(state="OPEN"),
                name="round_one_open_per_competition",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=RoundState.values), name="round_state_known"
            ),
            models.CheckConstraint(
                condition=models.Q(kind__in=RoundKind.values), name="round_kind_known"
            ),
            models.CheckConstraint(
                condition=models.Q(state="OPEN") | models.Q(digest__gt=""),
                name="round_closed_has_digest",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.competition_id} round {self.number}"

    def get_absolute_url(self) -> str:
        return reverse("round", args=[self.competition.slug, self.number])

    @property
    def is_extra(self) -> bool:
        return self.kind == RoundKind.EXTRA


class TurnState(models.TextChoices):
    PENDING = "PENDING", "Waiting"
    ASKED = "ASKED", "Asked"
    ANSWERED = "ANSWERED", "Answered"
    SETTLED = "SETTLED", "Settled"


class TurnOutcome(models.TextChoices):
    TRADED = "TRADED", "Traded"
    HELD = "HELD", "Held"
    DENIED = "DENIED", "Denied"
    INVALID = "INVALID", "Invalid"
    REFUSED = "REFUSED", "Refused"
    TIMEOUT = "TIMEOUT", "Timed out"
    ERROR = "ERROR", "Error"
    LATE = "LATE", "Late"
    SKIPPED = "SKIPPED", "Skipped"
    CANCELLED = "CANCELLED", "Cancelled"


class TurnQuerySet(models.QuerySet["Turn"]):
    """Turns by what is left to do with them."""

    def unsettled(self) -> TurnQuerySet:
        return self.exclude(state=TurnState.SETTLED)

    def claimable(self, now: datetime) -> TurnQuerySet:
        """Return unsettled turns that nobody holds, or whose lease passed."""
        return self.unsettled().filter(
            models.Q(lease_until__isnull=True) | models.Q(lease_until__lt=now)
        )


TurnManager = models.Manager.from_queryset(TurnQuerySet)


class Turn(models.Model):
    """One participant's part in a round; settled once, with exactly one outcome. ``fence`` grows with each claim."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="turns")
    participant = models.ForeignKey(Participant, on_delete=models.PROTECT, related_name="turns")
    turn_key = models.CharField(
        max_length=32, unique=True, help_text="{book code}-{round}-{ordinal}."
    )
    state = models.CharField(max_length=8, choices=TurnState.choices, default=TurnState.PENDING)
    outcome = models.CharField(max_length=9, choices=TurnOutcome.choices, blank=True)
    reason = models.CharField(
        max_length=300, blank=True, help_text="Why it was skipped, late, refused ...; in words."
    )
    decision = models.ForeignKey(
        Decision, on_delete=models.PROTECT, null=True, related_name="turns"
    )
    lease_until = models.DateTimeField(null=True, help_text="Wall time.")
    fence = models.PositiveIntegerField(default=0)
    asked_at = models.DateTimeField(null=True, help_text="Wall time.")
    answered_at = models.DateTimeField(null=True, help_text="Wall time.")
    settled_at = models.DateTimeField(null=True, help_text="Wall time.")
    tape_position = models.PositiveBigIntegerField(
        null=True, help_text="Where on the tape the answer took effect."
    )

    objects = TurnManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["round", "participant"], name="turn_one_per_participant"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=TurnState.values), name="turn_state_known"
            ),
            models.CheckConstraint(
                condition=models.Q(state="SETTLED", outcome__in=TurnOutcome.values)
                | (~models.Q(state="SETTLED") & models.Q(outcome="")),
                name="turn_settled_has_outcome",
            ),
        ]

    def __str__(self) -> str:
        return self.turn_key

    def get_absolute_url(self) -> str:
        return reverse(
            "decision", args=[self.round.competition.slug, self.round.number, self.participant.slug]
        )


class LegVerdict(models.TextChoices):
    FILLED = "FILLED", "Filled"
    DENIED = "DENIED", "Denied"
    HELD = "HELD", "Held"
    SET = "SET", "Exits set"
    UNKNOWN = "UNKNOWN", "Outcome unknown"
    REJECTED = "REJECTED", "Rejected by the venue"
    RESTING = "RESTING", "Waits in the market"
    CANCELLED = "CANCELLED", "Orders cancelled"


class Leg(models.Model):
    """One instruction's way to an order; ``index`` counts the instructions of the decision from 1."""

    turn = models.ForeignKey(Turn, on_delete=models.CASCADE, related_name="legs")
    index = models.PositiveSmallIntegerField()
    instruction = models.JSONField(help_text="Canonical instruction, as parsed.")
    verdict = models.CharField(max_length=9, choices=LegVerdict.choices)
    denial = models.CharField(max_length=300, blank=True, help_text="Code and figures, verbatim.")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, null=True, related_name="legs")
    tape_position = models.PositiveBigIntegerField(
        default=0, help_text="Number of tape events before it took effect; 0 for a hold."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["turn", "index"], name="leg_one_per_index"),
            models.CheckConstraint(
                condition=models.Q(verdict__in=LegVerdict.values), name="leg_verdict_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.turn_id} leg {self.index}"


class Gap(models.Model):
    """A stretch of market time in which no round was played: ``from_at`` included, ``to_at`` excluded."""

    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="gaps")
    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    missed_slots = models.PositiveIntegerField()
    reason = models.CharField(max_length=300)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["competition", "from_at"], name="gap_one_per_start"),
            models.CheckConstraint(
                condition=models.Q(to_at__gt=models.F("from_at")), name="gap_has_length"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.competition_id} {self.from_at.isoformat()}"
