"""Setting up competitions; everything that the season itself writes is only to be looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import slugify

from competitions.admin.live import LiveGuard, proved_where_live
from competitions.models import (
    AuditEvent,
    Competition,
    Event,
    Gap,
    Heartbeat,
    Lease,
    Leg,
    Participant,
    Round,
    Turn,
)
from competitions.models.competitions import ClockKind, FillRule
from competitions.services import control
from competitions.services.errors import ControlError
from competitions.services.setup import CLOCKS, problems_of
from marketdata.admin_readonly import ReadOnlyAdmin
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


class ParticipantForm(forms.ModelForm[Participant]):
    """A participant; name and address follow the agent unless they are given."""

    class Meta:
        model = Participant
        fields = ("ordinal", "agent", "name", "slug")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("ordinal", "name", "slug"):
            self.fields[name].required = False

    def clean(self) -> dict[str, Any]:
        """Fill in what the agent tells."""
        cleaned = super().clean() or self.cleaned_data
        agent = cleaned.get("agent")
        if agent is not None:
            cleaned["name"] = cleaned.get("name") or agent.name
            cleaned["slug"] = cleaned.get("slug") or slugify(cleaned["name"])[:60] or agent.slug
        return cleaned


class RosterFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """The roster: at least one, each with a place and an address of its own."""

    def clean(self) -> None:
        """Give places to those without one, and refuse an empty roster and doubles."""
        if any(self.errors):
            return
        kept = [form for form in self.forms if self._is_kept(form)]
        if not kept:
            raise forms.ValidationError("a competition needs at least one participant, found none")
        self._give_places(kept)
        slugs = [form.cleaned_data["slug"] for form in kept]
        slugs += [participant.slug for participant in self._unseen()]
        doubles = sorted({slug for slug in slugs if slugs.count(slug) > 1})
        if doubles:
            raise forms.ValidationError(
                f"each participant needs an address of its own, found {', '.join(doubles)} twice"
            )
        super().clean()

    def _unseen(self) -> list[Participant]:
        """Return the participants that somebody else added since the page was opened."""
        if self.instance.pk is None:
            return []
        seen = [form.instance.pk for form in self.forms]
        return list(self.instance.participants.exclude(pk__in=[pk for pk in seen if pk]))

    def _is_kept(self, form: forms.ModelForm[Participant]) -> bool:
        entered = getattr(form, "cleaned_data", {})
        return bool(entered.get("agent")) and not entered.get("DELETE", False)

    def _give_places(self, kept: list[forms.ModelForm[Participant]]) -> None:
        taken = {form.cleaned_data.get("ordinal") for form in kept}
        taken |= {participant.ordinal for participant in self._unseen()}
        place = 1
        for form in kept:
            if form.cleaned_data.get("ordinal"):
                continue
            while place in taken:
                place += 1
            taken.add(place)
            form.cleaned_data["ordinal"] = form.instance.ordinal = place


class ParticipantInline(admin.TabularInline[Participant, Competition]):
    model = Participant
    form = ParticipantForm
    formset = RosterFormSet
    extra = 3
    autocomplete_fields = ("agent",)

    def has_add_permission(self, request: HttpRequest, obj: Competition | None = None) -> bool:
        return not _has_started(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not _has_started(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not _has_started(obj) and super().has_delete_permission(request, obj)


def _has_started(obj: Competition | None) -> bool:
    return obj is not None and obj.has_started


@admin.register(Competition)
class CompetitionAdmin(LiveGuard):
    form = CompetitionForm
    inlines = (ParticipantInline,)
    list_display = ("name", "status", "feed", "venue", "round_count", "starts_at", "created_at")
    list_filter = ("status", "visibility", "venue")
    list_select_related = ("feed",)
    search_fields = ("name", "slug", "contract_hash")
    prepopulated_fields = {"slug": ("name",)}
    filter_horizontal = ("instruments",)
    show_full_result_count = False
    actions = ("start", "schedule", "pause", "resume", "stop")
    fieldsets = (
        (None, {"fields": ("name", "slug", "description", "visibility", "max_participants")}),
        (
            "Market",
            {"fields": ("feed", "venue", "instruments", "timeframes", "candle_count")},
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
                )
            },
        ),
        (
            "Money and limits",
            {
                "fields": (
                    "initial_capital",
                    "settlement_asset",
                    "margin_model",
                    "fill_rule",
                    "fee_bps_taker",
                    "fee_bps_maker",
                    "slippage_bps",
                    "max_leverage",
                    "max_position_size_pct",
                    "max_open_positions",
                    "max_margin_usage_pct",
                    "margin_buffer",
                    "margin_requirement_pct",
                    "maintenance_margin_pct",
                    "allow_short",
                    "allow_pyramiding",
                    "seed",
                )
            },
        ),
        (
            "State",
            {
                "fields": (
                    "status",
                    "round_count",
                    "contract_hash",
                    "season_digest",
                    "started_at",
                    "finished_at",
                    "stop_reason",
                )
            },
        ),
    )
    readonly_fields = (
        "status",
        "round_count",
        "contract_hash",
        "season_digest",
        "started_at",
        "finished_at",
        "stop_reason",
    )

    def has_change_permission(self, request: HttpRequest, obj: Competition | None = None) -> bool:
        """A started season is frozen: its page can be looked at, its rules not changed."""
        return not _has_started(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Competition | None = None) -> bool:
        # Without an object the admin asks for the bulk deletion, which could hit a season's records.
        return (
            obj is not None
            and not _has_started(obj)
            and super().has_delete_permission(request, obj)
        )

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Read-only fields cannot be filled in from others.
        return {} if _has_started(obj) else super().get_prepopulated_fields(request, obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Tell after saving what still keeps the season from starting."""
        super().save_related(request, form, formsets, change)
        for problem in problems_of(form.instance):
            messages.warning(request, f"It cannot start yet: {problem}.")

    @admin.action(description="Start", permissions=["change"])
    @proved_where_live
    def start(self, request: HttpRequest, queryset: QuerySet[Competition]) -> None:
        self._each(request, queryset, "started", control.start_competition)

    @admin.action(description="Let the clock start it at its time", permissions=["change"])
    @proved_where_live
    def schedule(self, request: HttpRequest, queryset: QuerySet[Competition]) -> None:
        self._each(request, queryset, "scheduled", control.schedule_competition)

    @admin.action(description="Pause now", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Competition]) -> None:
        self._each(
            request, queryset, "paused", control.pause_competition, reason="", after_round=False
        )

    @admin.action(description="Resume", permissions=["change"])
    @proved_where_live
    def resume(self, request: HttpRequest, queryset: QuerySet[Competition]) -> None:
        self._each(request, queryset, "resumed", control.resume_competition)

    @admin.action(description="Stop for good", permissions=["change"])
    @proved_where_live
    def stop(self, request: HttpRequest, queryset: QuerySet[Competition]) -> None:
        self._each(request, queryset, "stopped", control.stop_competition, reason="")

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[Competition],
        word: str,
        service: Callable[..., Competition],
        **details: object,
    ) -> None:
        actor = request.user.get_username()
        for row in queryset.select_related("feed"):
            try:
                service(row, actor=actor, now=timezone.now(), **details)
            except ControlError as error:
                messages.error(request, f"{row.name} was not {word}: {error}.")
            else:
                messages.success(request, f"{row.name} was {word}.")


class LegInline(ReadOnlyAdmin, admin.TabularInline[Leg, Turn]):
    model = Leg
    fields = ("index", "verdict", "denial", "order", "instruction")
    raw_id_fields = ("order",)


@admin.register(Participant)
class ParticipantAdmin(ReadOnlyAdmin, admin.ModelAdmin[Participant]):
    """Participants of all seasons; those of a draft are set up on its page."""

    list_display = ("name", "competition", "ordinal", "agent", "state")
    list_filter = ("state",)
    list_select_related = ("competition", "agent")
    search_fields = ("name", "slug", "competition__slug", "agent__slug")


@admin.register(Round)
class RoundAdmin(ReadOnlyAdmin, admin.ModelAdmin[Round]):
    list_display = ("competition", "number", "kind", "state", "slot_at", "has_data", "closed_at")
    list_filter = ("state", "kind", "has_data")
    list_select_related = ("competition",)
    search_fields = ("competition__slug", "digest")
    show_full_result_count = False


@admin.register(Turn)
class TurnAdmin(ReadOnlyAdmin, admin.ModelAdmin[Turn]):
    list_display = ("turn_key", "participant_name", "state", "outcome", "reason", "settled_at")
    list_filter = ("outcome", "state")
    list_select_related = ("participant",)
    search_fields = ("turn_key", "participant__slug", "round__competition__slug")
    show_full_result_count = False
    inlines = (LegInline,)

    @admin.display(description="participant", ordering="participant__name")
    def participant_name(self, row: Turn) -> str:
        return row.participant.name


@admin.register(Leg)
class LegAdmin(ReadOnlyAdmin, admin.ModelAdmin[Leg]):
    list_display = ("turn", "index", "verdict", "denial", "order")
    list_filter = ("verdict",)
    list_select_related = ("turn", "order")
    search_fields = ("turn__turn_key", "denial")
    show_full_result_count = False


@admin.register(Gap)
class GapAdmin(ReadOnlyAdmin, admin.ModelAdmin[Gap]):
    list_display = ("competition", "from_at", "to_at", "missed_slots", "reason")
    list_select_related = ("competition",)
    search_fields = ("competition__slug", "reason")


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin, admin.ModelAdmin[Event]):
    list_display = ("competition", "seq", "kind", "at")
    list_filter = ("kind",)
    list_select_related = ("competition",)
    search_fields = ("competition__slug",)
    show_full_result_count = False


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin, admin.ModelAdmin[AuditEvent]):
    list_display = ("seq", "at", "actor", "action", "subject")
    list_filter = ("action",)
    search_fields = ("subject", "actor", "hash")
    ordering = ("-seq",)
    show_full_result_count = False


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin, admin.ModelAdmin[Lease]):
    list_display = ("name", "holder", "fence", "until")


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin, admin.ModelAdmin[Heartbeat]):
    list_display = ("name", "at", "note")
