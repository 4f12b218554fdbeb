"""What viewers are told, what auditors can check, and who is at work."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from competitions.models.competitions import Competition


class EventKind(models.TextChoices):
    STATE = "state", "State"
    ROUND_START = "round_start", "Round started"
    TURN_SETTLED = "turn_settled", "Turn settled"
    ORDER_FILLED = "order_filled", "Order filled"
    POSITION_CLOSED = "position_closed", "Position closed"
    LIQUIDATION = "liquidation", "Liquidation"
    ROUND_COMPLETE = "round_complete", "Round complete"
    COMPETITION_STARTED = "competition_started", "Competition started"
    COMPETITION_PAUSED = "competition_paused", "Competition paused"
    COMPETITION_RESUMED = "competition_resumed", "Competition resumed"
    COMPETITION_STOPPED = "competition_stopped", "Competition stopped"
    COMPETITION_FINISHED = "competition_finished", "Competition finished"
    ERROR = "error", "Error"


class Event(models.Model):
    """One thing that viewers are told, in order: ``seq`` is dense per competition."""

    competition = models.ForeignKey(Competition, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=24, choices=EventKind.choices)
    payload = models.JSONField(default=dict, help_text="Decimals as strings, times ISO 8601.")
    at = models.DateTimeField(help_text="Wall time.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["competition", "seq"], name="event_one_per_seq")
        ]

    def __str__(self) -> str:
        return f"{self.competition_id} {self.seq} {self.kind}"


class AuditEvent(models.Model):
    """What operators and the system did; each row's hash covers the one before, so that no row can be changed unnoticed."""

    append_only: ClassVar[bool] = True

    seq = models.PositiveBigIntegerField(unique=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200)
    detail = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.seq} {self.action}"


class Lease(models.Model):
    """Who may drive something (a competition's rounds, a book's feed) until when; taken by conditional update."""

    name = models.CharField(max_length=80, unique=True)
    holder = models.CharField(max_length=120, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """The last sign of life of a part of the arena, written at the end of its work."""

    name = models.CharField(max_length=60, unique=True)
    at = models.DateTimeField()
    note = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.name


class SeasonCheck(models.Model):
    """How the latest check of a season against its records went; the checker's own notes, no record of the season."""

    competition = models.OneToOneField(
        Competition, on_delete=models.CASCADE, related_name="check_state"
    )
    checked_at = models.DateTimeField(help_text="Wall time of the latest check.")
    due_at = models.DateTimeField(help_text="Wall time at which the next one is made.")
    full_due_at = models.DateTimeField(
        help_text="Wall time from which on the next one is of the whole season."
    )
    rounds = models.PositiveIntegerField(default=0, help_text="Rounds that were found in order.")
    problems = models.PositiveIntegerField(
        default=0, help_text="Differences found; 0 when all agrees."
    )
    first_problem = models.CharField(max_length=300, blank=True)
    is_full = models.BooleanField(
        default=False, help_text="Whether the problems are those of a check of the whole season."
    )
    failing_since = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"check of {self.competition_id}"
