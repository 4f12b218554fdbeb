"""What every test gets: no network but loopback, no keys, an empty cache, and the services."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.watch import _no_secret_is_told, _watched, pytest_runtest_makereport

# Taken up by pytest from here.
__all__ = ["_no_secret_is_told", "_watched", "pytest_runtest_makereport"]

hypothesis_settings.register_profile(
    "fast", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# The same examples each time: a change is judged by itself, and new ones are looked for with "deep".
hypothesis_settings.register_profile(
    "ci",
    parent=hypothesis_settings.get_profile("fast"),
    max_examples=200,
    derandomize=True,
    database=None,
)
hypothesis_settings.register_profile(
    "deep", parent=hypothesis_settings.get_profile("fast"), max_examples=5000
)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SECRET_NAME = re.compile(r"(_API_KEY|_API_SECRET|_BOT_TOKEN|_WEBHOOK_URL|_BASE_URL)$")
# Nobody listens on the discard port: refused at once, without leaving the machine.
CLOSED_URL = "http://127.0.0.1:9"


class OutsideNetworkError(RuntimeError):
    """A test reached for another machine. No OSError: the arena must not take it for an outage."""


def _is_loopback(host: str) -> bool:
    if host in ("localhost", ""):
        return True
    try:
        address = ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


@pytest.fixture(scope="session", autouse=True)
def _only_loopback() -> Iterator[None]:
    real_connect, real_connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refuse(sock: socket.socket, address: Any) -> None:
        if sock.family == socket.AF_UNIX or _is_loopback(str(address[0])):
            return
        raise OutsideNetworkError(f"tests stay on this machine, but one connects to {address!r}")

    def connect(self: socket.socket, address: Any) -> None:
        refuse(self, address)
        real_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        refuse(self, address)
        return real_connect_ex(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Take connections without the pool: the sockets' test client keeps those of threads that end.

    The pool itself is used in tests/services, by real processes.
    """
    from django.db import connections

    connections.settings["default"].get("OPTIONS", {}).pop("pool", None)


@pytest.fixture(autouse=True)
def _no_keys_of_the_developer(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    for name in list(os.environ):
        if SECRET_NAME.search(name):
            monkeypatch.delenv(name)
    settings.BINANCE_FAPI_BASE_URL = CLOSED_URL
    settings.BINANCE_FSTREAM_BASE_URL = "ws://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _own_cache(settings: Any) -> None:
    """Start each test with an empty cache, though Redis is shared by all that run."""
    from django.core.cache import cache

    if not settings.REDIS_URL:
        cache.clear()
        return
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    settings.CACHES = {"default": {**settings.CACHES["default"], "KEY_PREFIX": prefix}}
    layer = settings.CHANNEL_LAYERS["default"]
    settings.CHANNEL_LAYERS = {
        "default": {**layer, "CONFIG": {**layer["CONFIG"], "prefix": prefix}}
    }


@pytest.fixture
def quick_passwords(settings: Any) -> None:
    """Hash passwords in no time, where the test is not about how."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave recorded data aside unless a directory of it is named."""
    if os.environ.get("ARENA_TEST_DATA"):
        return
    skip = pytest.mark.skip(reason="ARENA_TEST_DATA names no directory of recorded data")
    for item in items:
        if item.get_closest_marker("real_data"):
            item.add_marker(skip)


def _service(variable: str) -> str:
    value = os.environ.get(variable, "")
    if value:
        return value
    message = f"{variable} is not set"
    if os.environ.get("ARENA_TEST_REQUIRE_SERVICES") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """Return a postgres:// URL whose role may make databases."""
    return _service("ARENA_TEST_POSTGRES_URL")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Return the URL of a Redis database that tests may fill."""
    return _service("ARENA_TEST_REDIS_URL")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Return the path of a Chromium that playwright can drive."""
    return _service("ARENA_TEST_CHROMIUM")


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    """Yield a Chromium; keep async tests out of modules that use it."""
    from playwright.sync_api import sync_playwright

    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    # playwright keeps a loop running in this thread, which Django takes for an async caller.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        opened = playwright.chromium.launch(executable_path=chromium_path, args=arguments)
        yield opened
        opened.close()
