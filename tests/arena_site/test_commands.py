"""Every command answers malformed input with what was wrong and what is wanted, in a line, and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.utils import timezone

from competitions.services import control
from marketdata.management.base import ArenaCommand
from tests.competitions.played import make_draft, play

ROOT = Path(__file__).resolve().parents[2]
OURS = ("arena_site", "competitions", "agents", "trading", "marketdata")
COMMANDS = {name: app for name, app in get_commands().items() if app in OURS}

# Per command: arguments that are wrong, and words of the answer. Every command has an entry.
MALFORMED: dict[str, list[tuple[tuple[str, ...], str]]] = {
    "arena": [
        (("--port", "http"), "argument --port: a port from 1 to 65535 is wanted, was 'http'"),
        (("--port", "65536"), "argument --port: a port from 1 to 65535 is wanted, was '65536'"),
        (("demo",), "unrecognized arguments: demo"),
    ],
    "prepare": [(("--quick",), "unrecognized arguments: --quick")],
    "feed": [(("binance",), "unrecognized arguments: binance")],
    "arena_status": [
        (("--competition", "saison"), "there is no competition 'saison'; there is draft, small"),
        (("--competition",), "argument --competition: expected one argument"),
        (("--xml",), "unrecognized arguments: --xml"),
    ],
    "arena_health": [
        ((), "the following arguments are required: part"),
        (("web",), "argument part: invalid choice: 'web' (choose from "),
        (("clock", "--seconds", "-1"), "a whole number from 1 to 999999999 is wanted"),
    ],
    "check_connections": [(("--provider", "x", "y"), "unrecognized arguments: x y")],
    "emergency_close": [
        ((), "one of the arguments --competition --all is required"),
        (("--all", "--competition", "small"), "--competition: not allowed with argument --all"),
        (("--competition", "draft"), "no started competition 'draft'; started are: small"),
        (("--all", "--reason", "y" * 201), "--reason must have at most 200 characters, had 201"),
    ],
    "reset_arena": [
        ((), "rows of seasons for good; look with --dry-run, stop the arena, then add --yes"),
        (("--yes", "--dry-run"), "argument --dry-run: not allowed with argument --yes"),
        (("small", "--yes"), "unrecognized arguments: small"),
    ],
    "reset_password": [
        ((), "the following arguments are required: USERNAME"),
        (("nobody",), "there is no account 'nobody'; operators are: "),
    ],
    "rotate_keys": [
        (("newest",), "unrecognized arguments: newest"),
        (("--check=yes",), "argument --check: ignored explicit argument 'yes'"),
    ],
    "try_agent": [
        ((), "the following arguments are required: agent"),
        (("nobody",), "there is no agent 'nobody'; there is "),
        (
            ("cash", "--competition", "saison"),
            "there is no competition 'saison'; there is draft, small",
        ),
    ],
    "run_competition": [
        ((), "the following arguments are required: slug"),
        (("saison",), "there is no competition 'saison'; there is draft, small"),
        (("small", "--rounds", "none"), "a whole number from 1 to 999999999 is wanted"),
        (("small", "--rounds", "-1"), "a whole number from 1 to 999999999 is wanted"),
        (("small", "--rounds", "9" * 30), "a whole number from 1 to 999999999 is wanted"),
        (("small", "--chunk", "0"), "argument --chunk: a whole number from 1"),
        (("small", "--rounds", "1", "--duration", "1"), "not allowed with argument --rounds"),
        (("small",), "small is paused; resume it in the operator console first"),
    ],
    "verify": [
        ((), "the following arguments are required: slug"),
        (("../etc/passwd",), "there is no competition '../etc/passwd'; there is draft, small"),
        (("x" * 5000,), "there is no competition '" + "x" * 60 + "'; there is draft, small"),
        (("draft",), "draft has not started, there is nothing to verify"),
    ],
    "rebuild": [
        ((), "the following arguments are required: slug"),
        (("nowhere",), "there is no competition 'nowhere'; there is draft, small"),
        (("draft",), "draft has not started, there is nothing to rebuild"),
        (("small", "--repair"), "unrecognized arguments: --repair"),
    ],
    "import_candles": [
        ((), "the following arguments are required: PATH"),
        (("nowhere.csv",), "nowhere.csv is no file and no directory"),
        (("docs",), "docs holds no .parquet, .csv or .csv.gz file"),
        (("x.csv", "--timeframe", "7m"), "argument --timeframe: invalid choice: '7m'"),
        (("x.csv", "--symbol", "btc/usdt"), "a symbol such as BTCUSDT is wanted"),
        (("x.csv", "--source", "a b"), "a name of letters, digits, - and _ (64 at most)"),
        (("x.csv", "--source", "s" * 65), "a name of letters, digits, - and _ (64 at most)"),
    ],
}
CASES = [(name, *case) for name, cases in MALFORMED.items() for case in cases]


def parser_of(name: str):
    command = load_command_class(COMMANDS[name], name)
    return command.create_parser("manage.py", name)


def everything() -> dict[str, list[object]]:
    """Return every row of the arena and of its users, as values."""
    models = [model for app in (*OURS, "auth") for model in apps.get_app_config(app).get_models()]
    return {
        model._meta.label: list(model._base_manager.order_by("pk").values_list())
        for model in models
    }


def test_every_command_has_an_entry():
    assert set(MALFORMED) == set(COMMANDS)


@pytest.mark.django_db
def test_malformed_input_is_told_and_changes_nothing():
    season = play(rounds=1)
    control.pause_competition(
        season, actor="mara", reason="", after_round=False, now=timezone.now()
    )
    make_draft("draft")
    before = everything()

    for name, arguments, words in CASES:
        told = StringIO()
        with pytest.raises(CommandError) as refused:
            call_command(name, *arguments, stdout=told, stderr=StringIO())

        assert words in str(refused.value), (name, arguments)
        assert "\n" not in str(refused.value), (name, arguments)
        assert told.getvalue() == "", (name, arguments)
        assert everything() == before, (name, arguments)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_tells_exit_codes_and_examples_that_parse(name):
    command = load_command_class(COMMANDS[name], name)
    told = command.create_parser("manage.py", name).format_help()

    assert isinstance(command, ArenaCommand)
    for code, words in command.exit_codes.items():
        assert f"  {code}  {words}\n" in told
    assert "  2  wrong use: nothing was done\n" in told
    assert command.examples
    for line in command.examples:
        assert f"  manage.py {line}\n" in told
        asked, *arguments = line.replace('"prices look wrong"', "reason").split()
        assert asked == name
        parser_of(name).parse_args(arguments)


def manage(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "ARENA_VAR_DIR": str(folder),
            "DATABASE_URL": "",
            "REDIS_URL": "",
            "SECRET_KEY": "x" * 50,
            "BINANCE_FAPI_BASE_URL": "http://127.0.0.1:9",
            "LOG_LEVEL": "WARNING",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


NEED_TABLES = [
    ("arena_status",),
    ("emergency_close", "--all"),
    ("reset_arena", "--yes"),
    ("run_competition", "demo"),
    ("rebuild", "demo"),
    ("verify", "demo", "--json"),
]


@pytest.mark.parametrize("arguments", NEED_TABLES, ids=lambda given: given[0])
def test_without_tables_one_line_says_what_makes_them(tmp_path, arguments):
    failed = manage(tmp_path, *arguments)

    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == (
        f"database sqlite {tmp_path}/arena.sqlite3 has no tables yet: run manage.py prepare first\n"
    )


def test_the_shell_sees_the_exit_codes_and_json_alone(tmp_path):
    assert manage(tmp_path, "migrate", "--verbosity", "0").returncode == 0

    unknown = manage(tmp_path, "verify", "demo")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == "CommandError: there is no competition 'demo'; there is none yet\n"

    wrong = manage(tmp_path, "run_competition", "demo", "--rounds", "x")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "Traceback" not in wrong.stderr

    status = manage(tmp_path, "arena_status", "--json")
    assert (status.returncode, status.stderr) == (0, "")
    assert json.loads(status.stdout)["competitions"] == []

    closed = manage(tmp_path, "emergency_close", "--all", "--json")
    assert (closed.returncode, closed.stderr) == (0, "")
    assert json.loads(closed.stdout) == {
        "ok": True,
        "at": json.loads(closed.stdout)["at"],
        "competitions": [],
    }


@pytest.mark.django_db
def test_verify_answers_in_json():
    play()
    told = StringIO()

    call_command("verify", "small", "--json", stdout=told)

    document = json.loads(told.getvalue())
    assert list(document) == [
        "ok",
        "competition",
        "contract",
        "digest",
        "rounds",
        "turns",
        "fills",
        "problems",
    ]
    assert (document["ok"], document["rounds"], document["problems"]) == (True, 2, [])
    assert not get_user_model().objects.exists()
