"""What piled up in Redis while nobody worked is gone at once, and opens nothing twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from tests.arenas import open_arena
from tests.services.processes import in_one_lap, open_redis, open_split, wait_until, worker

pytestmark = [pytest.mark.services, in_one_lap]

# Ticks that came too late, ticks that are still good, and copies of turns that were handed out long ago.
PILE_UP = """
import uuid, django; django.setup()
from competitions.tasks import open_due_rounds, play_turns
for number in range(1000):
    open_due_rounds.apply_async(expires=-60 if number % 2 else 600)
for number in range(200):
    play_turns.apply_async((str(uuid.uuid4()), [str(uuid.uuid4())]), expires=-60)
"""


@pytest.mark.timeout(180)
def test_a_backlog_of_ticks_is_drained_and_opens_each_round_once(postgres_url, tmp_path):
    with open_redis() as redis, open_arena(tmp_path, postgres_url) as bare:
        arena = replace(bare, environment={**bare.environment, "REDIS_URL": redis.url})
        arena.run(
            "-m",
            "tests.season_script",
            "live",
            "late",
            "http://127.0.0.1:9",
            "--models=0",
            "--interval=1",
        )
        arena.run("-c", PILE_UP)
        broker = Redis.from_url(redis.url)
        assert (broker.llen("clock"), broker.llen("turns")) == (1000, 200)
        commands = {
            "clock-1": worker("clock", 4, "clock-1"),
            "clock-2": worker("clock", 4, "clock-2"),
            "turns": worker("turns", 4, "turns"),
        }

        with open_split(arena, tmp_path, commands) as split:
            split.start()
            wait_until(
                lambda: broker.exists("clock", "turns", "unacked") == 0,
                seconds=60,
                wanted="empty queues",
            )
            assert split.dead() == []
            rounds = "SELECT count(*) FROM competitions_round"
            # 500 ticks were good, and all of them came within a few slots of a second.
            assert 1 <= arena.count(rounds) <= 60
            assert arena.count("SELECT max(number) FROM competitions_round") == arena.count(rounds)
            assert arena.count(f"{rounds} WHERE state = 'OPEN'") <= 1
            turns = "SELECT count(*) FROM competitions_turn"
            assert arena.count(turns) == 5 * arena.count(rounds)
        broker.close()
