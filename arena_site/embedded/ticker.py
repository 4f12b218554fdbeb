"""Threads that call one function at a steady pace, and outlive its errors."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections, connections

logger = logging.getLogger(__name__)


class Ticker(threading.Thread):
    """Calls ``step`` every ``seconds`` until stopped; a late call is not made up for."""

    def __init__(self, name: str, step: Callable[[], object], *, seconds: float) -> None:
        super().__init__(name=name, daemon=True)
        self._step = step
        self._seconds = seconds
        self._stopped = threading.Event()

    def run(self) -> None:
        """Tick until told to stop."""
        next_at = time.monotonic()
        while not self._stopped.wait(max(0.0, next_at - time.monotonic())):
            self._tick()
            next_at = max(next_at + self._seconds, time.monotonic())
        connections.close_all()

    def stop(self) -> None:
        """Let the running call be the last one."""
        self._stopped.set()

    def _tick(self) -> None:
        try:
            close_old_connections()
            self._step()
        except Exception:
            logger.exception("tick failed ticker=%s", self.name)
