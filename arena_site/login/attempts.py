"""How often a password may be guessed, and from where: what the arena adds to django-axes."""

from __future__ import annotations

import ipaddress
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from django.conf import settings
from django.contrib.auth import logout
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from competitions.services.audit import record_act

# One household has a whole network of this size.
IPV6_PREFIX = 64


class AttemptHandler(AxesDatabaseHandler):  # type: ignore[misc]
    """Locks a name from one address at AXES_FAILURE_LIMIT, and from everywhere at FAILURE_LIMIT_OF_NAME.

    Whoever is signed in under the name is judged by the own address alone: strangers who guess at an
    operator's name must not keep that operator from an emergency close.
    """

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Return how many failures count against AXES_FAILURE_LIMIT; queries."""
        of_pair, of_name = map(_failures, self.get_user_attempts(request, credentials))
        is_wide = of_name >= settings.FAILURE_LIMIT_OF_NAME
        if is_wide and not _is_signed_in_as(request, get_client_username(request, credentials)):
            return max(of_pair, settings.AXES_FAILURE_LIMIT)
        return of_pair

    def reset_user_attempts(
        self, request: HttpRequest, credentials: dict[str, Any] | None = None
    ) -> int:
        """Forget the failures from this address alone: a login elsewhere gives a guesser no new tries."""
        of_pair, _ = self.filter_user_attempts(request, credentials)
        count: int = of_pair.delete()[0]
        return count


def _failures(attempts: QuerySet[Any]) -> int:
    total: int | None = attempts.aggregate(total=Sum("failures_since_start"))["total"]
    return total or 0


def _is_signed_in_as(request: HttpRequest, name: str | None) -> bool:
    return request.user.is_authenticated and request.user.get_username() == name


def client_address(request: HttpRequest) -> str | None:
    """Return where the request comes from; an IPv6 address stands for its network of 64 bits.

    With ARENA_PROXY_COUNT proxies in front it is what the outermost of them saw: the entry of
    X-Forwarded-For that many places from the right. What stands left of it was sent by the client.
    """
    count = settings.PROXY_COUNT
    seen = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    forwarded = _counted(seen[-count]) if 0 < count <= len(seen) else None
    return forwarded or _counted(request.META.get("REMOTE_ADDR") or "")


def client_words(
    username: str | None, ip_address: str | None, user_agent: str, path_info: str, request: Any
) -> str:
    """Return what the log says of a client: no name, since passwords are typed there by mistake."""
    return f"address={ip_address} path={path_info}"


def _counted(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    network = ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False)
    return str(network.network_address)


def locked_out(
    request: HttpRequest,
    response: HttpResponse | None = None,
    credentials: dict[str, Any] | None = None,
) -> HttpResponse:
    """Answer that there were too many wrong guesses; a session that guessed ends with it."""
    if request.user.is_authenticated:
        actor = request.user.get_username()
        record_act("signed out after wrong passwords", actor, actor=actor, now=timezone.now())
        logout(request)
    else:
        request.session.flush()
    minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
    answer = render(request, "registration/locked.html", {"minutes": minutes}, status=429)
    answer["Retry-After"] = str(minutes * 60)
    add_never_cache_headers(answer)
    return answer
