"""A fake model server, a market in files, and arenas of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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
