"""Choices of rows in admin forms, found by typing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.admin.widgets import AutocompleteSelect
from django.http import HttpRequest

LONGEST_KEY = 18


def _is_key(value: Any) -> bool:
    return str(value).isdecimal() and len(str(value)) <= LONGEST_KEY


class CarefulSelect(AutocompleteSelect):
    """Shows a refused form again though what was sent is no key: Django's own looks it up and fails.

    ``known`` are names of rows by key, as text; those are not looked up again.
    """

    known: Mapping[str, str] = {}

    def optgroups(self, name: str, value: Any, attrs: Any = None) -> Any:
        keys = [str(key) for key in value if _is_key(key)]
        if not keys or any(key not in self.known for key in keys):
            return super().optgroups(name, keys, attrs)
        chosen = [self.create_option(name, key, self.known[key], True, 0) for key in keys]
        empty = [] if self.is_required else [self.create_option(name, "", "", False, 0)]
        return [(None, [*empty, *chosen], 0)]


class CarefulMultipleChoice(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """Refuses what is no key before the database is asked: SQLite fails on whole numbers beyond its own."""

    def _check_values(self, value: Any) -> Any:
        for key in value:
            if not _is_key(key):
                raise forms.ValidationError(
                    self.error_messages["invalid_pk_value"],
                    code="invalid_pk_value",
                    params={"pk": str(key)[:60]},
                )
        return super()._check_values(value)  # type: ignore[misc]


class CarefulChoices:
    """Mixin for an admin with autocomplete_fields over rows with whole numbers as keys: put it first among the bases."""

    def formfield_for_foreignkey(
        self, db_field: Any, request: HttpRequest | None, **kwargs: Any
    ) -> Any:
        admin: Any = super()
        if db_field.name in self.autocomplete_fields:  # type: ignore[attr-defined]
            kwargs.setdefault("widget", CarefulSelect(db_field, self.admin_site))  # type: ignore[attr-defined]
        return admin.formfield_for_foreignkey(db_field, request, **kwargs)
