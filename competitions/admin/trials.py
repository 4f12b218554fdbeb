"""Trials, to be looked at: what was asked and answered are its calls, in the agents' part."""

from __future__ import annotations

from django.contrib import admin

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
