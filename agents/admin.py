"""Providers, agents and templates to be set up; what was asked and answered to be looked at."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from agents.models import Agent, Completion, Decision, PromptTemplate, Provider
from agents.providers import api_key_for, effective_parameters
from agents.services import key_hint
from marketdata.admin_readonly import ReadOnlyAdmin
from marketdata.models import Blob


@admin.register(Provider)
class ProviderAdmin(admin.ModelAdmin[Provider]):
    list_display = ("slug", "name", "kind", "base_url", "has_key", "is_enabled")
    list_filter = ("kind", "is_enabled")
    search_fields = ("slug", "name")
    ordering = ("slug",)
    readonly_fields = ("has_key", "hint")
    fieldsets = (
        (None, {"fields": ("slug", "name", "kind", "is_enabled")}),
        (
            "Access",
            {
                "fields": ("base_url", "key_variable", "has_key", "hint", "max_concurrency"),
                "description": "Keys are read from the environment and never stored here.",
            },
        ),
        (
            "Capabilities",
            {
                "fields": ("capabilities",),
                "description": "Overrides of what requests may carry; a parameter that a provider cannot take is left out "
                "of requests, with a warning.",
            },
        ),
    )

    @admin.display(boolean=True, description="key is set")
    def has_key(self, provider: Provider) -> bool:
        return api_key_for(provider) is not None

    @admin.display(description="to let it in")
    def hint(self, provider: Provider) -> str:
        return "—" if api_key_for(provider) else key_hint(provider)


@admin.register(PromptTemplate)
class PromptTemplateAdmin(admin.ModelAdmin[PromptTemplate]):
    list_display = ("slug", "version", "is_locked", "created_at")
    search_fields = ("slug",)
    ordering = ("slug", "version")
    readonly_fields = ("locked_at",)
    fieldsets = (
        (None, {"fields": ("slug", "version", "locked_at")}),
        (
            "Texts",
            {
                "fields": ("system", "market", "account"),
                "description": "Placeholders such as {{ rules }} are listed in docs/decisions.md. A template is locked when a "
                "season first uses it; to change one after that, add a new version.",
            },
        ),
    )

    @admin.display(boolean=True, description="locked")
    def is_locked(self, template: PromptTemplate) -> bool:
        return template.is_locked

    def has_change_permission(
        self, request: HttpRequest, obj: PromptTemplate | None = None
    ) -> bool:
        return super().has_change_permission(request, obj) and not (obj and obj.is_locked)

    def has_delete_permission(
        self, request: HttpRequest, obj: PromptTemplate | None = None
    ) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and obj.is_locked)


@admin.register(Agent)
class AgentAdmin(admin.ModelAdmin[Agent]):
    list_display = (
        "slug",
        "name",
        "provider",
        "model",
        "template",
        "timeout_seconds",
        "is_enabled",
    )
    list_filter = ("provider", "is_enabled")
    list_select_related = ("provider", "template")
    search_fields = ("slug", "name", "model")
    ordering = ("slug",)
    autocomplete_fields = ("provider", "template")
    readonly_fields = ("effective",)
    fieldsets = (
        (None, {"fields": ("slug", "name", "provider", "model", "is_enabled")}),
        ("Request", {"fields": ("parameters", "effective", "template", "timeout_seconds")}),
    )

    @admin.display(description="sent to the provider")
    def effective(self, agent: Agent) -> str:
        if agent._state.adding:
            return "—"
        parameters, _ = effective_parameters(agent.provider, agent.parameters)
        return ", ".join(f"{name}={value}" for name, value in parameters.items()) or "—"

    def save_model(
        self, request: HttpRequest, obj: Agent, form: forms.ModelForm[Agent], change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        for warning in effective_parameters(obj.provider, obj.parameters)[1]:
            messages.warning(request, warning)


@admin.register(Completion)
class CompletionAdmin(ReadOnlyAdmin, admin.ModelAdmin[Completion]):
    list_display = (
        "turn_key",
        "attempt",
        "agent",
        "status",
        "http_status",
        "latency_ms",
        "sent_at",
    )
    list_filter = ("status", "provider")
    list_select_related = ("agent",)
    search_fields = ("turn_key", "provider_request_id")
    show_full_result_count = False
    readonly_fields = ("answer",)

    @admin.display(description="the model's text")
    def answer(self, completion: Completion) -> str:
        return _text_of(completion.text_id)


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin, admin.ModelAdmin[Decision]):
    list_display = ("turn_key", "agent", "source", "status", "error", "decided_at")
    list_filter = ("status", "source")
    list_select_related = ("agent",)
    search_fields = ("turn_key",)
    show_full_result_count = False
    readonly_fields = ("answer",)

    @admin.display(description="the text it was read from")
    def answer(self, decision: Decision) -> str:
        return _text_of(decision.text_id)


def _text_of(sha256: Any) -> str:
    return Blob.objects.text(sha256)[:20_000] if sha256 else "—"
