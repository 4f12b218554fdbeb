"""The split arena's processes, started as operators start them, and a Redis of their own; ended by process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.arenas import ROOT, Arena

# For tests that are the same in both laps of .ci/run.
in_one_lap = pytest.mark.skipif(
    bool(os.environ.get("DATABASE_URL")),
    reason="runs in the SQLite lap, on a PostgreSQL database of its own",
)
CELERY = ("-m", "celery", "-A", "arena_site.celery")
QUIET = ("--without-gossip", "--without-mingle", "--loglevel", "INFO")


def worker(queue: str, threads: int, name: str) -> tuple[str, ...]:
    """Return the arguments of a worker, as docker-compose.yml has them."""
    pool = ("--pool", "threads", "--concurrency", str(threads))
    return (*CELERY, "worker", "-Q", queue, *pool, "-n", f"{name}@%h", *QUIET)


def web(port: int) -> tuple[str, ...]:
    """Return the arguments of a web process on a port of this machine."""
    return (
        "-m",
        "daphne",
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "arena_site.asgi:application",
    )


def beat(folder: Path) -> tuple[str, ...]:
    """Return the arguments of the process that rings."""
    return (*CELERY, "beat", "--schedule", f"{folder}/beat", "--pidfile", "")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Split:
    """Processes by name. A name that is started again is another life of it: its own output, its own name at the database.

    ``inside`` are the words that come before each command, such as those of ``read_only``.
    """

    arena: Arena
    folder: Path
    commands: Mapping[str, tuple[str, ...]]
    inside: tuple[str, ...] = ()
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    lives: dict[str, int] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        """Start processes by their names, all when none is named."""
        for name in names or self.commands:
            self.lives[name] = self.lives.get(name, 0) + 1
            with self.output(name).open("ab") as output:
                self.running[name] = subprocess.Popen(
                    [*self.inside, sys.executable, *self.commands[name]],
                    cwd=ROOT,
                    env={**self.arena.environment, "PGAPPNAME": self.life(name)},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )

    def life(self, name: str) -> str:
        return f"{name}.{self.lives[name]}"

    def all_lives(self) -> list[str]:
        return [f"{name}.{life}" for name in self.lives for life in range(1, self.lives[name] + 1)]

    def output(self, name: str) -> Path:
        return self.folder / f"{self.life(name)}.log"

    def kill(self, name: str) -> None:
        """End a process that lives as a crash does, and see it dead."""
        process = self.running.pop(name)
        assert process.poll() is None, f"{name} had ended before it was killed"
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL

    def dead(self) -> list[str]:
        """Return who ended unasked."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def stop(self) -> None:
        """End all: politely, then not."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def tails(self, characters: int = 2500) -> str:
        """Return the last words of every life of every process."""
        paths = sorted(self.folder.glob("*.log"))
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-characters:]}" for path in paths
        )


@dataclass
class RedisServer:
    """A Redis that keeps nothing on disk, like the one of docker-compose.yml; it may be killed and started again."""

    port: int
    password: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no")
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), *options, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        # By stdin, as in docker-compose.yml: an argument could be read by every process.
        wish = f"requirepass {self.password}\n" if self.password else ""
        assert self.process.stdin is not None
        self.process.stdin.write(wish.encode())
        self.process.stdin.close()
        wait_until(self._answers, seconds=10, wanted="Redis answers")

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, "Redis had ended before it was killed"
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait(10) == -signal.SIGKILL

    def _answers(self) -> bool:
        with socket.socket() as sock:
            sock.settimeout(1)
            return sock.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def open_redis(password: str = "") -> Iterator[RedisServer]:
    """Yield a running Redis on a free port."""
    server = RedisServer(free_port(), password)
    server.start()
    try:
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.process.kill()
            server.process.wait(10)


@contextmanager
def open_split(
    arena: Arena,
    folder: Path,
    commands: Mapping[str, tuple[str, ...]],
    inside: tuple[str, ...] = (),
) -> Iterator[Split]:
    """Yield processes, to be started by the test; what fails is told with their last words."""
    split = Split(arena, folder, commands, inside)
    try:
        yield split
    except Exception as error:
        raise AssertionError(f"{error!r}\n{split.tails()}") from error
    finally:
        split.stop()


NOBODY = 65534
# A name space of mounts in which nothing but a fresh /tmp can be written, like a container's.
SHUT = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -o remount,bind,ro /
exec 9<"$1"
mount -t tmpfs tmpfs /tmp
# Where the tree itself lies in /tmp it is put back.
if [ ! -d "$1" ]; then mkdir -p "$1"; mount --no-canonicalize --bind /proc/self/fd/9 "$1"; mount -o remount,bind,ro "$1"; fi
exec 9<&-
cd "$1"
shift
exec setpriv --reuid="$1" --regid="$1" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "${@:2}"
"""


def read_only() -> tuple[str, ...]:
    """Return the words that run a command as in a container: no rights, a read-only system, an empty /tmp.

    As nobody; where Python lies in a home that is closed to others, as a root without any right. Empty when it cannot be done here.
    """
    if os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("unshare"):
        return ()
    # Root in a container may be without the right to mount.
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return ()
    wanted = (Path(sys.executable).resolve(), Path(sys.executable).parent, ROOT)
    folders = [folder for path in wanted for folder in (path, *path.parents)]
    is_open = all(folder.stat().st_mode & 0o005 == 0o005 for folder in folders)
    user = str(NOBODY if is_open else 0)
    return ("unshare", "--mount", "bash", "-c", SHUT, "shut", str(ROOT), user)


def wait_until(is_so: Callable[[], bool], *, seconds: float, wanted: str) -> float:
    """Return after how many seconds it was so; fail when it was not in time."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < seconds, f"after {seconds:g} s not yet: {wanted}"
        time.sleep(0.05)
    return time.monotonic() - began


def talks_to(process: subprocess.Popen[bytes], port: int) -> bool:
    """Tell whether the process has an open connection to a port of this machine, by what the kernel says."""
    descriptors = Path(f"/proc/{process.pid}/fd")
    own = set()
    for descriptor in descriptors.iterdir():
        try:
            own.add(str(descriptor.readlink()))
        except OSError:
            # Closed while we looked.
            continue
    established = "01"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, state, *rest = line.split()
        is_there = state == established and int(remote.split(":")[1], 16) == port
        if is_there and f"socket:[{rest[5]}]" in own:
            return True
    return False
