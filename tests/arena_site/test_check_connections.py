from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.fakes.binance_rest import BinanceServer

pytestmark = pytest.mark.django_db


def _run():
    out = io.StringIO()
    try:
        call_command("check_connections", stdout=out, no_color=True)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


def test_all_that_answer_are_told_with_their_latency(settings):
    with BinanceServer() as server:
        settings.BINANCE_FAPI_BASE_URL = server.url
        out, error = _run()

    assert error == ""
    assert f"database  ok in 0 ms: {connection.vendor}" in out or "database  ok in" in out
    assert "binance   ok in" in out
    assert f"public prices at {server.url}" in out


def test_one_that_does_not_answer_ends_in_an_error(settings):
    settings.REDIS_URL = ""

    out, error = _run()

    assert error == "not reachable: binance"
    assert "binance   failed: Binance did not answer at http://127.0.0.1:9 within 3 s" in out
    assert "redis     not configured" in out


def test_a_redis_that_is_gone_is_told_without_its_password(settings):
    settings.REDIS_URL = "redis://:sesame@127.0.0.1:9/0"

    out, error = _run()

    assert error == "not reachable: redis, binance"
    assert "redis     failed: 127.0.0.1" in out
    assert "sesame" not in out
