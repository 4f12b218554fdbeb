"""All competitions."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from competitions.selectors.listing import home_of


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show running, upcoming and finished competitions."""
    shown = home_of(request.user, now=timezone.now())
    return render(request, "competitions/home.html", {"home": shown})
