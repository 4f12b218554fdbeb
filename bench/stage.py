"""What benchmarks run on: an arena with a database of its own, a fake model server in a process of its own."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from tests.arenas import ROOT, Arena, open_arena

START_SECONDS = 30.0


@contextmanager
def temporary_arena(postgres_url: str | None = None) -> Iterator[Arena]:
    """Yield an arena with empty tables on SQLite, or in a new database of the PostgreSQL server at ``postgres_url``."""
    with (
        tempfile.TemporaryDirectory(prefix="arena-bench-") as folder,
        open_arena(Path(folder), postgres_url) as arena,
    ):
        yield arena


def work(arena: Arena, module: str, *arguments: object, seconds: float = 300) -> Any:
    """Run ``module`` in a process of the arena's and return what its last line says in JSON."""
    told = arena.run("-m", module, *map(str, arguments), seconds=seconds)
    return json.loads(told.strip().splitlines()[-1])


@contextmanager
def model_server() -> Iterator[str]:
    """Yield the address of a fake model server, which has a process to itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.llm_server", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://[0-9.:]+", line)
        if found is None:
            raise RuntimeError(f"the fake model server told no address: {line!r}")
        yield found[0]
    finally:
        end(process)


class Served:
    """A running arena: its address, its process, and the seconds from start to first answer."""

    def __init__(self, url: str, pid: int, seconds: float) -> None:
        self.url, self.pid, self.seconds = url, pid, seconds

    @property
    def resident_mb(self) -> float:
        """Return the memory that the process holds, in MB of 10^6 bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024 / 1e6


@contextmanager
def serving(arena: Arena, path: str = "healthz") -> Iterator[Served]:
    """Yield the one-process arena once ``path`` answers; ended as an operator would end it."""
    port = free_port()
    output = Path(arena.environment["ARENA_VAR_DIR"]) / "arena.log"
    started = time.monotonic()
    process = arena.spawn("manage.py", "arena", "--port", str(port), output=output)
    try:
        url = f"http://127.0.0.1:{port}/"
        seconds = _wait_for(f"{url}{path}", process, output) - started
        yield Served(url, process.pid, seconds)
    finally:
        end(process)


def _wait_for(url: str, process: subprocess.Popen[bytes], output: Path) -> float:
    """Return the time at which ``url`` first answered."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(url, timeout=5) as answer:
                answer.read()
                return time.monotonic()
        except (URLError, ConnectionError):
            time.sleep(0.01)
    said = output.read_text(encoding="utf-8")[-3000:]
    raise RuntimeError(f"no answer from {url} within {START_SECONDS:.0f} s: {said}")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def end(process: subprocess.Popen[Any]) -> None:
    """End a process that we started, by force if it does not listen."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
