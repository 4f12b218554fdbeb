"""Competitions: their rules, and where they stand."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

from marketdata.fields import ExactDecimalField
from marketdata.models import Feed, Instrument
from trading.domain.money import MONEY_CAP
from trading.fields import MoneyField
from trading.models import Book
from trading.models.books import Venue

MAX_INTERVAL_SECONDS = 30 * 24 * 3600
MAX_ROUNDS = 1_000_000
MAX_PLACES = 1000
MIN_CAPITAL = Decimal("0.01")


class CompetitionStatus(models.TextChoices):
    DRAFT = "DRAFT", "Draft"
    SCHEDULED = "SCHEDULED", "Scheduled"
    RUNNING = "RUNNING", "Running"
    PAUSED = "PAUSED", "Paused"
    FINISHED = "FINISHED", "Finished"
    STOPPED = "STOPPED", "Stopped"
    FAILED = "FAILED", "Failed"


class Visibility(models.TextChoices):
    PUBLIC = "PUBLIC", "Public"
    UNLISTED = "UNLISTED", "Unlisted"
    PRIVATE = "PRIVATE", "Private"


class ClockKind(models.TextChoices):
    WALL = "WALL", "Wall clock: slots are times of today"
    DATA = "DATA", "The data's clock: slots are times of the replayed period"


class FillRule(models.TextChoices):
    ARRIVAL = "arrival", "First quote after the answer"
    SNAPSHOT = "snapshot", "The snapshot's quote, for all"
    NEXT_BAR = "next_bar", "Open of the bar that starts at the slot"


class MarginModel(models.TextChoices):
    PERPETUAL = "perpetual", "Perpetual futures"
    CFD = "cfd", "Contracts for difference"


class MarginMode(models.TextChoices):
    CROSS = "cross", "Cross: the whole account backs every position"
    ISOLATED = "isolated", "Isolated: each position is backed by its own margin alone"


class StopOutBasis(models.TextChoices):
    OPEN = "open", "What the open part of the position cost"
    MARK = "mark", "What the position is worth now"


# What a new season is offered with. The columns' own defaults are those of seasons from before, whose rules must not change.
OFFERED = {"acts_between_rounds": True, "resting_orders": True}


class CompetitionQuerySet(models.QuerySet["Competition"]):
    """Competitions by state and by who may see them."""

    def public(self) -> CompetitionQuerySet:
        return self.filter(visibility=Visibility.PUBLIC).exclude(status=CompetitionStatus.DRAFT)

    def running(self) -> CompetitionQuerySet:
        return self.filter(status=CompetitionStatus.RUNNING)

    def due(self, now: datetime) -> CompetitionQuerySet:
        """Return running competitions whose next slot has come by wall time, those nobody else drives; and starts that are due."""
        return self.filter(
            models.Q(status=CompetitionStatus.RUNNING, next_due_at__lte=now)
            | models.Q(status=CompetitionStatus.SCHEDULED, starts_at__lte=now, clock=ClockKind.WALL)
        )


CompetitionManager = models.Manager.from_queryset(CompetitionQuerySet)


class Competition(models.Model):
    """A season: rules, roster, feed and venue; everything in ``contract`` is frozen and hashed at the start.

    Two times: *market time* (``starts_at``, ``ends_at``, slots) is wall time for the WALL clock and the data's own for the DATA clock;
    *wall time* (``next_due_at``, ``started_at``, deadlines, leases) rules when work is done.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(
        max_length=80,
        unique=True,
        help_text="Its address: /c/SLUG/. Small letters, digits and hyphens, for example autumn-2026.",
    )
    name = models.CharField(
        max_length=120, help_text="As pages show it, for example Autumn season. Models are told it."
    )
    description = models.TextField(
        blank=True, help_text="A few sentences for spectators, shown on its page; may be empty."
    )
    status = models.CharField(
        max_length=10,
        choices=CompetitionStatus.choices,
        default=CompetitionStatus.DRAFT,
        editable=False,
        help_text="Where the season stands; buttons change it, not this form.",
    )
    visibility = models.CharField(
        max_length=8,
        choices=Visibility.choices,
        default=Visibility.PUBLIC,
        help_text="Public: listed on the first page. Unlisted: open to whoever has the address. Private: only after signing in. "
        "A draft is never listed.",
    )

    feed = models.ForeignKey(
        Feed,
        on_delete=models.PROTECT,
        related_name="competitions",
        help_text="Where prices come from. A replay needs the data's clock, Binance the wall clock.",
    )
    clock = models.CharField(
        max_length=4,
        choices=ClockKind.choices,
        default=ClockKind.WALL,
        help_text="Whose time the rounds follow: today's, or that of the replayed candles.",
    )
    venue = models.CharField(
        max_length=16,
        choices=Venue.choices,
        default=Venue.PAPER,
        help_text="Where orders go. Paper risks no money.",
    )
    instruments = models.ManyToManyField(
        Instrument,
        related_name="competitions",
        help_text="What may be traded, at least one. Only enabled ones count, each must be settled in the asset below.",
    )
    timeframes = models.JSONField(
        default=list,
        blank=True,
        help_text='Candles shown to agents, for example ["1m", "15m"]; the first is the base.',
    )
    candle_count = models.PositiveSmallIntegerField(
        "candles of each length",
        default=60,
        validators=[MinValueValidator(10), MaxValueValidator(250)],
        help_text="How many candles of each length agents see, 10 to 250. More of them make longer, dearer prompts.",
    )

    starts_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="UTC. When the first round is; empty for the next slot after the start, in a replay for the earliest possible. "
        "On the data's clock it is a time of the data.",
    )
    ends_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="UTC. No round at or after it is played; empty for no end, in a replay for the end of the data.",
    )
    max_rounds = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_ROUNDS)],
        help_text="The season ends after so many rounds, for example 200; empty for no limit.",
    )
    max_participants = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_PLACES)],
        help_text="How many may register by the API; empty for no limit. Those entered below are not limited.",
    )
    interval_seconds = models.PositiveIntegerField(
        "interval (seconds)",
        default=900,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_INTERVAL_SECONDS)],
        help_text="Seconds from one round to the next, for example 900 for a quarter of an hour. Each round asks every model once.",
    )
    deadline_seconds = models.PositiveIntegerField(
        "deadline (seconds)",
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_INTERVAL_SECONDS)],
        help_text="Seconds that participants have to answer, for example 60; later answers do not trade. On the wall clock at most "
        "the interval.",
    )
    pace_seconds = ExactDecimalField(
        "pace (seconds)",
        default=Decimal(0),
        help_text="Data's clock only: seconds of real time between rounds, for example 2; 0 for as fast as it goes.",
    )

    initial_capital = MoneyField(
        default=Decimal(10000),
        validators=[MinValueValidator(MIN_CAPITAL), MaxValueValidator(MONEY_CAP)],
        help_text="What each participant starts with, in the settlement asset, for example 10000; above 0, at most 1,000,000,000.",
    )
    settlement_asset = models.CharField(
        max_length=16,
        default="USDT",
        help_text="The currency of all accounts, for example USDT; every instrument must be quoted in it.",
    )
    margin_model = models.CharField(
        max_length=10,
        choices=MarginModel.choices,
        default=MarginModel.PERPETUAL,
        help_text="Perpetual futures as on Binance, or contracts for difference with the two percentages below.",
    )
    fill_rule = models.CharField(
        max_length=8,
        choices=FillRule.choices,
        default=FillRule.ARRIVAL,
        help_text="At which price orders are filled. The first quote after the answer needs the wall clock, the open of the bar needs "
        "the data's.",
    )
    fee_bps_taker = ExactDecimalField(
        "taker fee (bps)",
        default=Decimal(5),
        help_text="Fee of an order that trades at once, in hundredths of a percent of its value: 5 is 0.05 %. 0 to 1000; 0 for none.",
    )
    fee_bps_maker = ExactDecimalField(
        "maker fee (bps)",
        default=Decimal(2),
        help_text="Fee of an order that waited in the book, in hundredths of a percent: 2 is 0.02 %. Negative is a rebate; "
        "-1000 to 1000.",
    )
    slippage_bps = ExactDecimalField(
        "slippage (bps)",
        default=Decimal(1),
        help_text="How much worse than the quoted price orders are filled, in hundredths of a percent: 1 is 0.01 %. 0 to 1000; "
        "0 for none.",
    )
    max_leverage = models.PositiveSmallIntegerField(
        "highest leverage",
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(150)],
        help_text="Highest leverage of a position, 1 to 150: with 10, a position of 1000 takes 100 of margin. An instrument's own limit "
        "counts where it is lower.",
    )
    max_position_size_pct = ExactDecimalField(
        "largest position (% of equity)",
        default=Decimal(30),
        help_text="Highest margin of one position, in percent of equity, for example 30; above 0, at most 100.",
    )
    max_open_positions = models.PositiveSmallIntegerField(
        default=6,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_PLACES)],
        help_text="How many positions a participant may hold at once, for example 6.",
    )
    max_margin_usage_pct = ExactDecimalField(
        "largest margin in use (% of equity)",
        default=Decimal(80),
        help_text="Highest margin of all positions together, in percent of equity, for example 80; above 0, at most 100.",
    )
    margin_buffer = ExactDecimalField(
        default=Decimal(1),
        help_text="An order must leave room for this many times its margin: 1 for just enough, 1.2 for a fifth to spare.",
    )
    margin_requirement_pct = ExactDecimalField(
        "margin to open (%, CFD)",
        default=Decimal(10),
        help_text="Contracts for difference only: margin to open, in percent of the position's value; above 0, at most 100.",
    )
    maintenance_margin_pct = ExactDecimalField(
        "margin to keep (%, CFD)",
        default=Decimal(5),
        help_text="Contracts for difference only: below this percentage positions are closed by force; above 0, at most the one to open.",
    )
    acts_between_rounds = models.BooleanField(
        "positions are watched between rounds",
        default=False,
        help_text="Whether accounts are liquidated when they no longer cover their positions. Without it nothing happens between "
        "rounds, and neither margin tiers nor the fields on liquidation count.",
    )
    resting_orders = models.BooleanField(
        "orders and exits rest in the book",
        default=False,
        help_text="Whether stops, targets and limit orders execute between rounds. Without it they are a plan on record.",
    )
    margin_mode = models.CharField(
        max_length=8,
        choices=MarginMode.choices,
        default=MarginMode.CROSS,
        help_text="What backs a perpetual: with isolated margin a liquidation takes no more than the position's own. Contracts for "
        "difference are always cross.",
    )
    stop_out_basis = models.CharField(
        "margin of a CFD is counted on",
        max_length=4,
        choices=StopOutBasis.choices,
        default=StopOutBasis.MARK,
        help_text="Contracts for difference only: the value of which the two margin percentages are taken.",
    )
    clearance_fee_bps = ExactDecimalField(
        "clearance fee (bps)",
        default=Decimal(0),
        help_text="Perpetuals only: taken of what is liquidated and paid to the insurance, in hundredths of a percent: 125 is 1.25 %. "
        "0 to 1000; 0 for none.",
    )
    leverage_limits = models.JSONField(
        "highest leverage of single symbols",
        default=dict,
        blank=True,
        help_text='Lower limits by symbol, for example {"BTCUSDT": 20, "DOGEUSDT": 5}; none may be above the highest leverage. '
        "Empty for none.",
    )
    max_decisions_per_hour = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3600)],
        help_text="In how many rounds of an hour a participant may open or add, for example 4; 1 to 3600, empty for no limit. Closing "
        "and reducing are never limited.",
    )
    drawdown_warn_pct = ExactDecimalField(
        "drawdown: warn at (%)",
        null=True,
        blank=True,
        help_text="From this fall below its highest equity a participant is warned, for example 10; empty for never.",
    )
    drawdown_stop_pct = ExactDecimalField(
        "drawdown: open nothing from (%)",
        null=True,
        blank=True,
        help_text="From this fall it may open and add nothing, for example 20; above the warning, empty for never.",
    )
    drawdown_close_pct = ExactDecimalField(
        "drawdown: close everything at (%)",
        null=True,
        blank=True,
        help_text="At this fall all it holds is closed, for example 30; above the others, empty for never. Positions must be watched "
        "between rounds.",
    )
    overnight_bps_long = ExactDecimalField(
        "overnight rate of a long (bps)",
        default=Decimal(0),
        help_text="Contracts for difference only: what a long pays each night of its value, in hundredths of a percent: 0.8 is "
        "0.008 %. Negative when it receives; -1000 to 1000, 0 for none.",
    )
    overnight_bps_short = ExactDecimalField(
        "overnight rate of a short (bps)",
        default=Decimal(0),
        help_text="The same for a short.",
    )
    overnight_hour_utc = models.PositiveSmallIntegerField(
        "night ends at (hour, UTC)",
        default=21,
        validators=[MaxValueValidator(23)],
        help_text="Hour at which the night is charged, 0 to 23. 21 is 17:00 in New York in summer; it does not move with daylight "
        "saving.",
    )
    allow_short = models.BooleanField(
        "short positions allowed",
        default=True,
        help_text="Whether participants may bet on falling prices.",
    )
    allow_pyramiding = models.BooleanField(
        "adding to positions allowed",
        default=True,
        help_text="Whether participants may add to a position that they hold.",
    )
    seed = models.PositiveBigIntegerField(
        default=1,
        help_text="A whole number that the random baseline draws from: the same number, the same draws.",
    )

    duplicated_from = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="duplicates",
        help_text="The season whose rules and roster it took over.",
    )

    # Frozen at the start.
    book = models.OneToOneField(
        Book,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="competition",
    )
    contract = models.TextField(blank=True, editable=False, help_text="Canonical JSON.")
    contract_hash = models.CharField(
        max_length=64,
        blank=True,
        editable=False,
        help_text="sha256 of the frozen contract: two seasons with the same hash had the same terms.",
    )

    # Running figures; written under the competition's row lock.
    round_count = models.PositiveIntegerField(
        default=0, editable=False, help_text="Rounds opened, extra ones too."
    )
    extra_count = models.PositiveIntegerField(
        default=0, editable=False, help_text="Extra rounds opened, beside the schedule."
    )
    last_slot_at = models.DateTimeField(
        null=True, editable=False, help_text="Market time of the last slot opened."
    )
    market_at = models.DateTimeField(null=True, editable=False, help_text="Market time reached.")
    next_due_at = models.DateTimeField(
        null=True,
        editable=False,
        db_index=True,
        help_text="Wall time at which the next slot is looked at.",
    )
    event_seq = models.PositiveBigIntegerField(default=0, editable=False)
    season_digest = models.CharField(max_length=64, blank=True, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)
    stop_reason = models.CharField(max_length=300, blank=True, editable=False)
    pause_after_round = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CompetitionManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=CompetitionStatus.values),
                name="competition_status_known",
            ),
            models.CheckConstraint(
                condition=models.Q(clock__in=ClockKind.values), name="competition_clock_known"
            ),
            models.CheckConstraint(
                condition=models.Q(fill_rule__in=FillRule.values),
                name="competition_fill_rule_known",
            ),
            models.CheckConstraint(
                condition=models.Q(margin_mode__in=MarginMode.values),
                name="competition_margin_mode_known",
            ),
            models.CheckConstraint(
                condition=models.Q(stop_out_basis__in=StopOutBasis.values),
                name="competition_stop_out_basis_known",
            ),
            models.CheckConstraint(
                condition=models.Q(interval_seconds__gte=1), name="competition_interval_at_least_1"
            ),
            models.CheckConstraint(
                condition=models.Q(ends_at__isnull=True)
                | models.Q(starts_at__isnull=True)
                | models.Q(ends_at__gt=models.F("starts_at")),
                name="competition_ends_after_start",
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    def get_absolute_url(self) -> str:
        return reverse("competition", args=[self.slug])

    @property
    def opened_book(self) -> Book:
        """Return the book of a started season; raise ValueError before the start."""
        if self.book is None:
            raise ValueError(f"{self.slug} has not started, it has no book yet")
        return self.book

    @property
    def scheduled_count(self) -> int:
        """Return how many rounds of the schedule were opened."""
        return self.round_count - self.extra_count

    @property
    def is_over(self) -> bool:
        return self.status in {
            CompetitionStatus.FINISHED,
            CompetitionStatus.STOPPED,
            CompetitionStatus.FAILED,
        }

    @property
    def has_started(self) -> bool:
        return self.started_at is not None
