"""From the start of ``manage.py arena`` on a prepared database to its first page, and the memory it holds after a minute of demo rounds."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from bench.figures import Figure, tell
from bench.stage import serving, temporary_arena
from tests.arenas import Arena

STARTS = 3
PAGE = "c/demo/"
DEMO_SECONDS = 60
PAGE_AIM_SECONDS = 3.0
MEMORY_AIM_MB = 200.0


def measure() -> list[Figure]:
    """Return the median of a few starts, and the memory at the end of the last one's minute."""
    with temporary_arena() as arena:
        _hide(arena, "pyarrow")
        arena.manage("prepare")
        seconds = []
        for _ in range(STARTS):
            with serving(arena, PAGE) as served:
                seconds.append(served.seconds)
        with serving(arena, PAGE) as served:
            time.sleep(DEMO_SECONDS)
            memory = served.resident_mb
        rounds = arena.count("SELECT count(*) FROM competitions_round WHERE state = 'CLOSED'")
    return [
        Figure("start to first page", median(seconds), "s", PAGE_AIM_SECONDS),
        Figure(f"memory after {DEMO_SECONDS} s", memory, "MB", MEMORY_AIM_MB),
        Figure("rounds played meanwhile", rounds, ""),
    ]


def _hide(arena: Arena, package: str) -> None:
    """Keep a package from the arena that only the tests bring: pandas loads it where it is, for 40 MB."""
    folder = Path(arena.environment["ARENA_VAR_DIR"]) / "hidden"
    folder.mkdir()
    told = f"raise ImportError('{package} is hidden')\n"
    (folder / f"{package}.py").write_text(told, encoding="ascii")
    arena.environment["PYTHONPATH"] = str(folder)


if __name__ == "__main__":
    tell("startup", measure)
