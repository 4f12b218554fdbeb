"""Setting up competitions, and what is done to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from competitions.admin.competition_form import CompetitionForm
from competitions.admin.roster import ParticipantInline, has_started
from competitions.models import Competition
from competitions.services import control
from competitions.services.errors import ControlError
from competitions.services.setup import problems_of


@admin.register(Competition)
class CompetitionAdmin(admin.ModelAdmin[Competition]):
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
        return not has_started(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Competition | None = None) -> bool:
        # Without an object the admin asks for the bulk deletion, which could hit a season's records.
        return (
            obj is not None and not has_started(obj) and super().has_delete_permission(request, obj)
        )

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Read-only fields cannot be filled in from others.
        return {} if has_started(obj) else super().get_prepopulated_fields(request, obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Tell after saving what still keeps the season from starting."""
        super().save_related(request, form, formsets, change)
        for problem in problems_of(form.instance):
            messages.warning(request, f"It cannot start yet: {problem}.")

    @admin.action(description="Start", permissions=["change"])
    def start(self, request: HttpRequest, queryset: QuerySet[Competition]) -> None:
        self._each(request, queryset, "started", control.start_competition)

    @admin.action(description="Let the clock start it at its time", permissions=["change"])
    def schedule(self, request: HttpRequest, queryset: QuerySet[Competition]) -> None:
        self._each(request, queryset, "scheduled", control.schedule_competition)

    @admin.action(description="Pause now", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Competition]) -> None:
        self._each(
            request, queryset, "paused", control.pause_competition, reason="", after_round=False
        )

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Competition]) -> None:
        self._each(request, queryset, "resumed", control.resume_competition)

    @admin.action(description="Stop for good", permissions=["change"])
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
