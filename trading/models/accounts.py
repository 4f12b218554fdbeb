"""One participant's money, and how its worth went."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import ClassVar

from django.db import models

from marketdata.fields import ExactDecimalField
from trading.fields import MoneyField
from trading.models.books import Book


class AccountStatus(models.TextChoices):
    ACTIVE = "ACTIVE", "Active"
    LIQUIDATED = "LIQUIDATED", "Liquidated"
    CLOSED = "CLOSED", "Closed"


class Account(models.Model):
    """A participant's money in a book; ``wallet`` always equals the sum of the account's postings."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="accounts")
    ordinal = models.PositiveSmallIntegerField(
        help_text="Place in the roster, from 1; the account's name in digests."
    )
    status = models.CharField(
        max_length=12, choices=AccountStatus.choices, default=AccountStatus.ACTIVE
    )
    wallet = MoneyField(default=Decimal(0))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "ordinal"], name="account_one_per_ordinal"),
            models.CheckConstraint(
                condition=models.Q(ordinal__gte=1), name="account_ordinal_from_1"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=AccountStatus.values), name="account_status_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.book_id}/{self.ordinal}"


class EquityPoint(models.Model):
    """Wallet plus unrealised profit at the mark, at one market time; number 0 is the start."""

    append_only: ClassVar[bool] = True

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="equity_points")
    number = models.PositiveIntegerField(help_text="Round whose close it marks; 0 for the start.")
    at = models.DateTimeField(help_text="Market time of the mark.")
    equity = MoneyField()
    wallet = MoneyField()
    unrealised = MoneyField()
    used_margin = MoneyField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "number"], name="equitypoint_one_per_number")
        ]
        indexes = [models.Index(fields=["account", "at"], name="equitypoint_account_at")]

    def __str__(self) -> str:
        return f"{self.account_id} #{self.number}"


class RollupSpan(models.TextChoices):
    HOUR = "HOUR", "Hour"
    DAY = "DAY", "Day"


class EquityRollup(models.Model):
    """First, lowest, highest and last equity of an account in one hour or day; a projection of the equity points."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="equity_rollups")
    span = models.CharField(max_length=4, choices=RollupSpan.choices)
    start_at = models.DateTimeField()
    first = MoneyField()
    low = MoneyField()
    high = MoneyField()
    last = MoneyField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "span", "start_at"], name="equityrollup_one_per_bucket"
            )
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.span} {self.start_at.isoformat()}"


class Standing(models.Model):
    """An account's latest figures; a projection of postings, fills and the tape, written with each equity point."""

    account = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="standing")
    number = models.PositiveIntegerField(default=0)
    at = models.DateTimeField()
    start_capital = MoneyField()
    equity = MoneyField()
    wallet = MoneyField()
    unrealised = MoneyField(default=Decimal(0))
    used_margin = MoneyField(default=Decimal(0))
    exposure = MoneyField(
        default=Decimal(0), help_text="Signed notional at the mark, summed over positions."
    )
    gross_exposure = MoneyField(
        default=Decimal(0), help_text="Unsigned notional at the mark, summed over positions."
    )
    peak = MoneyField()
    max_drawdown = ExactDecimalField(
        default=Decimal(0),
        help_text="Largest fall from a peak so far, as a fraction of it (0 to 1).",
    )
    realised = MoneyField(default=Decimal(0))
    fees = MoneyField(default=Decimal(0))
    funding = MoneyField(default=Decimal(0))
    fills = models.PositiveIntegerField(default=0)
    trades = models.PositiveIntegerField(default=0, help_text="Positions closed in full.")
    wins = models.PositiveIntegerField(
        default=0, help_text="Closed positions with a profit after fees."
    )
    denials = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"standing of {self.account_id}"
