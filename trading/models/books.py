"""A competition's trading side: its book, its tape, its operator acts."""

from __future__ import annotations

import secrets
import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone

from marketdata.models import Blob
from trading.domain.rules import BookRules

CODE_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


class Venue(models.TextChoices):
    PAPER = "paper", "Paper"
    BINANCE_DEMO = "binance-demo", "Binance futures demo"
    BINANCE_LIVE = "binance-live", "Binance futures, real money"


class BookState(models.TextChoices):
    RUNNING = "RUNNING", "Running"
    PAUSED = "PAUSED", "Paused"
    REDUCING = "REDUCING", "Reducing only"
    HALTED = "HALTED", "Halted"
    ENDED = "ENDED", "Ended"


def new_code() -> str:
    """Return eight random characters that are easy to read aloud."""
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(8))


class BookQuerySet(models.QuerySet["Book"]):
    """Books by state."""

    def running(self) -> BookQuerySet:
        return self.filter(state=BookState.RUNNING)


BookManager = models.Manager.from_queryset(BookQuerySet)


class Book(models.Model):
    """Venue, frozen rules, state and epoch; no exposure may grow unless ``state`` is RUNNING in the order's own transaction.

    ``rules`` is the canonical JSON of :class:`trading.domain.rules.BookRules`. The house accounts (capital, clearing, fees, funding,
    insurance, rounding) store no balance: they are sums over postings.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    code = models.CharField(max_length=8, unique=True, default=new_code, editable=False)
    venue = models.CharField(max_length=16, choices=Venue.choices, default=Venue.PAPER)
    state = models.CharField(max_length=8, choices=BookState.choices, default=BookState.RUNNING)
    epoch = models.PositiveIntegerField(default=0, help_text="Grows with every change of state.")
    rules = models.TextField(help_text="Canonical JSON, frozen.")
    tape_position = models.PositiveBigIntegerField(
        default=0, help_text="Number of tape events so far."
    )
    tape_segments = models.PositiveIntegerField(default=0)
    acts = models.PositiveIntegerField(default=0)
    advanced_to = models.DateTimeField(
        null=True, blank=True, help_text="Market time up to which the accounts were acted on."
    )
    funded_at = models.JSONField(
        default=dict, blank=True, help_text="Last funding stamp settled, by symbol, ISO 8601."
    )
    created_at = models.DateTimeField(default=timezone.now, help_text="Wall time.")

    objects = BookManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(venue__in=Venue.values), name="book_venue_known"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=BookState.values), name="book_state_known"
            ),
        ]

    def __str__(self) -> str:
        return self.code

    def frozen_rules(self) -> BookRules:
        """Return the rules as the engine wants them."""
        return BookRules.from_json(self.rules)


class TapeSegment(models.Model):
    """Consecutive market events that the engine consumed: ``count`` of them from ``first_position`` on, one JSON list a line."""

    append_only: ClassVar[bool] = True

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="tape")
    seq = models.PositiveIntegerField()
    first_position = models.PositiveBigIntegerField()
    count = models.PositiveIntegerField()
    body = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(help_text="Wall time.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "seq"], name="tapesegment_one_per_seq"),
            models.UniqueConstraint(
                fields=["book", "first_position"], name="tapesegment_one_per_position"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.book_id} #{self.seq}"


class ActKind(models.TextChoices):
    START = "START", "Start"
    PAUSE = "PAUSE", "Pause"
    RESUME = "RESUME", "Resume"
    STOP = "STOP", "Stop"
    FINISH = "FINISH", "Finish"
    HALT = "HALT", "Halt"
    EMERGENCY_CLOSE = "EMERGENCY_CLOSE", "Emergency close"


class OperatorAct(models.Model):
    """What an operator (or the system) did to a book, and the tape position at which it took effect."""

    append_only: ClassVar[bool] = True

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="operator_acts")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=ActKind.choices)
    actor = models.CharField(max_length=150)
    reason = models.CharField(max_length=300, blank=True)
    after_round = models.PositiveIntegerField(
        default=0, help_text="Number of the last round that was opened before the act."
    )
    tape_position = models.PositiveBigIntegerField()
    market_at = models.DateTimeField(help_text="Market time.")
    at = models.DateTimeField(help_text="Wall time.")
    digest = models.CharField(
        max_length=64,
        blank=True,
        help_text="Over the fills and postings of the act; empty when it moved nothing.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "seq"], name="operatoract_one_per_seq")
        ]

    def __str__(self) -> str:
        return f"{self.book_id} {self.seq} {self.kind}"
