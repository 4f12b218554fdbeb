"""Holdings, each from flat to flat."""

from __future__ import annotations

from decimal import Decimal

from django.db import models

from marketdata.fields import ExactDecimalField
from trading.fields import MoneyField
from trading.models.accounts import Account


class PositionStatus(models.TextChoices):
    OPEN = "OPEN", "Open"
    CLOSED = "CLOSED", "Closed"


class PositionQuerySet(models.QuerySet["Position"]):
    """Positions by status."""

    def open(self) -> PositionQuerySet:
        return self.filter(status=PositionStatus.OPEN)

    def closed(self) -> PositionQuerySet:
        return self.filter(status=PositionStatus.CLOSED)


PositionManager = models.Manager.from_queryset(PositionQuerySet)


class Position(models.Model):
    """One holding of a symbol from flat to flat; ``quantity`` is the signed sum of its fills, at most one is open per symbol."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="positions")
    symbol = models.CharField(max_length=32)
    seq = models.PositiveIntegerField(help_text="Counts the account's holdings, from 1.")
    status = models.CharField(
        max_length=6, choices=PositionStatus.choices, default=PositionStatus.OPEN
    )
    is_long = models.BooleanField()
    quantity = ExactDecimalField(help_text="Signed: long above zero, short below; 0 once closed.")
    entry_cost = MoneyField(
        help_text="What the open part cost, unsigned: quantity times average entry."
    )
    leverage = models.PositiveSmallIntegerField()
    entered_quantity = ExactDecimalField(help_text="Unsigned sum of all entries.")
    entered_cost = MoneyField()
    exited_quantity = ExactDecimalField(default=Decimal(0), help_text="Unsigned sum of all exits.")
    exited_proceeds = MoneyField(default=Decimal(0))
    realised = MoneyField(default=Decimal(0), help_text="Before fees and funding.")
    fees = MoneyField(default=Decimal(0))
    funding = MoneyField(default=Decimal(0))
    stop_loss = ExactDecimalField(null=True, blank=True)
    take_profit = ExactDecimalField(null=True, blank=True)
    callback_rate = ExactDecimalField(
        null=True,
        blank=True,
        help_text="Percent that the trailing exit stays behind the best price.",
    )
    activation_price = ExactDecimalField(
        null=True, blank=True, help_text="Price from which the trailing exit follows."
    )
    trail_extreme = ExactDecimalField(
        null=True, blank=True, help_text="Best price that the trailing exit has followed to."
    )
    invalidation = models.CharField(max_length=500, blank=True)
    opened_at = models.DateTimeField(help_text="Market time.")
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = PositionManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "seq"], name="position_one_per_seq"),
            models.UniqueConstraint(
                fields=["account", "symbol"],
                condition=models.Q(status="OPEN"),
                name="position_one_open_per_symbol",
            ),
            models.CheckConstraint(
                condition=models.Q(leverage__gte=1), name="position_leverage_at_least_1"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=PositionStatus.values), name="position_status_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.symbol} {self.seq}"

    @property
    def average_entry(self) -> Decimal | None:
        """Return the average price of all entries of this holding, None before the first."""
        return self.entered_cost / self.entered_quantity if self.entered_quantity else None

    @property
    def average_exit(self) -> Decimal | None:
        """Return the average price of all exits so far, None before the first."""
        return self.exited_proceeds / self.exited_quantity if self.exited_quantity else None
