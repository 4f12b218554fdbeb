"""Secrets that the suite itself uses, and a watch that none of them is told anywhere while it runs.

Watched are the signing key, the encryption keys, every key that a test puts into the environment and the secret part of every
API key made: no answer of a page, no log record, no traceback and no output of a test may hold one. ``tests/canaries`` looks at
whole seasons in processes of their own.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Generator, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.test.client import ClientHandler

SECRET_NAME = re.compile(r"(_KEY|_SECRET|_TOKEN|_PASSWORD)$")
LENGTH = 12
# Shown once, to the one who made it.
SHOWN_ONCE = ("/admin/competitions/apikey/add/",)

_planted: set[str] = set()
_leaks: list[str] = []


def forms(secret: str) -> set[str]:
    """Return how a secret may be written: plain, in base64, quoted for an address, backwards, in hexadecimal."""
    plain = secret.encode()
    return {
        secret,
        base64.b64encode(plain).decode().rstrip("="),
        quote(secret, safe=""),
        secret[::-1],
        plain.hex(),
    }


def plant(secret: str) -> None:
    """Watch a secret until the test ends; short ones might be found by chance."""
    if len(secret) >= LENGTH:
        _planted.add(secret)


def found_in(text: str, planted: set[str] | None = None) -> list[str]:
    """Return the beginnings of the secrets that the text holds in any form."""
    watched = _planted if planted is None else planted
    return sorted(
        f"{secret[:14]}…" for secret in watched if any(form in text for form in forms(secret))
    )


@pytest.fixture(scope="session", autouse=True)
def _watched() -> Iterator[None]:
    real_token, real_answer = secrets.token_urlsafe, ClientHandler.__call__
    real_setenv = pytest.MonkeyPatch.setenv

    def token_urlsafe(nbytes: int | None = None) -> str:
        made = real_token(nbytes)
        if nbytes is not None and nbytes >= 32:
            plant(made)
        return made

    def setenv(self: pytest.MonkeyPatch, name: str, value: str, *rest: Any, **more: Any) -> None:
        if SECRET_NAME.search(name):
            plant(value)
        real_setenv(self, name, value, *rest, **more)

    def answer(self: ClientHandler, environ: dict[str, Any]) -> Any:
        response = real_answer(self, environ)
        path = environ.get("PATH_INFO", "")
        if not response.streaming and path not in SHOWN_ONCE:
            _note(f"the answer of {path}", response.content.decode("utf-8", "replace"))
            _note(f"a header of {path}", str(response.headers))
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "token_urlsafe", token_urlsafe)
        patch.setattr(pytest.MonkeyPatch, "setenv", setenv)
        patch.setattr(ClientHandler, "__call__", answer)
        yield


def _note(where: str, text: str) -> None:
    _leaks.extend(f"{where} tells {found}" for found in found_in(text))


@pytest.fixture(autouse=True)
def _no_secret_is_told(_watched: None, request: pytest.FixtureRequest) -> Iterator[None]:
    _planted.clear()
    _leaks.clear()
    for secret in (settings.SECRET_KEY, *settings.ARENA_ENCRYPTION_KEYS):
        plant(secret)
    yield
    assert _leaks == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, pytest.TestReport]:
    """Fail a test whose output or log holds a secret."""
    report: pytest.TestReport = yield
    told = [f"{name}: {found}" for name, text in report.sections for found in found_in(text)]
    if told:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} tells a secret in its {', '.join(told)}"
    return report
