"""Health pages (is the process alive, and can it work), the API's page, and the icon that browsers ask for."""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arena_site.preparation import migrations_pending

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer that the process is alive; touches nothing else."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when database, migrations and (if used) Redis are ready, else 503."""
    parts = {"database": _database_state(), "broker": _redis_state()}
    is_ready = all(state == "ok" for state in parts.values())
    return JsonResponse({"ready": is_ready, **parts}, status=200 if is_ready else 503)


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Lead to the icon; pages without a link to it, such as the admin's, are asked for this."""
    return redirect(static("icon.svg"))


@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    """Show what the JSON API takes and answers."""
    return render(request, "api/docs.html")


def _database_state() -> str:
    try:
        return "migrations pending" if migrations_pending() else "ok"
    except DatabaseError:
        logger.exception("database not ready")
        return "unreachable"


def _redis_state() -> str:
    if not settings.REDIS_URL:
        return "ok"
    from redis.exceptions import RedisError

    try:
        cache.get("readyz")
    except RedisError:
        logger.exception("redis not ready")
        return "unreachable"
    return "ok"
