"""Prompt templates: written once, then only followed by their next version."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Max
from django.http import HttpRequest

from agents.domain.prompts import NAMES, TemplateText
from agents.models import PromptTemplate
from agents.prompts import arena_core


class PromptTemplateForm(forms.ModelForm[PromptTemplate]):
    """A template; each part tells which placeholders it may hold."""

    class Meta:
        model = PromptTemplate
        fields = ("slug", "version", "system", "market", "account")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for part, names in NAMES.items():
            if part in self.fields:
                told = ", ".join(f"{{{{ {name} }}}}" for name in sorted(names))
                self.fields[part].help_text += f" It may hold {told}."
                # Models are sent it to the byte.
                self.fields[part].strip = False  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Store line breaks as they are sent to models: browsers send two characters for one."""
        cleaned = super().clean() or self.cleaned_data
        for part in NAMES:
            if part in cleaned:
                cleaned[part] = cleaned[part].replace("\r\n", "\n")
        return cleaned


@admin.register(PromptTemplate)
class PromptTemplateAdmin(admin.ModelAdmin[PromptTemplate]):
    form = PromptTemplateForm
    change_form_template = "admin/agents/prompttemplate/change_form.html"
    list_display = ("slug", "version", "is_locked", "created_at")
    search_fields = ("slug",)
    ordering = ("slug", "-version")
    readonly_fields = ("locked_at",)
    fieldsets = (
        (
            None,
            {
                "fields": ("slug", "version", "locked_at"),
                "description": "The texts that agents are sent. A template is locked when a season first uses it; to change one after that, add a new version.",
            },
        ),
        (
            "Texts",
            {
                "fields": ("system", "market", "account"),
                "description": "Placeholders in double braces are filled in each round; docs/decisions.md tells what each becomes.",
            },
        ),
    )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Fill a new form with the next version of the template that ``?version_of=`` names, else of the shipped one."""
        asked = request.GET.get("version_of", "")
        base = PromptTemplate.objects.filter(pk=asked).first() if asked.isdecimal() else None
        slug = base.slug if base else arena_core.SLUG
        texts = (
            base.text()
            if base
            else TemplateText(arena_core.SYSTEM, arena_core.MARKET, arena_core.ACCOUNT)
        )
        newest = PromptTemplate.objects.filter(slug=slug).aggregate(Max("version"))["version__max"]
        return {
            "slug": slug,
            "version": (newest or 0) + 1,
            **{part: getattr(texts, part) for part in NAMES},
            **super().get_changeform_initial_data(request),
        }

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
