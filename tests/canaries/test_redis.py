"""The split arena among secrets: Redis is sent none of them, and keeps none."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from dataclasses import replace

import pytest
import redis
from cryptography.fernet import Fernet

from tests.arenas import open_arena
from tests.canaries.crawl import Visitor
from tests.canaries.parrot import ParrotServer
from tests.canaries.test_season import ENVIRONMENT, client_at
from tests.services.processes import (
    beat,
    free_port,
    in_one_lap,
    open_redis,
    open_split,
    wait_until,
    web,
    worker,
)
from tests.watch import found_in

pytestmark = [pytest.mark.services, pytest.mark.timeout(240), in_one_lap]

CLOSED = (
    "SELECT count(*) FROM competitions_round r JOIN competitions_competition c "
    "ON c.id = r.competition_id WHERE c.slug = 'canary' AND r.state = 'CLOSED'"
)


def test_redis_is_told_no_secret(postgres_url, tmp_path):
    planted = {name: f"canary/{name}+{secrets.token_hex(16)}" for name in ENVIRONMENT}
    planted["ARENA_ENCRYPTION_KEY"] = Fernet.generate_key().decode()
    planted["password of redis"] = f"canary-redis-{secrets.token_hex(12)}"
    port, told = free_port(), tmp_path / "monitor"
    with (
        open_redis(planted["password of redis"]) as broker,
        ParrotServer(drip_seconds=5) as models,
        open_arena(tmp_path, postgres_url) as plain,
    ):
        words = {**plain.environment, **planted, "REDIS_URL": broker.url, "LOG_LEVEL": "DEBUG"}
        arena = replace(plain, environment=words)
        planted |= json.loads(arena.run("-m", "tests.canaries.season", models.url))
        commands = {
            "web": web(port),
            "turns": worker("turns", 4, "turns"),
            "clock": worker("clock", 2, "clock"),
            "beat": beat(tmp_path),
            "feed": ("manage.py", "feed"),
        }
        with open_split(arena, tmp_path, commands) as split, told.open("wb") as output:
            monitor = subprocess.Popen(
                ["redis-cli", "-p", str(broker.port), "MONITOR"],
                env={**os.environ, "REDISCLI_AUTH": planted["password of redis"]},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            split.start()
            wait_until(lambda: arena.count(CLOSED) >= 3, seconds=120, wanted="three rounds")
            visitor = Visitor(client_at(f"http://127.0.0.1:{port}"))
            visitor.log_in("root", planted["password of root"])
            pages = [text for _, text in visitor.walk("/ops/", "/c/canary/", limit=20)]
            with redis.Redis.from_url(broker.url) as store:
                kept = [(name, store.dump(name)) for name in store.scan_iter()]
            monitor.terminate()
            monitor.wait(10)
            written = split.tails(10_000_000)

    secrets_of = set(planted.values())
    monitored = told.read_text(errors="replace")
    assert models.counts["parrot"] > 8
    assert monitored.count("competitions.tasks.play_turns") >= 3
    assert '"PUBLISH"' in monitored
    assert found_in(monitored, secrets_of) == []
    assert found_in(repr(kept), secrets_of) == []
    assert len(pages) == 20
    assert found_in("".join(pages), secrets_of) == []
    assert " DEBUG " in written
    assert found_in(written, secrets_of) == []
