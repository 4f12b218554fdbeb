"""Setting up competitions, and what is done to them."""

from __future__ import annotations

from typing import Any, TypeAlias

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from competitions.admin.acts import (
    ACTS,
    MOST_AT_ONCE,
    act_view,
    has_control_permission,
    offered,
    page_of,
    tell,
    unasked,
)
from competitions.admin.competition_form import FIELDSETS, CompetitionForm, remarks_on
from competitions.admin.live import LiveGuard, proved_where_live
from competitions.admin.roster import ParticipantInline, has_started
from competitions.domain.agreement import lines_of
from competitions.domain.contract import Contract
from competitions.models import Competition
from competitions.models.competitions import CompetitionStatus
from competitions.services import control
from competitions.services.errors import ControlError
from competitions.services.setup import problems_of
from marketdata.admin_choices import CarefulMultipleChoice

Seasons: TypeAlias = QuerySet[Competition]


@admin.register(Competition)
class CompetitionAdmin(LiveGuard):
    form = CompetitionForm
    inlines = (ParticipantInline,)
    list_display = ("name", "status", "feed", "venue", "round_count", "starts_at", "created_at")
    list_filter = ("status", "visibility", "venue")
    list_select_related = ("feed",)
    search_fields = ("name", "slug", "contract_hash")
    prepopulated_fields = {"slug": ("name",)}
    filter_horizontal = ("instruments",)
    show_full_result_count = False
    actions = (
        "start",
        "schedule",
        "pause",
        "pause_after_round",
        "resume",
        "stop",
        "emergency_close",
        "duplicate",
    )
    fieldsets = FIELDSETS
    readonly_fields = (
        "status",
        "round_count",
        "duplicated_from",
        "contract_hash",
        "contract_terms",
        "season_digest",
        "started_at",
        "finished_at",
        "stop_reason",
    )

    @admin.display(description="contract")
    def contract_terms(self, row: Competition) -> str:
        """Write the frozen contract in words; before the start the page of the start shows it."""
        if not row.contract:
            return "Frozen at the start, which shows it first."
        lines = lines_of(Contract.from_json(row.contract))
        told = format_html_join(
            "",
            '<tr><td>{}</td><th scope="row">{}</th><td>{}</td></tr>',
            ((line.section, line.name, line.says) for line in lines),
        )
        return format_html(
            '<div class="scroll"><table class="contract"><tbody>{}</tbody></table></div>', told
        )

    def has_change_permission(self, request: HttpRequest, obj: Competition | None = None) -> bool:
        """A started season is frozen: its page can be looked at, its rules not changed."""
        return not has_started(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Competition | None = None) -> bool:
        # Without an object the admin asks for the bulk deletion, which could hit a season's records.
        return (
            obj is not None and not has_started(obj) and super().has_delete_permission(request, obj)
        )

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Read-only fields cannot be filled in from others.
        return {} if has_started(obj) else super().get_prepopulated_fields(request, obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Tell after saving what still keeps the season from starting."""
        super().save_related(request, form, formsets, change)
        for problem in problems_of(form.instance):
            messages.warning(request, f"It cannot start yet: {problem}.")
        for remark in remarks_on(form.instance):
            messages.info(request, f"Note: {remark}.")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        careful = {**kwargs, "form_class": CarefulMultipleChoice}
        return super().formfield_for_manytomany(db_field, request, **careful)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.act)
        return [
            path("act/<slug:act>/", view, name="competitions_competition_act"),
            *super().get_urls(),
        ]

    def act(self, request: HttpRequest, act: str) -> HttpResponse:
        return act_view(self, request, act)

    def has_control_permission(self, request: HttpRequest) -> bool:
        return has_control_permission(request)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Offer beside the form what can be done to the season in its state."""
        row = self.get_object(request, object_id)
        context = self._offers(request, row) if row else {}
        return super().change_view(
            request, object_id, form_url, {**context, **(extra_context or {})}
        )

    def _offers(self, request: HttpRequest, row: Competition) -> dict[str, Any]:
        may_close = self.has_control_permission(request) and not control.why_not_closed(row)
        return {
            "acts": [
                (act, page_of(act.slug, [row]))
                for act in offered(row)
                if self._may(request, act.slug)
            ],
            "can_close": may_close,
            "is_scheduled": row.status == CompetitionStatus.SCHEDULED,
        }

    def _may(self, request: HttpRequest, act: str) -> bool:
        if act == "duplicate":
            return self.has_add_permission(request)
        return self.has_control_permission(request)

    @admin.action(description="Start (shows the contract first)", permissions=["control"])
    def start(self, request: HttpRequest, queryset: Seasons) -> HttpResponse | None:
        return self._ask(request, "start", queryset)

    @admin.action(
        description="Let the clock start it (shows the contract first)", permissions=["control"]
    )
    def schedule(self, request: HttpRequest, queryset: Seasons) -> HttpResponse | None:
        return self._ask(request, "schedule", queryset)

    @admin.action(description="Pause now", permissions=["control"])
    def pause(self, request: HttpRequest, queryset: Seasons) -> None:
        self._each(request, "pause", queryset)

    @admin.action(description="Pause when the running round has closed", permissions=["control"])
    def pause_after_round(self, request: HttpRequest, queryset: Seasons) -> None:
        self._each(request, "pause-after-round", queryset)

    @admin.action(description="Resume", permissions=["control"])
    @proved_where_live
    def resume(self, request: HttpRequest, queryset: Seasons) -> None:
        self._each(request, "resume", queryset)

    @admin.action(description="Stop for good (asks first)", permissions=["control"])
    def stop(self, request: HttpRequest, queryset: Seasons) -> HttpResponse | None:
        return self._ask(request, "stop", queryset)

    @admin.action(description="Emergency close (asks first)", permissions=["control"])
    def emergency_close(self, request: HttpRequest, queryset: Seasons) -> HttpResponse | None:
        """Go to the console's page, which asks for the password and reports position by position."""
        rows = list(queryset[:2])
        if len(rows) == 1:
            address = reverse("ops-act", args=[rows[0].slug, "emergency-close"])
            return HttpResponseRedirect(address)
        messages.error(
            request,
            "Nothing was closed: close one season at a time here, or all at once with manage.py emergency_close --all.",
        )
        return None

    @admin.action(description="Duplicate as a new draft", permissions=["add"])
    def duplicate(self, request: HttpRequest, queryset: Seasons) -> HttpResponse | None:
        return self._ask(request, "duplicate", queryset)

    def _ask(self, request: HttpRequest, act: str, queryset: Seasons) -> HttpResponse | None:
        rows = list(queryset[: MOST_AT_ONCE + 1])
        if len(rows) > MOST_AT_ONCE:
            messages.error(request, f"At most {MOST_AT_ONCE} seasons at once, please.")
            return None
        return HttpResponseRedirect(page_of(act, rows))

    def _each(self, request: HttpRequest, act: str, queryset: Seasons) -> None:
        actor = request.user.get_username()
        for row in queryset.select_related("feed"):
            try:
                unasked(act)(row, actor=actor, reason="", now=timezone.now())
            except ControlError as error:
                messages.error(request, f"{row.name} was not {ACTS[act].word}: {error}.")
            else:
                tell(self, request, act, row)
