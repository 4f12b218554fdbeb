"""One instance at a time: a lock file that the kernel frees when its owner dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunningError(Exception):
    """Another process holds the lock; the message names its process id."""


@contextmanager
def instance_lock(path: Path) -> Iterator[None]:
    """Hold the lock file while the block runs.

    Raises:
        AlreadyRunningError: If another process holds it.
    """
    # Opened for appending: a loser must not empty the file that names the winner.
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise AlreadyRunningError(
                f"the arena is already running as process {owner} (lock file {path})"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        file.truncate(0)
