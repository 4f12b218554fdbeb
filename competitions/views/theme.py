"""The viewer's choice of light and dark."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

THEMES = ("auto", "light", "dark")
YEAR_SECONDS = 365 * 24 * 3600


@never_cache
@require_safe
def theme(request: HttpRequest, name: str) -> HttpResponse:
    """Keep the choice in a cookie and go back to where it was made; works without a script."""
    if name not in THEMES:
        raise Http404
    target = request.GET.get("next", "/")
    is_ours = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    response = HttpResponseRedirect(target if is_ours else "/")
    if name == "auto":
        response.delete_cookie("theme", samesite="Lax")
    else:
        response.set_cookie(
            "theme",
            name,
            max_age=YEAR_SECONDS,
            samesite="Lax",
            httponly=True,
            secure=request.is_secure(),
        )
    return response
