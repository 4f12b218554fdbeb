"""An arena of its own: a database nobody else uses, and the commands run in processes as people run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ("-m", "tests.season_script")


@dataclass(frozen=True)
class Arena:
    """The environment of commands, with its database's URL."""

    environment: dict[str, str]
    url: str

    def run(self, *arguments: str, seconds: float = 100) -> str:
        """Run Python with ``arguments`` to its end and return what it said; fails unless it ends well."""
        done = self.try_run(*arguments, seconds=seconds)
        assert done.returncode == 0, f"{arguments}: {done.stdout[-3000:]}{done.stderr[-5000:]}"
        return done.stdout

    def try_run(self, *arguments: str, seconds: float = 100) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def spawn(self, *arguments: str, output: Path) -> subprocess.Popen[bytes]:
        """Start Python with ``arguments`` and let it run, its words going to ``output``."""
        with output.open("ab") as file:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def manage(self, *arguments: str, seconds: float = 100) -> str:
        return self.run("manage.py", *arguments, seconds=seconds)

    def make_season(self, slug: str, candles: Path, server_url: str, **options: object) -> None:
        """Make a draft of the main job (see ``tests/season_script.py`` for the options)."""
        extra = [f"--{name}={value}" for name, value in options.items()]
        self.run(*SCRIPT, "make", slug, str(candles), server_url, *extra, seconds=300)

    def facts(self, slug: str) -> dict[str, Any]:
        """Return figures of a season, read by a process of their own."""
        facts: dict[str, Any] = json.loads(self.run(*SCRIPT, "facts", slug))
        return facts

    def count(self, query: str) -> int:
        """Return the number that an SQL query gives, from outside of Django."""
        if self.url.startswith("postgres"):
            with psycopg.connect(self.url, autocommit=True) as connection:
                row = connection.execute(query).fetchone()  # type: ignore[call-overload]
                return int(row[0])
        import sqlite3

        path = self.url.removeprefix("sqlite:///")
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20) as connection:
            return int(connection.execute(query).fetchone()[0])


@contextmanager
def open_arena(folder: Path, postgres_url: str | None = None) -> Iterator[Arena]:
    """Yield an arena with tables and nothing in them: an SQLite file in ``folder``, or a new database of the PostgreSQL server."""
    if postgres_url is None:
        arena = _arena(folder, f"sqlite:///{folder}/arena.sqlite3")
        arena.manage("migrate", "--verbosity", "0")
        yield arena
        return
    name = f"arena_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
    try:
        arena = _arena(folder, postgres_url.rsplit("/", 1)[0] + f"/{name}")
        arena.manage("migrate", "--verbosity", "0")
        yield arena
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[call-overload]


def _arena(folder: Path, url: str) -> Arena:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": url,
        "SECRET_KEY": "x" * 50,
        "ARENA_VAR_DIR": str(folder),
        "BINANCE_FAPI_BASE_URL": "http://127.0.0.1:9",
        "LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "arena_site.settings",
    }
    return Arena(environment, url)
