"""Providers: addresses, what they take, and keys that can be set but not read."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from agents.admin.forms import DEFAULTS_PERMISSIONS, JsonObjectField
from agents.models import Provider
from agents.models.agents import ProviderKind
from agents.providers import api_key_for, key_in_use, problems_of_capabilities
from agents.providers.access import STORED
from agents.services import ensure_defaults, key_hint
from marketdata.admin_defaults import ShippedDefaults
from marketdata.secrets import Secret, SecretError, seal

KINDS_WITH_KEYS = frozenset({ProviderKind.ANTHROPIC, ProviderKind.OPENAI_COMPATIBLE})
# Shorter ones could not be told from ordinary words when they are taken out of answers.
LEAST_KEY_LENGTH = 8
MOST_KEY_LENGTH = 4096


class ProviderForm(forms.ModelForm[Provider]):
    """A provider; its key goes in and never comes out again."""

    new_key = forms.CharField(
        label="Key",
        required=False,
        max_length=MOST_KEY_LENGTH,
        widget=forms.PasswordInput(
            render_value=False, attrs={"autocomplete": "off", "class": "vTextField"}
        ),
        help_text="Stored encrypted and never shown again, and used before the variable's. Leave it empty to keep what is stored.",
    )
    remove_key = forms.BooleanField(
        label="Remove the stored key",
        required=False,
        help_text="The variable's key, if there is one, is used from then on.",
    )
    capabilities = JsonObjectField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "class": "vLargeTextField"}),
        help_text=Provider._meta.get_field("capabilities").help_text,
    )

    class Meta:
        model = Provider
        fields: ClassVar[list[str]] = [
            "slug",
            "name",
            "kind",
            "base_url",
            "key_variable",
            "capabilities",
            "max_concurrency",
            "is_enabled",
        ]

    def clean_new_key(self) -> str:
        """Refuse what cannot be a key, and any key while none can be stored; what was entered is not repeated."""
        key: str = self.cleaned_data["new_key"].strip()
        if not key:
            return ""
        if len(key) < LEAST_KEY_LENGTH:
            raise ValidationError(
                f"a key has at least {LEAST_KEY_LENGTH} characters, this one had {len(key)}"
            )
        if strange := re.search(r"[^\x21-\x7e]", key):
            raise ValidationError(
                f"a key has visible ASCII characters only, character {strange.start() + 1} is none"
            )
        try:
            seal(Secret(key), place="a trial")
        except SecretError as error:
            raise ValidationError(str(error)) from None
        return key

    def clean_capabilities(self) -> Any:
        """Refuse entries that mean nothing."""
        found = self.cleaned_data["capabilities"]
        if problems := problems_of_capabilities(found):
            raise ValidationError(problems)
        return found

    def clean(self) -> dict[str, Any]:
        """Look at what the key's fields say together with the others."""
        cleaned = super().clean() or self.cleaned_data
        new_key, remove = cleaned.get("new_key"), cleaned.get("remove_key")
        if new_key and remove:
            self.add_error("remove_key", "a new key is entered too; wanted one of both")
        if new_key and cleaned.get("kind") not in {*KINDS_WITH_KEYS, None}:
            self.add_error(
                "new_key", f"a {cleaned['kind']} provider asks no model and needs no key"
            )
        is_kept = self.instance.key is not None and not new_key and not remove
        if is_kept and not self.errors and self._goes_elsewhere(cleaned):
            self.add_error(
                "new_key",
                "the stored key was entered for another address and is not sent to this one; enter it again, or remove it",
            )
        return cleaned

    def _goes_elsewhere(self, cleaned: dict[str, Any]) -> bool:
        """Tell whether calls would go to another address than the one that the stored key was entered for."""
        before = Provider.objects.get(pk=self.instance.pk)
        # Without an address of its own a provider is found by its slug.
        return bool((before.base_url or before.slug) != (cleaned["base_url"] or cleaned["slug"]))

    def save(self, commit: bool = True) -> Provider:
        """Put the entered key into the row, or take the stored one out."""
        if self.cleaned_data["new_key"]:
            self.instance.key = Secret(self.cleaned_data["new_key"])
        elif self.cleaned_data["remove_key"]:
            self.instance.key = None
        return super().save(commit)


@admin.register(Provider)
class ProviderAdmin(ShippedDefaults, admin.ModelAdmin[Provider]):
    form = ProviderForm
    defaults_label = "Add the shipped providers, template and agents"
    defaults_permissions = DEFAULTS_PERMISSIONS
    list_display = ("slug", "name", "kind", "base_url", "has_key", "is_enabled")
    list_filter = ("kind", "is_enabled")
    search_fields = ("slug", "name")
    ordering = ("slug",)
    readonly_fields = ("key_state", "hint")
    fieldsets = (
        (
            None,
            {
                "fields": ("slug", "name", "kind", "is_enabled"),
                "description": "An API that answers prompts. Agents name it, and say which of its models they are.",
            },
        ),
        (
            "Access",
            {
                "fields": (
                    "base_url",
                    "key_state",
                    "new_key",
                    "remove_key",
                    "key_variable",
                    "hint",
                    "max_concurrency",
                ),
                "description": "The key is stored here, or read from a variable of the environment. No page shows more of it than its last four characters.",
            },
        ),
        (
            "Capabilities",
            {
                "fields": ("capabilities",),
                "description": "Overrides of what requests may carry; a parameter that a provider cannot take is left out "
                "of requests, with a warning. docs/providers.md lists the entries.",
            },
        ),
    )

    def add_defaults(self) -> None:
        ensure_defaults()

    @method_decorator(sensitive_post_parameters("new_key"))
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().changeform_view(request, *args, **kwargs)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup.split("__")[0] != "key" and super().lookup_allowed(lookup, value, request)

    @admin.display(boolean=True, description="key is set")
    def has_key(self, provider: Provider) -> bool:
        return api_key_for(provider) is not None

    @admin.display(description="key in use")
    def key_state(self, provider: Provider) -> str:
        found = key_in_use(provider)
        if found.problem:
            return f"stored, but not usable: {found.problem}"
        if found.secret is None:
            return f"not set, {found.origin} is empty" if found.origin else "none"
        origin = "set" if found.origin == STORED else f"from {found.origin}"
        return f"{origin}, ends in {found.secret.hint}" if found.secret.hint else origin

    @admin.display(description="to let it in")
    def hint(self, provider: Provider) -> str:
        return "—" if api_key_for(provider) else key_hint(provider)
