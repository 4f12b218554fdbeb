"""All competitions."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show running, upcoming and finished competitions."""
    return HttpResponse("The arena.")
