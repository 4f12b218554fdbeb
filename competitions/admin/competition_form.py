"""What is asked of a competition; a mistake is told at the field where it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone

from agents.admin.forms import JsonObjectField
from competitions.domain.offer import offer_problems
from competitions.models import Competition
from competitions.models.competitions import OFFERED, ClockKind, FillRule
from competitions.selectors.readiness import CLOCKS
from marketdata.domain.canonical import canonical_decimal
from marketdata.domain.facts import Timeframe
from marketdata.feeds import FeedError, open_feed
from marketdata.models import Instrument
from marketdata.models.feeds import FeedKind
from trading.models.books import Venue

FIELDSETS: Any = (
    (
        None,
        {
            "fields": ("name", "slug", "description", "visibility", "max_participants"),
            "description": "What the season is called and who may see it. Until it starts, everything here can be changed; "
            "the start freezes all of it and shows it first.",
        },
    ),
    (
        "Market",
        {
            "fields": ("feed", "venue", "instruments", "timeframes", "candle_count"),
            "description": "Where prices come from and what may be traded. All participants see the same.",
        },
    ),
    (
        "Schedule",
        {
            "fields": (
                "clock",
                "starts_at",
                "ends_at",
                "max_rounds",
                "interval_seconds",
                "deadline_seconds",
                "pace_seconds",
            ),
            "description": "When rounds are. Each round shows everybody one snapshot of the market and asks for a decision.",
        },
    ),
    (
        "Money and fills",
        {
            "fields": (
                "initial_capital",
                "settlement_asset",
                "margin_model",
                "fill_rule",
                "fee_bps_taker",
                "fee_bps_maker",
                "slippage_bps",
            ),
            "description": "What participants start with, and what trading costs them.",
        },
    ),
    (
        "Limits",
        {
            "fields": (
                "max_leverage",
                "leverage_limits",
                "max_position_size_pct",
                "max_open_positions",
                "max_margin_usage_pct",
                "margin_buffer",
                "max_decisions_per_hour",
                "allow_short",
                "allow_pyramiding",
                "seed",
            ),
            "description": "What an order may not pass. An order beyond them is denied, with its figures on record.",
        },
    ),
    (
        "Between rounds",
        {
            "fields": (
                "acts_between_rounds",
                "resting_orders",
                "margin_mode",
                "clearance_fee_bps",
            ),
            "description": "What happens to an account while nobody is asked. Perpetuals are held against the margin tiers of their "
            "instruments: the table stored last, else the arena's own, else one tier made of the highest leverage. The rules page "
            "shows them.",
        },
    ),
    (
        "Drawdown",
        {
            "fields": ("drawdown_warn_pct", "drawdown_stop_pct", "drawdown_close_pct"),
            "description": "What happens to a participant who has lost much of the most it ever had, in percent of that.",
        },
    ),
    (
        "Contracts for difference",
        {
            "fields": (
                "margin_requirement_pct",
                "maintenance_margin_pct",
                "stop_out_basis",
                "overnight_bps_long",
                "overnight_bps_short",
                "overnight_hour_utc",
            ),
            "description": "Counts only where the margin model above is contracts for difference.",
        },
    ),
    (
        "State",
        {
            "fields": (
                "status",
                "round_count",
                "duplicated_from",
                "started_at",
                "finished_at",
                "stop_reason",
                "contract_hash",
                "contract_terms",
                "season_digest",
            ),
            "description": "Written by the season itself.",
        },
    ),
)
# Lowest and highest value of each figure; the lowest of those in ABOVE is itself refused.
RANGES: Mapping[str, tuple[int, int]] = {
    "pace_seconds": (0, 86_400),
    "fee_bps_taker": (0, 1000),
    "fee_bps_maker": (-1000, 1000),
    "slippage_bps": (0, 1000),
    "clearance_fee_bps": (0, 1000),
    "overnight_bps_long": (-1000, 1000),
    "overnight_bps_short": (-1000, 1000),
    "max_position_size_pct": (0, 100),
    "max_margin_usage_pct": (0, 100),
    "margin_requirement_pct": (0, 100),
    "maintenance_margin_pct": (0, 100),
    "margin_buffer": (1, 100),
}
ABOVE = {
    "max_position_size_pct",
    "max_margin_usage_pct",
    "margin_requirement_pct",
    "maintenance_margin_pct",
}


class CompetitionForm(forms.ModelForm[Competition]):
    """Refuses a mistake at the field where it was made."""

    timeframes = forms.MultipleChoiceField(
        choices=[(item.value, item.value) for item in Timeframe],
        initial=("1m", "15m"),
        widget=forms.CheckboxSelectMultiple,
        help_text="Lengths of the candles shown to agents, at least one; 1m is a minute. A replay begins where the shortest has had "
        "its warm-up.",
        error_messages={"required": "at least one timeframe is wanted, found none"},
    )

    leverage_limits = JsonObjectField(
        required=False,
        example='{"BTCUSDT": 5}',
        help_text=Competition._meta.get_field("leverage_limits").help_text,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Stored to eight decimals, read without them.
        capital = self.initial.get("initial_capital")
        if isinstance(capital, Decimal):
            self.initial["initial_capital"] = canonical_decimal(capital)
        if self.instance._state.adding:
            self.initial = {**OFFERED, **self.initial}

    def clean_timeframes(self) -> list[str]:
        """Keep the order of a season that was set up by program: its first timeframe is the base."""
        chosen: list[str] = self.cleaned_data["timeframes"]
        kept: list[str] = self.instance.timeframes
        return kept if sorted(kept) == sorted(chosen) else chosen

    def clean(self) -> dict[str, Any]:
        """Look at what the fields say together."""
        cleaned = super().clean() or self.cleaned_data
        self._clean_ranges(cleaned)
        self._clean_times(cleaned)
        self._clean_deadline(cleaned)
        self._clean_clock(cleaned)
        self._clean_market(cleaned)
        symbols = [row.symbol for row in cleaned.get("instruments") or () if row.is_enabled]
        for name, words in offer_problems(cleaned, symbols):
            self.add_error(name, words)
        return cleaned

    def _clean_ranges(self, cleaned: Mapping[str, Any]) -> None:
        for name, (least, most) in RANGES.items():
            value = cleaned.get(name)
            if value is None:
                continue
            if name in ABOVE and not least < value <= most:
                self.add_error(name, f"must be above {least} and at most {most}, was {value}")
            elif name not in ABOVE and not least <= value <= most:
                self.add_error(name, f"must be between {least} and {most}, was {value}")
        opening, keeping = (
            cleaned.get(name) for name in ("margin_requirement_pct", "maintenance_margin_pct")
        )
        if opening and keeping and 0 < opening < keeping <= Decimal(100):
            self.add_error(
                "maintenance_margin_pct",
                f"must be at most the margin to open ({opening} %), was {keeping} %",
            )

    def _clean_times(self, cleaned: Mapping[str, Any]) -> None:
        starts_at, ends_at = cleaned.get("starts_at"), cleaned.get("ends_at")
        if starts_at and ends_at and ends_at <= starts_at:
            found = f"{ends_at:%Y-%m-%d %H:%M} with a start of {starts_at:%Y-%m-%d %H:%M} UTC"
            self.add_error("ends_at", f"the end must be after the start, was {found}")
        now = timezone.now()
        if cleaned.get("clock") != ClockKind.WALL:
            return
        for name, empty in (("starts_at", "the next slot"), ("ends_at", "no end")):
            value = cleaned.get(name)
            if value and value <= now:
                self.add_error(
                    name,
                    f"must be after now ({now:%Y-%m-%d %H:%M} UTC), was {value:%Y-%m-%d %H:%M} UTC; empty for {empty}",
                )

    def _clean_deadline(self, cleaned: Mapping[str, Any]) -> None:
        interval, deadline = cleaned.get("interval_seconds"), cleaned.get("deadline_seconds")
        on_wall = cleaned.get("clock") == ClockKind.WALL
        if on_wall and interval and deadline and deadline > interval:
            self.add_error(
                "deadline_seconds",
                f"the deadline must not be longer than the interval ({interval} s), was {deadline} s",
            )

    def _clean_clock(self, cleaned: Mapping[str, Any]) -> None:
        feed, clock, rule = cleaned.get("feed"), cleaned.get("clock"), cleaned.get("fill_rule")
        if feed is None or not clock:
            return
        wanted = CLOCKS[FeedKind(feed.kind)]
        if ClockKind(clock) not in wanted:
            names = " or ".join(sorted(wanted))
            self.add_error("clock", f"a {feed.kind} feed runs on the {names} clock, was {clock}")
        if clock == ClockKind.WALL and rule == FillRule.NEXT_BAR:
            self.add_error(
                "fill_rule",
                "next_bar needs the data's clock: on the wall clock the next bar is not known yet",
            )
        if clock == ClockKind.DATA and rule == FillRule.ARRIVAL:
            self.add_error(
                "fill_rule", "arrival needs the wall clock; a replay fills by snapshot or next_bar"
            )

    def _clean_market(self, cleaned: Mapping[str, Any]) -> None:
        venue = cleaned.get("venue")
        if venue and venue != Venue.PAPER:
            self.add_error("venue", f"paper is the only venue that can be armed yet, was {venue}")
        feed, chosen = cleaned.get("feed"), cleaned.get("instruments")
        if chosen is None:
            return
        rows = [row for row in chosen if row.is_enabled]
        if chosen and not rows:
            self.add_error("instruments", "at least one enabled instrument is wanted, found none")
        self._clean_quotes(cleaned.get("settlement_asset"), rows)
        if feed is not None:
            self._clean_symbols(feed, [row.symbol for row in rows])

    def _clean_quotes(self, asset: str | None, rows: Sequence[Instrument]) -> None:
        others = [f"{row.symbol} in {row.quote_asset}" for row in rows if row.quote_asset != asset]
        if asset and others:
            self.add_error(
                "settlement_asset",
                f"all instruments must be settled in {asset}, found {', '.join(others)}",
            )

    def _clean_symbols(self, feed: Any, symbols: list[str]) -> None:
        try:
            held = set(open_feed(feed).symbols(symbols))
        except FeedError as error:
            self.add_error("feed", f"the feed {feed.slug} cannot be asked: {error}")
            return
        missing = sorted(set(symbols) - held)
        if missing:
            has = ", ".join(sorted(held)) or "none of the symbols"
            self.add_error(
                "instruments", f"the feed {feed.slug} has no {', '.join(missing)}; it has {has}"
            )


def remarks_on(row: Competition) -> list[str]:
    """Return what an organiser may not have meant, though it can be started."""
    lower = [
        f"{instrument.symbol} at {instrument.max_leverage}"
        for instrument in row.instruments.enabled().order_by("symbol")
        if instrument.max_leverage < row.max_leverage
    ]
    if not lower:
        return []
    return [f"the leverage of {row.max_leverage} is cut by the venue: {', '.join(lower)}"]
