"""Keys of the API: made and shown once, then only looked at and revoked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from competitions.models import ApiKey
from competitions.models.access import Scope
from competitions.services.access import make_api_key, revoke_api_key, why_not_owner
from marketdata.admin_choices import CarefulChoices


class ApiKeyForm(forms.ModelForm[ApiKey]):
    """A new key; refuses scopes beyond what the owner may do."""

    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text="The least that its user needs.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "owner", "scopes", "expires_at")

    def clean(self) -> dict[str, Any]:
        """Look at what the fields say together."""
        cleaned = super().clean() or self.cleaned_data
        owner, scopes = cleaned.get("owner"), set(cleaned.get("scopes", ()))
        if owner is not None and (refusal := why_not_owner(owner, scopes)):
            self.add_error("owner", refusal)
        expires_at = cleaned.get("expires_at")
        if expires_at is not None and expires_at <= timezone.now():
            self.add_error(
                "expires_at", f"must be in the future, was {expires_at:%Y-%m-%d %H:%M} UTC"
            )
        return cleaned


@admin.register(ApiKey)
class ApiKeyAdmin(CarefulChoices, admin.ModelAdmin[ApiKey]):
    form = ApiKeyForm
    list_display = ("name", "prefix", "owner", "scopes", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("owner",)
    search_fields = ("name", "prefix", "owner__username")
    autocomplete_fields = ("owner",)
    actions = ("revoke",)
    show_full_result_count = False
    readonly_fields = ("prefix", "created_at", "last_used_at", "revoked_at")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        wanted = ("name", "owner", "scopes", "expires_at")
        fields = (*wanted, *self.readonly_fields) if obj else wanted
        said = "A key lets a program use the JSON API in its owner's name. It is shown once, on the next page."
        return ((None, {"fields": fields, "description": said}),)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A key is never changed; the list needs the permission for its action."""
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Revoked keys stay, so that the audit log can be understood.
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Let the service make the key, and keep its text for the one answer that shows it."""
        made = make_api_key(
            obj.name,
            owner=obj.owner,
            scopes=form.cleaned_data["scopes"],
            expires_at=obj.expires_at,
            actor=request.user.get_username(),
            now=timezone.now(),
        )
        obj.pk = made.row.pk
        obj.prefix = made.row.prefix
        request.new_api_key = made.token  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the key in this answer alone: it goes into no message, cookie or log."""
        context = {
            **self.admin_site.each_context(request),
            "title": "API key made",
            "opts": self.opts,
            "key": obj,
            "token": request.new_api_key,  # type: ignore[attr-defined]
        }
        return TemplateResponse(request, "admin/competitions/apikey/made.html", context)

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        actor = request.user.get_username()
        for key in queryset:
            if revoke_api_key(key, actor=actor, now=timezone.now()):
                messages.success(request, f"{key} opens nothing any more.")
            else:
                messages.warning(request, f"{key} was revoked before.")
