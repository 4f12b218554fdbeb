"""Orders, fills and the postings they make."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from marketdata.fields import ExactDecimalField
from trading.domain.intents import Exits, OrderIntent, Side
from trading.domain.intents import OrderKind as Kind
from trading.domain.intents import TimeInForce as Waits
from trading.fields import MoneyField
from trading.models.accounts import Account
from trading.models.books import Book


class OrderStatus(models.TextChoices):
    DENIED = "DENIED", "Denied"
    SUBMITTING = "SUBMITTING", "Submitting"
    UNKNOWN = "UNKNOWN", "Outcome unknown"
    OPEN = "OPEN", "Open"
    PARTIAL = "PARTIAL", "Partly filled"
    FILLED = "FILLED", "Filled"
    CANCELLED = "CANCELLED", "Cancelled"
    REJECTED = "REJECTED", "Rejected"
    EXPIRED = "EXPIRED", "Expired"


class OrderCause(models.TextChoices):
    INSTRUCTION = "INSTRUCTION", "Instruction"
    EXIT = "EXIT", "Resting exit"
    LIQUIDATION = "LIQUIDATION", "Liquidation"
    BOT = "BOT", "Bot tick"
    OPERATOR = "OPERATOR", "Operator act"
    EXTERNAL = "EXTERNAL", "Booked from outside"
    DRAWDOWN = "DRAWDOWN", "Drawdown rule"


class OrderSide(models.TextChoices):
    BUY = "BUY", "Buy"
    SELL = "SELL", "Sell"


class OrderKind(models.TextChoices):
    MARKET = "MARKET", "Market"
    LIMIT = "LIMIT", "Limit"
    STOP_MARKET = "STOP_MARKET", "Stop market"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET", "Take profit market"
    TRAILING_STOP = "TRAILING_STOP", "Trailing stop"


class TimeInForce(models.TextChoices):
    GTC = "GTC", "Good till cancelled"
    IOC = "IOC", "Immediate or cancel"
    POST_ONLY = "POST_ONLY", "Post only"


class OrderQuerySet(models.QuerySet["Order"]):
    """Orders by what may still happen to them."""

    def unfinished(self) -> OrderQuerySet:
        return self.filter(
            status__in=[
                OrderStatus.SUBMITTING,
                OrderStatus.UNKNOWN,
                OrderStatus.OPEN,
                OrderStatus.PARTIAL,
            ]
        )

    def resting(self) -> OrderQuerySet:
        """Return the orders that wait in the market or for their trigger."""
        waiting = [OrderStatus.OPEN, OrderStatus.PARTIAL]
        return self.filter(status__in=waiting).exclude(kind=OrderKind.MARKET)

    def in_order_of_acceptance(self) -> OrderQuerySet:
        """Sort as the account accepted them, without asking ids, which are random."""
        return self.order_by("tape_position", "market_at", "leg", "client_order_id")

    def denied(self) -> OrderQuerySet:
        return self.filter(status=OrderStatus.DENIED)


OrderManager = models.Manager.from_queryset(OrderQuerySet)


class Order(models.Model):
    """One order, refused ones included; ``client_order_id`` is its name at the venue and makes accepting it idempotent."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="orders")
    client_order_id = models.CharField(max_length=36, unique=True)
    cause = models.CharField(max_length=12, choices=OrderCause.choices)
    turn_key = models.CharField(
        max_length=32,
        blank=True,
        db_index=True,
        help_text="Plain key of the turn behind it, if any.",
    )
    leg = models.PositiveSmallIntegerField(default=0)
    symbol = models.CharField(max_length=32)
    side = models.CharField(max_length=4, choices=OrderSide.choices)
    kind = models.CharField(max_length=20, choices=OrderKind.choices, default=OrderKind.MARKET)
    quantity = ExactDecimalField(
        help_text="Base units, unsigned; 0 when refused before it was sized."
    )
    filled_quantity = ExactDecimalField(default=0)
    limit_price = ExactDecimalField(null=True, blank=True)
    trigger_price = ExactDecimalField(null=True, blank=True)
    callback_rate = ExactDecimalField(
        null=True, blank=True, help_text="Percent that a trailing stop stays behind the best price."
    )
    activation_price = ExactDecimalField(
        null=True, blank=True, help_text="Price from which a trailing stop follows."
    )
    trail_extreme = ExactDecimalField(
        null=True, blank=True, help_text="Best price that a trailing stop has followed to."
    )
    time_in_force = models.CharField(max_length=9, choices=TimeInForce.choices, blank=True)
    reduce_only = models.BooleanField(default=False)
    close_position = models.BooleanField(
        default=False, help_text="Takes all that is held when it triggers."
    )
    leverage = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=10, choices=OrderStatus.choices)
    reserved = MoneyField(default=0, help_text="Margin and fee set aside until the order ends.")
    expected_price = ExactDecimalField(
        null=True, blank=True, help_text="Price at which the risk check counted it."
    )
    stop_loss = ExactDecimalField(
        null=True, blank=True, help_text="Exits that the position gets with the first fill."
    )
    take_profit = ExactDecimalField(null=True, blank=True)
    exit_callback_rate = ExactDecimalField(null=True, blank=True)
    exit_activation_price = ExactDecimalField(null=True, blank=True)
    invalidation = models.CharField(max_length=500, blank=True)
    denial_code = models.CharField(max_length=40, blank=True)
    denial_context = models.JSONField(
        default=dict, blank=True, help_text="Figures of the refusal, decimals as strings."
    )
    checks = models.JSONField(
        default=list, blank=True, help_text="Every rule looked at: rule, limit, value, verdict."
    )
    venue_order_id = models.CharField(max_length=64, blank=True)
    tape_position = models.PositiveBigIntegerField(
        default=0, help_text="Number of tape events before it was accepted or refused."
    )
    market_at = models.DateTimeField(help_text="Market time of acceptance or refusal.")
    created_at = models.DateTimeField(help_text="Wall time.")
    updated_at = models.DateTimeField(help_text="Wall time.")

    objects = OrderManager()

    class Meta:
        indexes = [models.Index(fields=["account", "status"], name="order_account_status")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=OrderStatus.values), name="order_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(side__in=OrderSide.values), name="order_side_known"
            ),
            models.CheckConstraint(
                condition=models.Q(cause__in=OrderCause.values), name="order_cause_known"
            ),
            models.CheckConstraint(
                condition=models.Q(status="DENIED", denial_code__gt="")
                # A stop may be refused when its trigger comes.
                | models.Q(status="REJECTED")
                | (~models.Q(status__in=["DENIED", "REJECTED"]) & models.Q(denial_code="")),
                name="order_denied_has_code",
            ),
            models.CheckConstraint(
                condition=models.Q(time_in_force__in=["", *TimeInForce.values]),
                name="order_time_in_force_known",
            ),
        ]

    def __str__(self) -> str:
        return self.client_order_id

    def intent(self) -> OrderIntent:
        """Return what the order wants, as the engine and the venues take it."""
        return OrderIntent(
            symbol=self.symbol,
            side=Side(self.side),
            quantity=self.quantity,
            leverage=self.leverage,
            reduce_only=self.reduce_only,
            kind=Kind(self.kind),
            exits=Exits(
                self.stop_loss,
                self.take_profit,
                self.invalidation,
                self.exit_callback_rate,
                self.exit_activation_price,
            ),
            limit_price=self.limit_price,
            trigger_price=self.trigger_price,
            callback_rate=self.callback_rate,
            activation_price=self.activation_price,
            time_in_force=Waits(self.time_in_force) if self.time_in_force else None,
            close_position=self.close_position,
        )


class Fill(models.Model):
    """One execution, booked once per trade id of the venue; immutable."""

    append_only: ClassVar[bool] = True

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="fills")
    seq = models.PositiveIntegerField(help_text="Counts the account's fills, from 1.")
    trade_id = models.CharField(max_length=64)
    symbol = models.CharField(max_length=32)
    side = models.CharField(max_length=4, choices=OrderSide.choices)
    quantity = ExactDecimalField()
    price = ExactDecimalField()
    fee = MoneyField()
    realised = MoneyField(help_text="Profit of the closed part, before the fee.")
    is_maker = models.BooleanField(default=False)
    reference_price = ExactDecimalField(
        help_text="Mark of the quote it was filled on; slippage is measured from it."
    )
    tape_position = models.PositiveBigIntegerField(
        help_text="Number of tape events before it took effect."
    )
    by_market = models.BooleanField(
        default=False, help_text="Set off by the market between turns, not by an answer or an act."
    )
    at = models.DateTimeField(help_text="Market time.")
    latency_ms = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Wall milliseconds from the market fact that set it off to its booking; empty in a replay.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "trade_id"], name="fill_one_per_trade_id"),
            models.UniqueConstraint(fields=["account", "seq"], name="fill_one_per_seq"),
        ]

    def __str__(self) -> str:
        return f"{self.order_id} {self.trade_id}"


class HouseAccount(models.TextChoices):
    CAPITAL = "CAPITAL", "Start capital handed out"
    CLEARING = "CLEARING", "Counterparty of realised profit"
    FEES = "FEES", "Fees"
    FUNDING = "FUNDING", "Funding"
    INSURANCE = "INSURANCE", "Insurance"
    ROUNDING = "ROUNDING", "Rounding"


class PostingKind(models.TextChoices):
    DEPOSIT = "DEPOSIT", "Deposit"
    REALISED = "REALISED", "Realised profit"
    FEE = "FEE", "Fee"
    FUNDING = "FUNDING", "Funding"
    CLEARANCE = "CLEARANCE", "Clearance fee"
    INSURANCE = "INSURANCE", "Insurance"
    ROUNDING = "ROUNDING", "Rounding"
    EXTERNAL = "EXTERNAL", "External"


class Posting(models.Model):
    """One signed change of an account's or a house account's money; the lines of one ``cause_id`` sum to zero. Immutable.

    ``cause_id`` names what happened in words of the book alone (``deposit:1``, ``fill:3:17`` for ordinal 3, fill 17), never a row id.
    """

    append_only: ClassVar[bool] = True

    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="postings")
    cause_id = models.CharField(max_length=64)
    line = models.PositiveSmallIntegerField()
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, null=True, blank=True, related_name="postings"
    )
    house = models.CharField(max_length=10, choices=HouseAccount.choices, blank=True)
    kind = models.CharField(max_length=10, choices=PostingKind.choices)
    amount = MoneyField()
    fill = models.ForeignKey(
        Fill, on_delete=models.PROTECT, null=True, blank=True, related_name="postings"
    )
    tape_position = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        help_text="Number of tape events before it, where no fill is behind it.",
    )
    at = models.DateTimeField(help_text="Market time.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "cause_id", "line"], name="posting_one_per_line"
            ),
            models.CheckConstraint(
                condition=models.Q(account__isnull=False, house="")
                | models.Q(account__isnull=True, house__gt=""),
                name="posting_account_or_house",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cause_id}/{self.line}"
