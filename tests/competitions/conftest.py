"""A fake model server, a market in files, and arenas of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections

from tests.arenas import Arena, open_arena
from tests.builders import write_candles
from tests.fakes.season_server import SeasonServer

# Warm-up, 26 rounds of five minutes, and the bar that the last one fills on.
MINUTES = 120 + 26 * 5 + 10


@pytest.fixture
def server() -> Iterator[SeasonServer]:
    with SeasonServer() as running:
        yield running


@pytest.fixture(scope="session")
def candle_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the walks of seven symbols: CSV, packed CSV and Parquet."""
    folder = tmp_path_factory.mktemp("candles")
    write_candles(folder, MINUTES)
    return folder


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Arena]:
    """Yield an arena with a database of its own, of the kind that the suite runs on."""
    url = os.environ.get("DATABASE_URL", "")
    with open_arena(tmp_path, url if url.startswith("postgres") else None) as opened:
        yield opened


@pytest.fixture
def threads_database(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """Let the test use a database that several threads can share, each on its own connection.

    The suite's SQLite lies in memory, where threads lock one another out; here it is a file, as in a running arena.
    """
    if connections["default"].vendor == "postgresql":
        yield
        return
    known, name = connections["default"], connections.settings["default"]["NAME"]
    connections.settings["default"]["NAME"] = str(tmp_path / "threads.sqlite3")
    del connections["default"]
    try:
        call_command("migrate", verbosity=0)
        yield
        connections["default"].close()
    finally:
        connections.settings["default"]["NAME"] = name
        connections["default"] = known
