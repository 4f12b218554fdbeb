"""Settled turns per second: a season of baselines alone, on SQLite and on PostgreSQL.

PostgreSQL is the server of ARENA_TEST_POSTGRES_URL, or of 127.0.0.1:5432 where anybody may log in; without one its figure is left out.
"""

from __future__ import annotations

import json
import os
import sys
import time

import psycopg

from bench.figures import Figure, tell
from bench.stage import temporary_arena, work

AGENTS = 20
ROUNDS = 30
WARM_UP = 2
POSTGRES = "postgres://postgres@127.0.0.1:5432/postgres"


def measure() -> list[Figure]:
    """Return the turns a second over the whole season, snapshots and closing included."""
    figures = [_figure("SQLite", None)]
    url = os.environ.get("ARENA_TEST_POSTGRES_URL", POSTGRES)
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        print(f"turns: no PostgreSQL at {url}: {error}", file=sys.stderr)
    else:
        figures.append(_figure("PostgreSQL", url))
    return figures


def _figure(name: str, postgres_url: str | None) -> Figure:
    with temporary_arena(postgres_url) as arena:
        seconds: float = work(arena, "bench.turns", "play")
    return Figure(name, AGENTS * ROUNDS / seconds, "turns/s")


def play() -> float:
    """Play the season and return its seconds."""
    from bench.seasons import many_baselines, replayed
    from competitions.models import Turn
    from competitions.services.driving import drive

    season = replayed("turns", many_baselines(AGENTS), rounds=WARM_UP + ROUNDS)
    for _ in drive(season, rounds=WARM_UP):
        pass
    started = time.perf_counter()
    for _ in drive(season, rounds=ROUNDS):
        pass
    seconds = time.perf_counter() - started
    assert not Turn.objects.unsettled().exists()
    return seconds


if __name__ == "__main__":
    if sys.argv[1:] == ["play"]:
        import django

        django.setup()
        print(json.dumps(play()))
    else:
        tell("turns", measure)
