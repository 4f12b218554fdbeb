"""What the caller can put right is told in one line, without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environ = {
        "PATH": os.environ["PATH"],
        "ARENA_VAR_DIR": str(folder),
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "SECRET_KEY": "x" * 50,
    }
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"ARENA_PROT": "1"}, "settings: unknown setting ARENA_PROT, did you mean PORT?\n"),
        (
            {"PORT": "abc"},
            "settings: PORT must be a whole number from 1 to 65535, was 'abc'\n",
        ),
        (
            {"DATABASE_URL": "mysql://h/d"},
            "settings: DATABASE_URL must start with postgres:// or sqlite:///, was mysql\n",
        ),
    ],
)
def test_wrong_setting_is_one_line(tmp_path, wrong, told):
    failed = run(tmp_path, "arena_status", **wrong)

    assert failed.returncode == 1
    assert failed.stderr == told


def test_database_that_cannot_be_opened_is_named(tmp_path):
    failed = run(tmp_path, "arena_status", DATABASE_URL=f"sqlite:///{tmp_path}/none/a.sqlite3")

    assert failed.returncode == 1
    assert failed.stderr == (
        f"database sqlite {tmp_path}/none/a.sqlite3: unable to open database file "
        "(DATABASE_URL says where it is)\n"
    )


def test_database_without_tables_tells_what_makes_them(tmp_path):
    failed = run(tmp_path, "verify", "demo")

    assert failed.returncode == 1
    assert failed.stderr.endswith("has no tables yet: run manage.py prepare first\n")
    assert "Traceback" not in failed.stderr


def test_traceback_is_shown_when_wanted(tmp_path):
    failed = run(tmp_path, "verify", "demo", "--traceback")

    assert failed.returncode == 1
    assert "Traceback" in failed.stderr
