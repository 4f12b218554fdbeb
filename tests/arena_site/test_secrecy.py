"""Secrets of the environment are in no log line and on no page of DEBUG."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest
from django.test import RequestFactory

from arena_site import secrecy
from arena_site.logs import OneLineFormatter
from arena_site.secrecy import secrets_in

KEY = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def _hidden() -> Iterator[None]:
    before = set(secrecy._hidden)
    secrecy.hide({KEY})
    yield
    secrecy.hide(before)


def test_secrets_are_found_by_the_names_of_their_variables():
    environ = {
        "OPENAI_API_KEY": KEY,
        "ARENA_ENCRYPTION_KEY": "first-key-1, second-key-2",
        "DATABASE_URL": "postgres://arena:p%40ssword-1@127.0.0.1/arena",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
        "TELEGRAM_BOT_TOKEN": "short",
        "PATH": "/usr/local/bin:/usr/bin",
    }

    assert secrets_in(environ) == {
        KEY,
        "first-key-1",
        "second-key-2",
        "p%40ssword-1",
        "p@ssword-1",
    }


def test_a_log_line_has_no_secret_though_a_library_tells_it():
    record = logging.LogRecord("x", logging.ERROR, "f.py", 1, "sent %r", ({"key": KEY},), None)

    assert OneLineFormatter("%(message)s").format(record) == "sent {'key': '[secret]'}"


def refuse(key: str) -> None:
    raise ValueError(f"refused with {key}")


def test_the_page_of_debug_shows_no_secret(settings):
    settings.DEBUG = True
    settings.REDIS_URL = f"redis://:{KEY}@127.0.0.1/0"
    header = {"authorization": f"Bearer {KEY}"}

    def explode(request: HttpRequest) -> None:
        refuse(header["authorization"])

    request = RequestFactory().get("/", headers={"x-whatever": KEY})
    answer = convert_exception_to_response(explode)(request)

    page = answer.content.decode()
    assert answer.status_code == 500
    assert "refused with Bearer [secret]" in page
    assert KEY not in page
