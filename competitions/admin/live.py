"""Real money in the admin: nothing about it is saved or started on an old login."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from competitions.models import Competition
from competitions.reauth import ask_again, open_question
from trading.models.books import Venue

Action = TypeVar("Action", bound=Callable[..., None])


class LiveGuard(admin.ModelAdmin[Competition]):
    """Asks for the password again before a competition with real money is saved."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id) if object_id else None
        venues = {request.POST.get("venue"), row.venue if row else None}
        if request.method == "POST" and Venue.BINANCE_LIVE in venues:
            question = open_question(request)
            if question is not None:
                return ask_again(request, question)
        return super().changeform_view(request, object_id, form_url, extra_context)


def proved_where_live(act: Action) -> Action:
    """Ask for the password again before an action of the list, if a chosen competition is about real money."""

    @wraps(act)
    def guarded(
        self: LiveGuard, request: HttpRequest, queryset: QuerySet[Competition]
    ) -> HttpResponse | None:
        if queryset.filter(venue=Venue.BINANCE_LIVE).exists():
            question = open_question(request)
            if question is not None:
                return ask_again(request, question)
        act(self, request, queryset)
        return None

    return cast("Action", guarded)
