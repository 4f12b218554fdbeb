"""Threads that start together, for the tests of what several processes do at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections


@pytest.fixture
def together() -> Callable[[list[Callable[[], Any]]], list[Any]]:
    """Return a function that starts all calls at the same moment, each in a thread, and returns what they return."""

    def run(calls: list[Callable[[], Any]]) -> list[Any]:
        barrier = threading.Barrier(len(calls))

        def go(call: Callable[[], Any]) -> Any:
            barrier.wait(30)
            try:
                return call()
            finally:
                connections.close_all()

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(go, calls))

    return run
