"""From the commit of an event to its arrival at a viewer's socket, in the one-process arena while seasons are played.

Commits are seen by looking at the database file every 2 ms. An event has arrived at a page when the first frame came whose pulse names
it or a later one: the pulse is the last piece of a frame, so everything that the event changed is there. Also told: the delay of typed
events (``?format=json``), and the memory of the process with both providers' libraries in it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import websockets
from websockets import Origin

from bench.figures import Figure, percentile, tell
from bench.stage import model_server, serving, temporary_arena, work
from tests.arenas import Arena

CROWD = 50
SECONDS = 40
INTERVAL_SECONDS = 5
MODELS = 8
AIM_MS = 100.0
LOOK_SECONDS = 0.002
_PULSE = re.compile(r'id="pulse"[^>]* data-seq="(\d+)"')


@dataclass
class Viewer:
    """One open socket and when it first knew of each event."""

    seen: list[tuple[int, float]] = field(default_factory=list)

    def delays(self, commits: list[tuple[int, float]]) -> list[float]:
        """Return, for each commit after the first sight, the milliseconds until its last event was seen."""
        found, place = [], 0
        for seq, committed in commits:
            while place < len(self.seen) and self.seen[place][0] < seq:
                place += 1
            if place < len(self.seen) and committed > self.seen[0][1]:
                found.append(1000 * max(0.0, self.seen[place][1] - committed))
        return found


class Commits(threading.Thread):
    """Watches a database file for the competition's latest event."""

    def __init__(self, arena: Arena, slug: str) -> None:
        super().__init__(daemon=True)
        self.found: list[tuple[int, float]] = []
        self.stopped = threading.Event()
        self._path = arena.url.removeprefix("sqlite:///")
        self._slug = slug

    def run(self) -> None:
        query = "SELECT event_seq FROM competitions_competition WHERE slug = ?"
        with sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=20) as connection:
            version = last = -1
            while not self.stopped.wait(LOOK_SECONDS):
                changed = connection.execute("PRAGMA data_version").fetchone()[0]
                if changed == version:
                    continue
                version = changed
                seq = connection.execute(query, [self._slug]).fetchone()[0]
                if seq > last:
                    self.found.append((seq, time.perf_counter()))
                    last = seq


def measure() -> list[Figure]:
    """Return the 95th percentiles for one page, for one JSON listener, and for a crowd of pages."""
    with model_server() as url, temporary_arena() as arena:
        work(arena, "bench.push", url)
        with serving(arena) as served:
            address = served.url.replace("http", "ws") + "ws/competitions/push/"
            # A round first, so that libraries are loaded.
            time.sleep(2 * INTERVAL_SECONDS)
            alone = _delays(arena, [address])
            typed = _delays(arena, [f"{address}?format=json"])
            crowd = _delays(arena, [address] * CROWD)
            memory = served.resident_mb
    return [
        Figure("page p50", percentile(alone, 0.5), "ms"),
        Figure("page p95", percentile(alone, 0.95), "ms", AIM_MS),
        Figure("JSON p95", percentile(typed, 0.95), "ms", AIM_MS),
        Figure(f"{CROWD} pages p50", percentile(crowd, 0.5), "ms"),
        Figure(f"{CROWD} pages p95", percentile(crowd, 0.95), "ms", AIM_MS),
        Figure("memory with libraries", memory, "MB"),
    ]


def _delays(arena: Arena, addresses: list[str]) -> list[float]:
    viewers = asyncio.run(_watch(addresses, watcher := Commits(arena, "push")))
    return [delay for viewer in viewers for delay in viewer.delays(watcher.found)]


async def _watch(addresses: list[str], watcher: Commits) -> list[Viewer]:
    viewers = [Viewer() for _ in addresses]
    watching = [
        asyncio.create_task(_view(address, viewer))
        for address, viewer in zip(addresses, viewers, strict=True)
    ]
    watcher.start()
    await asyncio.sleep(SECONDS)
    watcher.stopped.set()
    # What was committed last may still arrive.
    await asyncio.sleep(1)
    for task in watching:
        task.cancel()
    for result in await asyncio.gather(*watching, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
    return viewers


async def _view(address: str, viewer: Viewer) -> None:
    async with websockets.connect(
        address, origin=_origin(address), compression=None, max_size=None
    ) as socket:
        async for frame in socket:
            at = time.perf_counter()
            assert isinstance(frame, str)
            if frame.startswith("{"):
                viewer.seen.append((json.loads(frame)["seq"], at))
            elif found := _PULSE.search(frame, max(0, len(frame) - 1000)):
                viewer.seen.append((int(found[1]), at))


def _origin(address: str) -> Origin:
    """Return what a browser on the arena's own page would say it comes from."""
    return Origin(f"http://{urlsplit(address).netloc}")


def play(url: str) -> bool:
    """Start a season of five baselines and models that take up to four seconds."""
    from bench.seasons import models_of, on_the_wall_clock
    from tests.builders import baselines

    names = [f"jitter-200-4000-{place}" for place in range(MODELS)]
    roster = [*baselines(), *models_of(url, names)]
    on_the_wall_clock("push", roster, seconds=INTERVAL_SECONDS)
    return True


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("http"):
        import django

        django.setup()
        print(json.dumps(play(sys.argv[1])))
    else:
        tell("push", measure)
