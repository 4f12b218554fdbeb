"""How late the clock of the one-process arena ticks while eight seasons wait for slow models.

Every tick leaves its heartbeat, which is read from outside: two of them more than a second apart say by how much the later one was late.
Rounds follow each other every 20 s here, with models that take up to 14 s and all slots together, which is harder than rounds of 60 s.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from datetime import datetime
from itertools import pairwise

from bench.figures import Figure, percentile, tell
from bench.stage import model_server, serving, temporary_arena, work
from tests.arenas import Arena

SEASONS = 8
INTERVAL_SECONDS = 20
THINKING_MS = (14_000, 10_000, 6_000, 2_000)
SECONDS = 110
TICK_SECONDS = 1.0
AIM_SECONDS = 1.0
BEAT = "SELECT at FROM competitions_heartbeat WHERE name = 'clock'"
# Slots of first rounds passed before the arena ran.
OPENED = "SELECT opened_at, slot_at FROM competitions_round WHERE number > 1"


def measure() -> list[Figure]:
    """Return the ticks' lateness in milliseconds, and how long after their slots rounds were opened."""
    with model_server() as url, temporary_arena() as arena:
        work(arena, "bench.clock", url)
        with serving(arena):
            beats = _beats(arena)
        with _reading(arena) as connection:
            rounds = connection.execute(OPENED).fetchall()
    late = [max(0.0, after - before - TICK_SECONDS) for before, after in pairwise(beats)]
    opened = [_stamp(opened_at) - _stamp(slot_at) for opened_at, slot_at in rounds]
    return [
        Figure("tick lateness p50", 1000 * percentile(late, 0.5), "ms"),
        Figure("tick lateness p99", 1000 * percentile(late, 0.99), "ms", 1000 * AIM_SECONDS),
        Figure("slot to opened round p99", percentile(opened, 0.99), "s"),
        Figure("later rounds", len(rounds), ""),
        Figure("ticks", len(beats), ""),
    ]


def _beats(arena: Arena) -> list[float]:
    """Return the times of all ticks for a while."""
    found: list[float] = []
    ends_at = time.monotonic() + SECONDS
    with _reading(arena) as connection:
        while time.monotonic() < ends_at:
            row = connection.execute(BEAT).fetchone()
            if row is not None and (at := _stamp(row[0])) not in found[-1:]:
                found.append(at)
            time.sleep(0.1)
    return found


def _reading(arena: Arena) -> sqlite3.Connection:
    path = arena.url.removeprefix("sqlite:///")
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)


def _stamp(text: str) -> float:
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


def play(url: str) -> bool:
    """Start the seasons, each with the five baselines and a model for each time of thinking."""
    from bench.seasons import models_of, on_the_wall_clock
    from tests.builders import baselines

    names = [f"latency-{milliseconds}" for milliseconds in THINKING_MS]
    roster = [*baselines(), *models_of(url, names)]
    for place in range(SEASONS):
        on_the_wall_clock(f"clock-{place}", roster, seconds=INTERVAL_SECONDS)
    return True


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("http"):
        import django

        django.setup()
        print(json.dumps(play(sys.argv[1])))
    else:
        tell("clock", measure)
