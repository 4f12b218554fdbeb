"""The main job on recorded candles: 200 rounds, five baselines, three models, on both databases; prints its figures.

``make test-data DATA=DIR``; DIR holds ``candles/mit/usdm_1m_5m_2025-05-25_2025-06-24`` with SYMBOL-1m.parquet files. PostgreSQL
takes part when ARENA_TEST_POSTGRES_URL names a server.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.arenas import Arena, open_arena
from tests.builders import MODELS
from tests.fakes.llm_server import CYCLE
from tests.fakes.season_server import SeasonServer

pytestmark = [pytest.mark.real_data, pytest.mark.timeout(3600)]

FOLDER = Path("candles/mit/usdm_1m_5m_2025-05-25_2025-06-24")
ROUNDS = 200
PARTICIPANTS = 8
CLOSED = "SELECT count(*) FROM competitions_round WHERE state = 'CLOSED'"


@pytest.fixture(scope="module")
def candles() -> Path:
    folder = Path(os.environ["ARENA_TEST_DATA"]) / FOLDER
    assert folder.is_dir(), f"recorded candles are wanted in {folder}"
    return folder


@pytest.fixture(scope="module")
def sqlite_arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with open_arena(tmp_path_factory.mktemp("sqlite")) as arena:
        yield arena


@pytest.fixture(scope="module")
def plain_season(sqlite_arena: Arena, candles: Path) -> dict[str, Any]:
    """Return the facts of a season played through without disturbance, those of the models' side included."""
    with SeasonServer() as server:
        facts = make_and_play(sqlite_arena, "plain", candles, server)
    return facts


def make_and_play(arena: Arena, slug: str, candles: Path, server: SeasonServer) -> dict[str, Any]:
    began = time.monotonic()
    make(arena, slug, candles, server)
    made = time.monotonic()
    told = arena.manage("run_competition", slug, seconds=1800)
    played = time.monotonic()
    facts = arena.facts(slug)
    assert facts["digest"] == digest_told(told)
    seconds = {"import": made - began, "rounds": played - made, "verify": time.monotonic() - played}
    return {**facts, "faults": dict(server.counts), "seconds": seconds}


def make(arena: Arena, slug: str, candles: Path, server: SeasonServer) -> None:
    arena.make_season(
        slug,
        candles,
        server.url,
        rounds=ROUNDS,
        interval=900,
        timeframes="1m,15m",
        earliest=1,
    )


def digest_told(output: str) -> str:
    found = re.search(r"season digest ([0-9a-f]{64})", output)
    assert found, output
    return found[1]


def tell(name: str, facts: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = Counter[str]()
    for key, count in facts["outcomes"].items():
        outcomes[key.split()[1]] += count
    lines = [
        f"\n{name}: {facts['rounds']} rounds, {facts['turns']} turns, {facts['fills']} orders filled, {facts['denied']} legs denied",
        "  turns   " + ", ".join(f"{name} {count}" for name, count in outcomes.most_common()),
        f"  models traded in {traded(facts)} of {facts['rounds'] * len(MODELS)} turns",
        "  answers "
        + ", ".join(f"{key} {count}" for key, count in sorted(facts["faults"].items())),
        "  seconds " + ", ".join(f"{key} {took:.1f}" for key, took in facts["seconds"].items()),
        f"  digest  {facts['digest']}",
    ]
    with capsys.disabled():
        print("\n".join(lines))  # noqa: T201 - these figures are what the run is for


def traded(facts: dict[str, Any]) -> int:
    return sum(facts["outcomes"].get(f"{model.slug} TRADED", 0) for model in MODELS)


def test_models_trade_through_every_fault_and_it_verifies(
    plain_season: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    facts = plain_season
    tell("SQLite, undisturbed", facts, capsys)

    assert (facts["status"], facts["rounds"]) == ("FINISHED", ROUNDS)
    assert (facts["turns"], facts["unsettled"]) == (ROUNDS * PARTICIPANTS, 0)
    assert facts["unfinished"] == 0
    assert traded(facts) >= 0.6 * ROUNDS * len(MODELS)
    assert [kind for kind in CYCLE if not facts["faults"].get(kind)] == []
    assert facts["denied"] > 0
    assert facts["problems"] == []


def test_torn_and_shuffled_it_has_the_same_digest(
    plain_season: dict[str, Any],
    sqlite_arena: Arena,
    candles: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Answers in another order, a chunk per turn, and killed twice."""
    output = tmp_path / "output"
    with SeasonServer(shuffle_seconds=0.2) as server:
        make(sqlite_arena, "torn", candles, server)
        began = time.monotonic()
        for closed in (ROUNDS + ROUNDS // 3, ROUNDS + 2 * ROUNDS // 3):
            kill_driver(sqlite_arena, output, closed=closed)
        told = sqlite_arena.manage("run_competition", "torn", "--chunk", "1", seconds=1800)
        seconds = {"rounds": time.monotonic() - began}
        facts = {**sqlite_arena.facts("torn"), "faults": dict(server.counts), "seconds": seconds}
    tell("SQLite, shuffled, chunks of 1, killed twice", facts, capsys)

    assert digest_told(told) == plain_season["digest"]
    assert (facts["unsettled"], facts["unfinished"], facts["problems"]) == (0, 0, [])


def kill_driver(arena: Arena, output: Path, *, closed: int) -> None:
    """Drive the season and end the process in the round after the one in which ``closed`` rounds of the arena are closed."""
    driver = arena.spawn("manage.py", "run_competition", "torn", "--chunk", "1", output=output)
    try:
        while arena.count(CLOSED) < closed:
            assert driver.poll() is None, output.read_text()[-3000:]
            time.sleep(0.1)
        time.sleep(0.2)
    finally:
        driver.kill()
        driver.wait(10)


@pytest.mark.services
def test_on_postgresql_it_has_the_same_digest(
    plain_season: dict[str, Any],
    postgres_url: str,
    candles: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open_arena(tmp_path, postgres_url) as arena, SeasonServer() as server:
        facts = make_and_play(arena, "plain", candles, server)
    tell("PostgreSQL, undisturbed", facts, capsys)

    assert facts["digest"] == plain_season["digest"]
    assert facts["problems"] == []
