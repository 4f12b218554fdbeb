"""What was asked and answered, to be looked at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from agents.models import Completion, Decision
from marketdata.admin_lists import LongList
from marketdata.admin_readonly import ReadOnlyAdmin
from marketdata.models import Blob


@admin.register(Completion)
class CompletionAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[Completion]):
    list_display = (
        "turn_key",
        "attempt",
        "agent",
        "status",
        "http_status",
        "latency_ms",
        "sent_at",
    )
    list_filter = ("status", "agent__provider")
    list_select_related = ("agent",)
    search_fields = ("turn_key__startswith", "provider_request_id__exact")
    search_help_text = "The beginning of a turn's key, or the provider's whole request id."
    ordering = ("-sent_at", "-pk")
    readonly_fields = ("answer",)

    @admin.display(description="the model's text")
    def answer(self, completion: Completion) -> str:
        return _text_of(completion.text_id)


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin, LongList, admin.ModelAdmin[Decision]):
    list_display = ("turn_key", "agent", "source", "status", "error", "decided_at")
    list_filter = ("status", "source")
    list_select_related = ("agent",)
    search_fields = ("turn_key__startswith",)
    search_help_text = "The beginning of a turn's key."
    ordering = ("-decided_at", "-pk")
    readonly_fields = ("answer",)

    @admin.display(description="the text it was read from")
    def answer(self, decision: Decision) -> str:
        return _text_of(decision.text_id)


def _text_of(sha256: Any) -> str:
    return Blob.objects.text(sha256)[:20_000] if sha256 else "—"
