"""Agents: a provider's model with its parameters and prompt."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from agents.admin.forms import DEFAULTS_PERMISSIONS, JsonObjectField
from agents.models import Agent
from agents.providers import effective_parameters, problems_of_parameters
from agents.services import ensure_defaults
from marketdata.admin_choices import CarefulChoices
from marketdata.admin_defaults import ShippedDefaults


class AgentForm(forms.ModelForm[Agent]):
    """Refuses parameters that no provider could take; what this one does not take is told after saving."""

    parameters = JsonObjectField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "vLargeTextField"}),
        help_text=Agent._meta.get_field("parameters").help_text,
    )

    class Meta:
        model = Agent
        fields: ClassVar[list[str]] = [
            "slug",
            "name",
            "provider",
            "model",
            "parameters",
            "template",
            "timeout_seconds",
            "is_enabled",
        ]

    def clean_parameters(self) -> Any:
        """Refuse unknown names and values out of range."""
        found = self.cleaned_data["parameters"]
        if problems := problems_of_parameters(found):
            raise ValidationError(problems)
        return found


@admin.register(Agent)
class AgentAdmin(CarefulChoices, ShippedDefaults, admin.ModelAdmin[Agent]):
    form = AgentForm
    defaults_label = "Add the shipped providers, template and agents"
    defaults_permissions = DEFAULTS_PERMISSIONS
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
        (
            None,
            {
                "fields": ("slug", "name", "provider", "model", "is_enabled"),
                "description": "Who takes part in competitions. Provider and template can be added here too, by the plus beside them.",
            },
        ),
        (
            "Request",
            {
                "fields": ("parameters", "effective", "template", "timeout_seconds"),
                "description": "What it is sent in each round. A competition freezes a copy at its start; a change here counts for the next one.",
            },
        ),
    )

    def add_defaults(self) -> None:
        ensure_defaults()

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
