"""The main job in small: a season of baselines and models over both protocols, whole, twice, torn and shuffled."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

import pytest

from competitions.models import Turn
from competitions.services.driving import drive
from competitions.services.verifying import verify_season
from tests.arenas import Arena
from tests.builders import (
    MODELS,
    TRADER,
    baselines,
    import_market,
    make_main_season,
    make_model,
    make_season,
    start_season,
)
from tests.fakes.llm_server import CYCLE
from tests.fakes.season_server import SeasonServer

ROUNDS = 6
# The digest of the season of six rounds: the same on every machine and database, in whatever order answers came. It changes
# with what models are told (prompts, indicators), with the baselines and with the engine's arithmetic: then look whether that was
# meant, and put the new one here.
DIGEST = "8f804325e9b4cb28c83ddfb5e69c8c3ec823168db12c0c85255f8b2215451949"

CLOSED = "SELECT count(*) FROM competitions_round WHERE state = 'CLOSED'"


def digest_told(output: str) -> str:
    found = re.search(r"season digest ([0-9a-f]{64})", output)
    assert found, output
    return found[1]


@pytest.mark.timeout(240)
def test_main_job_trades_through_every_fault_and_verifies(
    arena: Arena, candle_files: Path, server: SeasonServer
) -> None:
    # Two rounds for each of the thirteen kinds of fault.
    arena.make_season("main", candle_files, server.url, rounds=2 * len(CYCLE))

    told = arena.manage("run_competition", "main", seconds=200)

    facts = arena.facts("main")
    assert (facts["status"], facts["rounds"]) == ("FINISHED", 26)
    assert (facts["turns"], facts["unsettled"], facts["unfinished"]) == (26 * 8, 0, 0)
    assert [kind for kind in CYCLE if not server.counts[kind]] == []
    # Of 78 turns of three models at least 60 % trade.
    traded = sum(facts["outcomes"].get(f"{model.slug} TRADED", 0) for model in MODELS)
    assert traded >= 47
    outcomes = Counter({name.split()[1]: count for name, count in facts["outcomes"].items()})
    assert {"TRADED", "HELD", "INVALID", "REFUSED", "TIMEOUT", "ERROR"} <= set(outcomes)
    assert facts["denied"] > 0
    assert facts["problems"] == []
    assert digest_told(told) == facts["digest"]
    assert "everything agrees" in arena.manage("verify", "main")


@pytest.mark.django_db
def test_digest_is_the_known_one(candle_files: Path, server: SeasonServer) -> None:
    feed = import_market(sorted(candle_files.iterdir()))
    season = start_season(make_main_season("small", feed, server.url, max_rounds=ROUNDS))

    played = [round_.number for round_ in drive(season, rounds=None)]

    season.refresh_from_db()
    assert played == [1, 2, 3, 4, 5, 6]
    assert not Turn.objects.unsettled().exists()
    assert verify_season(season).problems == []
    assert season.season_digest == DIGEST


@pytest.mark.parametrize("chunk", [1, 50])
def test_digest_is_the_same_for_shuffled_answers_in_chunks(
    arena: Arena, candle_files: Path, chunk: int
) -> None:
    with SeasonServer(shuffle_seconds=0.3) as shuffled:
        arena.make_season("small", candle_files, shuffled.url, rounds=ROUNDS)
        told = arena.manage("run_competition", "small", "--chunk", str(chunk))

    assert digest_told(told) == DIGEST


@pytest.mark.django_db
def test_a_season_played_twice_has_one_digest(candle_files: Path, server: SeasonServer) -> None:
    feed = import_market(sorted(candle_files.iterdir()))
    roster = [*baselines(), make_model(TRADER, server.url)]
    seasons = [make_season(slug, feed, roster, max_rounds=3) for slug in ("first", "second")]

    for season in seasons:
        list(drive(start_season(season), rounds=None))
        season.refresh_from_db()

    assert seasons[0].contract_hash == seasons[1].contract_hash
    assert seasons[0].season_digest == seasons[1].season_digest != ""


@pytest.mark.timeout(240)
def test_a_season_killed_in_the_middle_goes_on_to_the_same_digest(
    arena: Arena, candle_files: Path, tmp_path: Path
) -> None:
    with SeasonServer(shuffle_seconds=0.2) as shuffled:
        arena.make_season("small", candle_files, shuffled.url, rounds=ROUNDS)
        for closed, wait in ((1, 0.15), (2, 0.3), (4, 0.1)):
            kill_driver(arena, tmp_path / "output", closed=closed, wait=wait)
        told = arena.manage("run_competition", "small")

    facts = arena.facts("small")
    assert digest_told(told) == DIGEST
    assert (facts["unsettled"], facts["unfinished"], facts["problems"]) == (0, 0, [])
    assert arena.count(DOUBLED) == 0


# Completions beyond two tries of a turn, had a stored one been paid for again.
DOUBLED = "SELECT count(*) FROM agents_completion WHERE attempt > 2"


def kill_driver(arena: Arena, output: Path, *, closed: int, wait: float) -> None:
    """Drive the season until ``closed`` rounds are closed, ``wait`` seconds longer, and end the process as an outage would."""
    driver = arena.spawn("manage.py", "run_competition", "small", output=output)
    try:
        deadline = time.monotonic() + 60
        while arena.count(CLOSED) < closed:
            assert driver.poll() is None, output.read_text()[-3000:]
            assert time.monotonic() < deadline, f"{closed} closed rounds are wanted"
            time.sleep(0.05)
        time.sleep(wait)
    finally:
        driver.kill()
        driver.wait(10)
    assert arena.count(CLOSED) < ROUNDS, "killed too late to tell anything"
