"""Work that waits for a venue, done beside the loop that starts it: a venue that hangs holds up nobody but itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

from django.db import connection

logger = logging.getLogger(__name__)

AT_ONCE = 8
# Of each round of work, in seconds; what takes longer goes on by itself.
PATIENCE = 0.5


class Beside:
    """Jobs in threads of this process, by a key of which one runs at a time."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="beside")
        self._under_way: dict[Hashable, Future[int]] = {}

    def start(self, jobs: Mapping[Hashable, Callable[[], int]]) -> list[Future[int]]:
        """Start the jobs whose keys are not under way still, and return them for :meth:`finish`."""
        started = []
        for key, job in jobs.items():
            known = self._under_way.get(key)
            if known is None or known.done():
                self._under_way[key] = self._pool.submit(_run, key, job)
                started.append(self._under_way[key])
        return started

    def finish(self, started: list[Future[int]]) -> int:
        """Wait a little for the jobs and return the sum of what those say that have ended."""
        done, _ = wait(started, timeout=PATIENCE)
        return sum(job.result() for job in done)


def _run(key: Hashable, job: Callable[[], int]) -> int:
    """Run a job on a connection of its own; what it raises may come when nobody waits for it any more."""
    try:
        return job()
    except Exception:
        logger.exception("failed beside the loop: %s", key)
        return 0
    finally:
        connection.close()
