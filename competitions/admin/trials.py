"""Trials, to be looked at: what was asked and answered are its calls, in the agents' part."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from competitions.models import Trial
from marketdata.admin_readonly import ReadOnlyAdmin


@admin.register(Trial)
class TrialAdmin(ReadOnlyAdmin, admin.ModelAdmin[Trial]):
    list_display = (
        "trial_key",
        "competition",
        "agent",
        "state",
        "outcome",
        "reason",
        "asked_by",
        "requested_at",
    )
    list_filter = ("state", "outcome")
    list_select_related = ("competition", "agent")
    search_fields = ("trial_key", "competition__slug", "agent__slug", "asked_by")
    ordering = ("-requested_at",)
    raw_id_fields = ("snapshot", "decision")
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Trial | None = None) -> bool:
        """They go with their draft; the calls that were paid for stay."""
        is_of_draft = obj is not None and not obj.competition.has_started
        return is_of_draft and admin.ModelAdmin.has_delete_permission(self, request, obj)
