"""Who takes part: set up on the page of a draft, looked at afterwards."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import slugify

from competitions.models import Competition, Participant
from marketdata.admin_choices import CarefulChoices
from marketdata.admin_readonly import ReadOnlyAdmin


class ParticipantForm(forms.ModelForm[Participant]):
    """A participant; name and address follow the agent unless they are given."""

    class Meta:
        model = Participant
        fields = ("ordinal", "agent", "name", "slug", "owner")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("ordinal", "name", "slug"):
            self.fields[name].required = False
        if self.instance.agent_id:
            self._know("agent", self.instance.agent)
        if self.instance.owner_id:
            self._know("owner", self.instance.owner)

    def _know(self, name: str, row: Any) -> None:
        """Let the field show the row without asking for it: a roster may be long."""
        widget: Any = self.fields[name].widget
        # With its buttons around it, and without.
        getattr(widget, "widget", widget).known = {str(row.pk): str(row)}

    def clean(self) -> dict[str, Any]:
        """Fill in what the agent tells."""
        cleaned = super().clean() or self.cleaned_data
        agent = cleaned.get("agent")
        if agent is not None:
            cleaned["name"] = cleaned.get("name") or agent.name
            cleaned["slug"] = cleaned.get("slug") or slugify(cleaned["name"])[:60] or agent.slug
        return cleaned


class RosterFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """The roster: at least one, each with a place and an address of its own."""

    def clean(self) -> None:
        """Give places to those without one, and refuse an empty roster and doubles."""
        if any(self.errors):
            return
        kept = [form for form in self.forms if self._is_kept(form)]
        if not kept:
            raise forms.ValidationError("a competition needs at least one participant, found none")
        self._give_places(kept)
        slugs = [form.cleaned_data["slug"] for form in kept]
        slugs += [participant.slug for participant in self._unseen()]
        doubles = sorted({slug for slug in slugs if slugs.count(slug) > 1})
        if doubles:
            raise forms.ValidationError(
                f"each participant needs an address of its own, found {', '.join(doubles)} twice"
            )
        super().clean()

    def _unseen(self) -> list[Participant]:
        """Return the participants that somebody else added since the page was opened."""
        if self.instance.pk is None:
            return []
        seen = [form.instance.pk for form in self.forms]
        return list(self.instance.participants.exclude(pk__in=[pk for pk in seen if pk]))

    def _is_kept(self, form: forms.ModelForm[Participant]) -> bool:
        entered = getattr(form, "cleaned_data", {})
        return bool(entered.get("agent")) and not entered.get("DELETE", False)

    def _give_places(self, kept: list[forms.ModelForm[Participant]]) -> None:
        taken = {form.cleaned_data.get("ordinal") for form in kept}
        taken |= {participant.ordinal for participant in self._unseen()}
        place = 1
        for form in kept:
            if form.cleaned_data.get("ordinal"):
                continue
            while place in taken:
                place += 1
            taken.add(place)
            form.cleaned_data["ordinal"] = form.instance.ordinal = place


class ParticipantInline(CarefulChoices, admin.TabularInline[Participant, Competition]):
    model = Participant
    form = ParticipantForm
    formset = RosterFormSet
    extra = 3
    ordering = ("ordinal",)
    autocomplete_fields = ("agent", "owner")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Participant]:
        return super().get_queryset(request).select_related("agent", "owner")

    def has_add_permission(self, request: HttpRequest, obj: Competition | None = None) -> bool:
        return not has_started(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not has_started(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not has_started(obj) and super().has_delete_permission(request, obj)


def has_started(obj: Competition | None) -> bool:
    """Tell whether the season is frozen."""
    return obj is not None and obj.has_started


@admin.register(Participant)
class ParticipantAdmin(ReadOnlyAdmin, admin.ModelAdmin[Participant]):
    """Participants of all seasons; those of a draft are set up on its page."""

    list_display = ("name", "competition", "ordinal", "agent", "state")
    list_filter = ("state",)
    list_select_related = ("competition", "agent")
    search_fields = ("name", "slug", "competition__slug", "agent__slug")
