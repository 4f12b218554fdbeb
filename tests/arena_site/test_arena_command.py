"""One command opens the arena, tells where it is, and closes it in time."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
STOP_SECONDS = 5.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Arena:
    """An arena in a process of its own, with its output in a file."""

    def __init__(self, folder: Path, port: int) -> None:
        self.output = folder / "output"
        self.address = f"http://127.0.0.1:{port}/"
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "arena", "--port", str(port)],
                cwd=ROOT,
                env=environment(folder),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def text(self) -> str:
        return self.output.read_text()

    def get(self, path: str) -> str:
        with urlopen(self.address + path, timeout=5) as answer:
            return answer.read().decode()

    def wait_until(self, condition: Callable[[], bool], *, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)

    def is_up(self) -> bool:
        try:
            return self.get("healthz") == "ok\n"
        except URLError:
            return False

    def stop(self, with_signal: signal.Signals) -> float:
        started = time.monotonic()
        self.process.send_signal(with_signal)
        self.process.wait(20)
        return time.monotonic() - started


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the tests' own settings but the path; empty wins over a .env file."""
    return {
        "PATH": os.environ["PATH"],
        "ARENA_VAR_DIR": str(folder),
        "BINANCE_FAPI_BASE_URL": "http://127.0.0.1:9",
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "SECRET_KEY": "x" * 50,
    }


@pytest.fixture
def open_arena(tmp_path) -> Iterator[Callable[[], Arena]]:
    started: list[Arena] = []

    def opened() -> Arena:
        arena = Arena(tmp_path, free_port())
        started.append(arena)
        arena.wait_until(arena.is_up, seconds=START_SECONDS)
        return arena

    yield opened
    for arena in started:
        if arena.process.poll() is None:
            arena.process.kill()
            arena.process.wait()


def refused(folder: Path, *arguments: str, code: int = 1) -> str:
    failed = subprocess.run(
        [sys.executable, "manage.py", "arena", *arguments],
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert failed.returncode == code, failed.stdout + failed.stderr
    return failed.stderr


def test_arena_opens_plays_stops_and_goes_on(open_arena, tmp_path):
    first = open_arena()
    welcome = first.text()
    season = re.search(rf"{first.address}(c/[\w-]+/)", welcome)
    assert season is not None, welcome
    assert re.search(r"operator, password \S{12,} \(shown only now\)", welcome)
    assert "Ctrl-C" in welcome
    assert first.get(season[1])

    # A second one on the same directory is told who is there.
    message = refused(tmp_path, "--port", str(free_port()))
    assert f"already running as process {first.process.pid}" in message

    # Rounds close within ten seconds of the start, without anybody asking.
    first.wait_until(lambda: settled_rounds(tmp_path) >= 1, seconds=15)
    assert first.stop(signal.SIGINT) < STOP_SECONDS
    assert first.process.returncode == 0
    assert "Traceback" not in first.text()
    played = settled_rounds(tmp_path)

    second = open_arena()
    assert "password as set before" in second.text()
    assert f"{second.address}{season[1]}" in second.text()
    second.wait_until(lambda: settled_rounds(tmp_path) > played, seconds=30)
    assert second.stop(signal.SIGTERM) < STOP_SECONDS
    assert second.process.returncode == 0
    assert "Traceback" not in second.text()


def settled_rounds(folder: Path) -> int:
    import sqlite3

    with sqlite3.connect(folder / "arena.sqlite3", timeout=10) as connection:
        query = "SELECT count(*) FROM competitions_round WHERE state = 'CLOSED'"
        return connection.execute(query).fetchone()[0]


def test_taken_port_is_told_before_anything_is_made(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        message = refused(tmp_path, "--port", str(port))

    assert f"cannot listen on 127.0.0.1 port {port}: another program listens there" in message
    assert "--port" in message
    assert not (tmp_path / "arena.sqlite3").exists()


def test_foreign_address_is_refused(tmp_path):
    message = refused(tmp_path, "--host", "192.0.2.1", "--port", str(free_port()))

    assert "cannot listen on 192.0.2.1 port" in message


@pytest.mark.parametrize("port", ["0", "99999"])
def test_number_that_is_no_port_is_refused(tmp_path, port):
    message = refused(tmp_path, "--port", port, code=2)

    assert f"argument --port: a port from 1 to 65535 is wanted, was '{port}'" in message
