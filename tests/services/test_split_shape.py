"""The same code on PostgreSQL and Redis, as several processes see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

pytestmark = pytest.mark.services
ROOT = Path(__file__).resolve().parents[2]


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


CELERY = ("-m", "celery", "-A", "arena_site.celery")
PROCESSES = (
    (*CELERY, "worker", "-Q", "turns", "--pool", "threads", "-c", "2", "-n", "turns@%h"),
    (*CELERY, "worker", "-Q", "clock", "--pool", "threads", "-c", "2", "-n", "clock@%h"),
    (*CELERY, "beat", "--schedule", "{folder}/beat", "--pidfile", ""),
    ("manage.py", "feed"),
)


@pytest.mark.timeout(180)
def test_a_season_goes_on_in_several_processes(split_environment, tmp_path):
    run(split_environment, "manage.py", "prepare")
    output = (tmp_path / "output").open("ab")
    processes = [
        subprocess.Popen(
            [sys.executable, *(part.format(folder=tmp_path) for part in command)],
            cwd=ROOT,
            env=split_environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        for command in PROCESSES
    ]
    try:
        wait_for_rounds(split_environment["DATABASE_URL"], processes, wanted=2)
    except AssertionError as error:
        raise AssertionError((tmp_path / "output").read_text()[-5000:]) from error
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)
        output.close()


def wait_for_rounds(url: str, processes: list[subprocess.Popen[bytes]], *, wanted: int) -> None:
    deadline = time.monotonic() + 90
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            query = "SELECT count(*) FROM competitions_round WHERE state = 'CLOSED'"
            row = connection.execute(query).fetchone()
            if row is not None and row[0] >= wanted:
                return
            assert all(process.poll() is None for process in processes)
            assert time.monotonic() < deadline, f"{row} rounds closed, wanted {wanted}"
            time.sleep(0.5)
