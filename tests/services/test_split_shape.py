"""The same code on PostgreSQL and Redis, as several processes see it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from urllib.request import urlopen

import psycopg
import pytest
import yaml

from tests.arenas import ROOT, Arena
from tests.services.processes import free_port, in_one_lap, open_split, read_only, wait_until

pytestmark = pytest.mark.services


@pytest.fixture
def split_environment(postgres_url, redis_url, tmp_path) -> Iterator[dict[str, str]]:
    """Yield the environment of a split arena with a database of its own."""
    name = f"arena_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": postgres_url.rsplit("/", 1)[0] + f"/{name}",
        "REDIS_URL": redis_url,
        "SECRET_KEY": "x" * 50,
        "ARENA_VAR_DIR": str(tmp_path),
        "BINANCE_FAPI_BASE_URL": "http://127.0.0.1:9",
        "LOG_LEVEL": "WARNING",
    }
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def run(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


READY = """
import django; django.setup()
from django.test import Client
answer = Client().get("/readyz", headers={"host": "localhost"})
print(answer.status_code, answer.content.decode())
"""


def test_ready_only_when_the_tables_are_there(split_environment):
    environment = {**split_environment, "DJANGO_SETTINGS_MODULE": "arena_site.settings"}
    status, body = run(environment, "-c", READY).split(" ", 1)
    assert (status, json.loads(body)["database"]) == ("503", "migrations pending")

    run(environment, "manage.py", "migrate", "--verbosity", "0")

    status, body = run(environment, "-c", READY).split(" ", 1)
    assert (status, json.loads(body)) == (
        "200",
        {"ready": True, "database": "ok", "broker": "ok"},
    )


def test_prepare_makes_season_and_operator_once(split_environment):
    first = run(split_environment, "manage.py", "prepare")
    second = run(split_environment, "manage.py", "prepare")

    assert "made at /c/" in first
    assert "Operator operator made, password " in first
    assert "found at /c/" in second
    assert second.endswith("Operator operator found\n")


def compose_commands(port: int) -> dict[str, tuple[str, ...]]:
    """Return what docker-compose.yml starts, as arguments of Python; the web process on another port."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    image = re.search(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert image is not None
    commands = {}
    for name in ("web", "worker-turns", "worker-clock", "beat", "feed"):
        program, *arguments = services[name].get("command") or json.loads(image[1])
        words = [str(port) if word == "8000" else word for word in arguments]
        commands[name] = tuple(words if program == "python" else ("-m", program, *words))
    return commands


@in_one_lap
@pytest.mark.timeout(300)
def test_the_shipped_commands_play_rounds_with_nothing_to_write_to(
    split_environment, postgres_url, tmp_path
):
    shut = read_only()
    if not shut:
        pytest.skip("needs setpriv, and a root that may mount, to make a read-only system")
    probe = [*shut, sys.executable, "-c", PROBE]
    environment = {**split_environment, "ARENA_VAR_DIR": "/tmp/arena"}
    seen = subprocess.run(probe, env=environment, capture_output=True, text=True, check=False)
    assert seen.stdout == "code read-only, no rights\n", seen.stderr
    run(split_environment, "manage.py", "prepare")
    port = free_port()
    arena = Arena(environment, split_environment["DATABASE_URL"])

    with open_split(arena, tmp_path, compose_commands(port), inside=shut) as split:
        split.start()
        wait_until(lambda: closed_rounds(arena) >= 2, seconds=120, wanted="two rounds closed")
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            assert json.load(answer)["ready"] is True
        for part in ("beat", "clock", "sweeper", "feed"):
            assert f"{part} gave a sign of life" in run(
                environment, "manage.py", "arena_health", part
            )
        assert split.dead() == []


PROBE = """
import os, pathlib
for place in (".", "/", "/var"):
    try:
        (pathlib.Path(place) / "written").touch()
    except OSError:
        continue
    raise SystemExit(f"could write to {place}")
pathlib.Path("/tmp/written").touch()
status = pathlib.Path("/proc/self/status").read_text()
rights = [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "CapBnd"))]
assert {int(right, 16) for right in rights} == {0}, rights
assert "HOME" not in os.environ
print("code read-only, no rights")
"""


def closed_rounds(arena: Arena) -> int:
    return arena.count("SELECT count(*) FROM competitions_round WHERE state = 'CLOSED'")
