"""Whether what the arena leans on can be reached: database, Redis, clocks, Binance, feeds, providers. Reads alone, and spends no tokens."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection

from agents.models import Provider
from agents.models.agents import ProviderKind
from agents.providers import api_key_for, base_url_for, key_in_use
from agents.providers.access import STORED
from arena_site.preparation import migrations_pending
from competitions.models import Competition
from competitions.models.competitions import CompetitionStatus
from marketdata.domain.default_instruments import default_specs
from marketdata.feeds import FeedError, open_feed
from marketdata.models import Feed, Instrument
from marketdata.models.feeds import FeedKind

OK, WARNING, FAILED, OFF = "ok", "warning", "failed", "off"
WAIT_SECONDS = 3.0
# Binance refuses signed requests that are five seconds old.
SKEW_WARN, SKEW_BAD = 1.0, 5.0
# What Binance allows an address in a minute, and from when on one should worry.
WEIGHT_LIMIT, WEIGHT_WARN = 2400, 1800
NOT_OVER = (
    CompetitionStatus.DRAFT,
    CompetitionStatus.SCHEDULED,
    CompetitionStatus.RUNNING,
    CompetitionStatus.PAUSED,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing asked: ok, warning, failed or off (not asked). Only what is needed can fail."""

    name: str
    state: str
    is_needed: bool
    took_ms: float | None
    detail: str


# State and words; it raises OSError, DatabaseError, FeedError or ValueError when there is no answer.
Check = Callable[[], tuple[str, str]]


def findings(*, with_providers: bool) -> Iterator[Finding]:
    """Ask one after the other and yield what was found; ``with_providers`` also connects to each provider's host."""
    database = _ask("database", _database, is_needed=True)
    yield database
    yield _redis_finding()
    yield _encryption_key()
    if database.state == FAILED:
        yield Finding("seasons", OFF, False, None, "not asked: the database comes first")
        return
    yield _ask("database clock", _database_clock, is_needed=True)
    yield from _binance()
    for feed in _feeds_in_use():
        yield _ask(f"feed {feed.slug}", partial(_feed, feed), is_needed=True)
    yield from _providers(with_providers=with_providers)


def _ask(name: str, check: Check, *, is_needed: bool) -> Finding:
    started = time.monotonic()
    try:
        state, detail = check()
    except (OSError, DatabaseError, FeedError, ValueError) as error:
        state, detail = FAILED, " ".join(str(error).split()) or type(error).__name__
    if state == FAILED and not is_needed:
        state = WARNING
    return Finding(name, state, is_needed, round((time.monotonic() - started) * 1000, 1), detail)


# --- the arena's own ------------------------------------------------------------------------------


def _database() -> tuple[str, str]:
    query = (
        "SHOW server_version" if connection.vendor == "postgresql" else "SELECT sqlite_version()"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        found = f"{connection.vendor} {cursor.fetchone()[0]}"
    if migrations_pending():
        return FAILED, f"{found}, but migrations are pending: run manage.py prepare"
    return OK, f"{found}, all migrations applied"


def _redis_finding() -> Finding:
    if not settings.REDIS_URL:
        return Finding("redis", OFF, False, None, "not configured: one process needs none")
    return _ask("redis", _redis, is_needed=True)


def _redis() -> tuple[str, str]:
    import redis

    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=WAIT_SECONDS, socket_timeout=WAIT_SECONDS
    )
    # The address carries a password: only the host is told.
    shown = str(client.connection_pool.connection_kwargs.get("host", "unix socket"))
    with closing(client):
        try:
            version = client.info("server")["redis_version"]
        except redis.RedisError as error:
            raise OSError(f"{shown}: {error}") from error
    return OK, f"{version} at {shown}"


def _encryption_key() -> Finding:
    count = len(settings.ARENA_ENCRYPTION_KEYS)
    if not count:
        words = "ARENA_ENCRYPTION_KEY is not set: no secret can be stored in the database"
        return Finding("encryption key", WARNING, False, None, words)
    old = f" and {count - 1} older" if count > 1 else ""
    return Finding("encryption key", OK, False, None, f"set{old}")


def _database_clock() -> tuple[str, str]:
    if connection.vendor != "postgresql":
        return OK, "the same machine"
    with connection.cursor() as cursor:
        before = datetime.now(UTC)
        cursor.execute("SELECT clock_timestamp()")
        its = cursor.fetchone()[0]
    return _skew(its, before, datetime.now(UTC), "the database's")


def _skew(its: datetime, before: datetime, after: datetime, whose: str) -> tuple[str, str]:
    """Judge another's clock, read between two looks at ours."""
    seconds = (before + (after - before) / 2 - its).total_seconds()
    state = FAILED if abs(seconds) > SKEW_BAD else WARNING if abs(seconds) > SKEW_WARN else OK
    way = "ahead of" if seconds > 0 else "behind"
    return state, f"our clock is {abs(seconds):.2f} s {way} {whose}"


# --- markets --------------------------------------------------------------------------------------


def _feeds_in_use() -> Sequence[Feed]:
    rows = Feed.objects.filter(competitions__status__in=NOT_OVER)
    return list(rows.distinct().order_by("slug"))


def _binance() -> Iterator[Finding]:
    """Yield what each host says; one that no season's feed uses is asked too, but cannot fail."""
    used = [feed for feed in _feeds_in_use() if feed.kind == FeedKind.BINANCE]
    hosts = {feed.base_url or settings.BINANCE_FAPI_BASE_URL for feed in used}
    for host in sorted(hosts | {settings.BINANCE_FAPI_BASE_URL}):
        is_needed, where = host in hosts, host.split("//")[-1]
        reached = _ask(f"binance {where}", partial(_ping, host), is_needed=is_needed)
        yield reached
        if reached.state == OK:
            yield _ask("binance clock", partial(_binance_clock, host), is_needed=is_needed)
            yield _ask("binance symbols", partial(_trading, host), is_needed=is_needed)
            yield _ask("binance weight", partial(_weight, host), is_needed=is_needed)


def _ping(host: str) -> tuple[str, str]:
    from marketdata.feeds.binance_rest import rest_at

    return OK, f"a ping took {rest_at(host).check() * 1000:.0f} ms"


def _binance_clock(host: str) -> tuple[str, str]:
    from marketdata.feeds.binance_rest import rest_at

    before = datetime.now(UTC)
    its = datetime.fromtimestamp(rest_at(host).server_time_ms() / 1000, UTC)
    return _skew(its, before, datetime.now(UTC), "Binance's")


def _trading(host: str) -> tuple[str, str]:
    from marketdata.feeds.binance_rest import rest_at

    rows = rest_at(host).exchange_info().get("symbols", [])
    states = {row.get("symbol"): row.get("status") for row in rows}
    asked = list(default_specs())
    shut = [
        f"{symbol} is {states.get(symbol, 'unknown')}"
        for symbol in asked
        if states.get(symbol) != "TRADING"
    ]
    if shut:
        return (
            WARNING,
            f"{len(asked) - len(shut)} of {len(asked)} known symbols trade; {', '.join(shut)}",
        )
    return OK, f"all {len(asked)} known symbols trade"


def _weight(host: str) -> tuple[str, str]:
    from marketdata.feeds.binance_rest import rest_at

    weight = rest_at(host).used_weight()
    if weight is None:
        return OK, "not told"
    return WARNING if weight > WEIGHT_WARN else OK, f"{weight} of {WEIGHT_LIMIT} used this minute"


def _feed(feed: Feed) -> tuple[str, str]:
    """Ask a feed for what its seasons trade: has it the symbols, and (where it is live) does it quote them."""
    rows = Instrument.objects.filter(
        competitions__feed=feed, competitions__status__in=NOT_OVER
    ).distinct()
    specs = [row.spec() for row in rows.order_by("symbol")]
    asked, source = [spec.symbol for spec in specs], open_feed(feed)
    known = source.symbols(asked)
    if source.is_live:
        quoted = source.quotes([spec for spec in specs if spec.symbol in known], datetime.now(UTC))
        known = [symbol for symbol in known if symbol in quoted]
    missing = [symbol for symbol in asked if symbol not in known]
    word = "quotes" if source.is_live else "has"
    if missing:
        return FAILED, f"{word} {len(known)} of {len(asked)} symbols, not {', '.join(missing)}"
    return OK, f"{feed.kind.lower()}: {word} all {len(asked)} symbols of its seasons"


# --- models ---------------------------------------------------------------------------------------


def _providers(*, with_providers: bool) -> Iterator[Finding]:
    rows = Provider.objects.enabled().exclude(kind__in=[ProviderKind.BASELINE, ProviderKind.BOT])
    used = set(
        Competition.objects.filter(status__in=NOT_OVER).values_list(
            "participants__agent__provider", flat=True
        )
    )
    for row in rows.order_by("slug"):
        yield _key(row, is_used=row.pk in used)
        if with_providers:
            has_key = api_key_for(row) is not None
            yield _ask(
                f"reach {row.slug}",
                partial(_reach_provider, row),
                is_needed=row.pk in used and has_key,
            )


def _key(provider: Provider, *, is_used: bool) -> Finding:
    name, found = f"key {provider.slug}", key_in_use(provider)
    if found.secret is not None:
        return Finding(name, OK, False, None, f"set, {_source(found.origin)}")
    if not found.is_missing:
        return Finding(name, OK, False, None, "none needed")
    words = found.problem or f"{found.origin} is not set"
    if is_used:
        return Finding(name, WARNING, False, None, f"{words}: its participants are skipped")
    return Finding(name, OFF, False, None, f"{words}, and no season asks it")


def _source(origin: str) -> str:
    if origin == STORED:
        return "stored"
    is_file = os.environ.get(f"{origin}_FILE")
    return f"from the file of {origin}_FILE" if is_file else f"from {origin}"


def _reach_provider(provider: Provider) -> tuple[str, str]:
    """Connect, greet by TLS where the address says https, and hang up: nothing is asked, so nothing is paid."""
    parts = urlsplit(base_url_for(provider))
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    try:
        with socket.create_connection((host, port), timeout=WAIT_SECONDS) as line:
            if not is_tls:
                return OK, f"{host}:{port} takes connections"
            with ssl.create_default_context().wrap_socket(line, server_hostname=host) as secured:
                return OK, f"{host}:{port} answers by {secured.version()}"
    except OSError as error:
        raise OSError(f"{host}:{port}: {error.strerror or error}") from error
