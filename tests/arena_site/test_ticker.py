"""The clock's threads keep their pace and outlive errors."""

from __future__ import annotations

import itertools
import logging
import threading
import time

from arena_site.embedded.ticker import Ticker


def test_ticker_goes_on_after_an_error_and_logs_it(caplog):
    calls: list[int] = []
    reached = threading.Event()

    def step() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise ValueError("first call fails")
        reached.set()

    ticker = Ticker("clock", step, seconds=0.01)
    with caplog.at_level(logging.ERROR):
        ticker.start()
        assert reached.wait(5)
        ticker.stop()
        ticker.join(5)

    assert not ticker.is_alive()
    (failure,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert failure.getMessage() == "tick failed ticker=clock"
    assert failure.exc_info is not None


def test_slow_step_is_not_made_up_for():
    starts: list[float] = []

    def step() -> None:
        starts.append(time.monotonic())
        if len(starts) == 1:
            time.sleep(0.35)

    ticker = Ticker("clock", step, seconds=0.1)
    ticker.start()
    time.sleep(0.62)
    ticker.stop()
    ticker.join(5)

    # One at 0, then 0.35 at once, then every 0.1: never three in a burst.
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert len(starts) <= 5
    assert all(gap > 0.05 for gap in gaps)
