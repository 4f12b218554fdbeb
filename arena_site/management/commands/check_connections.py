"""Tell whether the services the arena leans on can be reached."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from marketdata.feeds import FeedError

# What a check tells when it is well; it raises _Unreachable when it is not.
Check = Callable[[], str]


class _UnreachableError(Exception):
    """A service did not answer; the message says which and why."""


class Command(BaseCommand):
    help = (
        "Ask the database, Redis (if configured) and Binance's public interface for a sign of life."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        checks: list[tuple[str, Check]] = [("database", _database)]
        if settings.REDIS_URL:
            checks.append(("redis", _redis))
        checks.append(("binance", _binance))
        failed = [name for name, check in checks if not self._run(name, check)]
        if not settings.REDIS_URL:
            self.stdout.write("redis     not configured: one process needs none")
        if failed:
            raise CommandError(f"not reachable: {', '.join(failed)}")

    def _run(self, name: str, check: Check) -> bool:
        started = time.monotonic()
        try:
            words = check()
        except _UnreachableError as error:
            self.stdout.write(f"{name:<9} {self.style.ERROR('failed')}: {error}")
            return False
        took = (time.monotonic() - started) * 1000
        self.stdout.write(f"{name:<9} {self.style.SUCCESS('ok')} in {took:.0f} ms: {words}")
        return True


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        raise _UnreachableError(f"{connection.vendor}: {error}") from error
    return connection.vendor


def _redis() -> str:
    import redis

    # The address carries a password: only the host is told.
    client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=3, socket_timeout=3)
    shown = client.connection_pool.connection_kwargs.get("host", "unix socket")
    try:
        client.ping()
    except redis.RedisError as error:
        raise _UnreachableError(f"{shown}: {error}") from error
    finally:
        client.close()
    return str(shown)


def _binance() -> str:
    from marketdata.feeds.binance_rest import rest_at

    base_url = settings.BINANCE_FAPI_BASE_URL
    try:
        rest_at(base_url).check()
    except FeedError as error:
        raise _UnreachableError(str(error)) from error
    return f"public prices at {base_url}"
