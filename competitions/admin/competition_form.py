"""What is asked of a competition; a mistake is told at the field where it was made."""

from __future__ import annotations

from typing import Any

from django import forms

from competitions.models import Competition
from competitions.models.competitions import ClockKind, FillRule
from competitions.services.setup import CLOCKS
from marketdata.domain.facts import Timeframe
from marketdata.feeds import FeedError, open_feed
from marketdata.models.feeds import FeedKind
from trading.models.books import Venue


class CompetitionForm(forms.ModelForm[Competition]):
    """Refuses a mistake at the field where it was made."""

    timeframes = forms.MultipleChoiceField(
        choices=[(item.value, item.value) for item in Timeframe],
        initial=("1m", "15m"),
        widget=forms.CheckboxSelectMultiple,
        help_text="Candles shown to agents; a replay begins where the shortest has had its warm-up.",
        error_messages={"required": "at least one timeframe is wanted, found none"},
    )

    def clean_timeframes(self) -> list[str]:
        """Keep the order of a season that was set up by program: its first timeframe is the base."""
        chosen: list[str] = self.cleaned_data["timeframes"]
        kept: list[str] = self.instance.timeframes
        return kept if sorted(kept) == sorted(chosen) else chosen

    def clean(self) -> dict[str, Any]:
        """Look at what the fields say together."""
        cleaned = super().clean() or self.cleaned_data
        self._clean_schedule(cleaned)
        self._clean_clock(cleaned)
        self._clean_market(cleaned)
        return cleaned

    def _clean_schedule(self, cleaned: dict[str, Any]) -> None:
        starts_at, ends_at = cleaned.get("starts_at"), cleaned.get("ends_at")
        if starts_at and ends_at and ends_at <= starts_at:
            found = f"{ends_at:%Y-%m-%d %H:%M} with a start of {starts_at:%Y-%m-%d %H:%M} UTC"
            self.add_error("ends_at", f"the end must be after the start, was {found}")
        interval, deadline = cleaned.get("interval_seconds"), cleaned.get("deadline_seconds")
        on_wall = cleaned.get("clock") == ClockKind.WALL
        if on_wall and interval and deadline and deadline > interval:
            self.add_error(
                "deadline_seconds",
                f"the deadline must not be longer than the interval ({interval} s), was {deadline} s",
            )

    def _clean_clock(self, cleaned: dict[str, Any]) -> None:
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
            self.add_error("fill_rule", "arrival needs the wall clock; a replay fills by snapshot")

    def _clean_market(self, cleaned: dict[str, Any]) -> None:
        venue = cleaned.get("venue")
        if venue and venue != Venue.PAPER:
            self.add_error("venue", f"paper is the only venue that can be armed yet, was {venue}")
        feed, instruments = cleaned.get("feed"), cleaned.get("instruments")
        if feed is not None and instruments is not None:
            self._clean_symbols(feed, [row.symbol for row in instruments])

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
