"""A Celery worker as a thread of the server's process."""

from __future__ import annotations

import os
import threading
from typing import Any

from django.conf import settings

START_SECONDS = 15.0


class SilentWorkerError(Exception):
    """The worker takes no tasks; the message says what to look at."""


class WorkerThread(threading.Thread):
    """Plays turns from the in-memory broker in a pool of threads."""

    def __init__(self, *, concurrency: int) -> None:
        super().__init__(name="worker", daemon=True)
        # The command has run the checks already.
        os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
        self._ready = threading.Event()
        self._controller = _make_controller(self._ready, concurrency)

    def run(self) -> None:
        """Work until told to stop."""
        self._controller.start()

    def start_and_wait(self) -> None:
        """Start, and return when tasks are being taken.

        Raises:
            SilentWorkerError: If that takes too long.
        """
        self.start()
        if not self._ready.wait(START_SECONDS):
            reason = "; does Redis answer at REDIS_URL?" if settings.REDIS_URL else ""
            raise SilentWorkerError(
                f"the worker did not start within {START_SECONDS:.0f} s{reason}"
            )

    def stop(self) -> None:
        """Take no more tasks; those that run are left to end."""
        from celery.worker import state

        state.should_stop = 0  # type: ignore[assignment]  # an exit code


def _make_controller(ready: threading.Event, concurrency: int) -> Any:
    from celery.worker import WorkController

    from arena_site.celery import app

    # celery.apps.worker.Worker would install signal handlers, which a thread may not.
    class Controller(WorkController):
        def on_consumer_ready(self, consumer: object) -> None:
            ready.set()

    app.finalize()
    app.set_current()
    app.set_default()
    return Controller(
        app=app,
        hostname="embedded@localhost",
        queues=["turns", "clock"],
        pool="threads",
        concurrency=concurrency,
        loglevel="INFO",
        without_heartbeat=True,
        without_mingle=True,
        without_gossip=True,
    )
