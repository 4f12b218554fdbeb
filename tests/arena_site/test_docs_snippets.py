"""What the operator's and the programmer's pages print works: snippets are run, commands parsed, paths looked up."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from celery.bin.beat import beat
from celery.bin.worker import worker
from click import Context
from daphne.cli import CommandLineInterface
from django.core.management import get_commands, load_command_class
from django.urls import Resolver404, resolve

from competitions.routing import websocket_urlpatterns
from marketdata.management.base import ArenaCommand
from tests.arena_site.test_arena_command import Arena, environment, free_port

ROOT = Path(__file__).resolve().parents[2]
API, OPERATIONS = ROOT / "docs" / "api.md", ROOT / "docs" / "operations.md"
# What each kind of block is checked by; curl lines are run by tests/competitions/test_api_examples.py.
KINDS = {"bash", "python", "sh", "ini", "caddy", "nginx", "cron"}
# Paths that are printed and not there yet; empty this as they come.
# Stands for whatever a page leaves to the reader.
FILLED = {"slug": "demo", "participant": "cash", "round": "1", "symbol": "BTCUSDT", "id": "demo"}


def blocks(page: Path, kind: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for tag, text in found if tag == kind]


def lines(kind: str = "sh") -> list[str]:
    """Return the command lines of the operator's page, joined where they were broken and without comments."""
    text = "\n".join(blocks(OPERATIONS, kind)).replace("\\\n", " ")
    return [line.split("  #")[0].strip() for line in text.splitlines() if line.strip()]


def started_commands() -> list[str]:
    """Return what the units of systemd start."""
    return re.findall(r"^ExecStart(?:Pre)?=(.+)$", "\n".join(lines("ini")), re.MULTILINE)


@pytest.mark.parametrize("page", [API, OPERATIONS], ids=lambda page: page.stem)
def test_every_block_has_a_kind_that_is_checked(page):
    tags = re.findall(r"^```(\w*)\n.*?^```$", page.read_text(), re.MULTILINE | re.DOTALL)

    assert set(tags) <= KINDS
    assert all(text.startswith("curl ") for text in blocks(page, "bash"))


# --- Python -------------------------------------------------------------------------------------

MAKE_KEY = """
from django.contrib.auth import get_user_model
from django.utils import timezone
from competitions.services.access import make_api_key
owner = get_user_model().objects.get(username="operator")
made = make_api_key("docs", owner=owner, scopes=["ADMIN"], actor="test", now=timezone.now())
print("key:", made.token)
"""


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Yield a running one-process arena with its demo season, a few rounds old."""
    folder = tmp_path_factory.mktemp("arena")
    running = Arena(folder, free_port())
    try:
        running.wait_until(running.is_up, seconds=90)
        rounds = "api/v1/competitions/demo/rounds"
        # An open round's digest is empty.
        closed = re.compile('"digest": "[0-9a-f]')
        running.wait_until(lambda: closed.search(running.get(rounds)) is not None, seconds=60)
        yield running
    finally:
        running.process.terminate()
        running.process.wait(30)


@pytest.fixture(scope="module")
def key(arena: Arena) -> str:
    told = manage(arena, "shell", "--no-imports", "-v", "0", "-c", MAKE_KEY)
    return re.search(r"key: (\S+)", told)[1]


def manage(arena: Arena, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(arena.output.parent),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(300)
def test_the_python_of_the_api_page_runs_as_printed(arena, key):
    host = arena.address.removeprefix("http://").rstrip("/")
    told = []
    for text in blocks(API, "python"):
        program = text.replace("localhost:8000", host).replace("dev-api-key", key)
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout.splitlines())

    pages, accounts, write, events = told
    assert re.fullmatch(r"1 \S+Z CLOSED [0-9a-f]{64}", pages[-1])
    heads = [line for line in accounts if not line.startswith(" ")]
    assert len(heads) >= 5
    assert all(re.fullmatch(r"[\w-]+ [\d.]+ free -?[\d.]+", line) for line in heads)
    assert write == ["PAUSED done now", "PAUSED replayed"]
    numbers = [int(line.split()[0]) for line in events]
    assert numbers == list(range(1, len(numbers) + 1))
    assert events[0].split()[1] == "competition_started"
    assert events[-1].split()[1] == "round_complete"


# --- shell --------------------------------------------------------------------------------------


def test_shell_blocks_are_shell():
    for text in blocks(OPERATIONS, "sh"):
        done = subprocess.run(
            ["/bin/bash", "-n"], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, text + done.stderr


def printed_commands() -> list[str]:
    """Return every call of manage.py on both pages, in blocks and in running text."""
    inline = re.findall(r"`[^`\n]*?(manage\.py [^`\n]+)`", API.read_text() + OPERATIONS.read_text())
    whole = [
        line for line in [*lines(), *lines("cron"), *started_commands()] if "manage.py" in line
    ]
    return sorted({*inline, *(line[line.index("manage.py") :] for line in whole)})


@pytest.mark.parametrize("line", printed_commands())
def test_a_printed_command_is_taken_by_its_parser(line):
    line = re.sub(r"\{(\w+)\}", lambda found: FILLED[found[1]], line).split(" >")[0]
    _, name, *arguments = shlex.split(line.replace("[", "").replace("]", ""))
    if name == "…":
        return
    command = load_command_class(get_commands()[name], name)

    parsed = command.create_parser("manage.py", name).parse_args(arguments)

    assert parsed is not None


def test_servers_and_workers_are_started_with_options_they_have():
    taken = set()
    for line in [*lines(), *started_commands()]:
        program, *arguments = shlex.split(line)
        name = Path(program).name
        if name == "daphne":
            options = CommandLineInterface().parser.parse_args(arguments)
            assert options.application == "arena_site.asgi:application"
        elif name == "celery":
            assert arguments[:2] == ["-A", "arena_site.celery"]
            kind, *rest = arguments[2:]
            process = {"worker": worker, "beat": beat}[kind]
            _, left, _ = process.make_parser(Context(process)).parse_args(rest)
            assert left == []
        elif name == "docker":
            assert arguments[0] == "compose"
        elif name.startswith("python3") and arguments[0].startswith("scripts/"):
            assert (ROOT / arguments[0]).is_file()
        else:
            continue
        taken.add(name)
    assert taken == {"daphne", "celery", "docker", "python3"}


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="sqlite3 is not installed")
@pytest.mark.timeout(300)
def test_the_backup_of_sqlite_restores_and_proves_itself(arena, tmp_path):
    (tmp_path / "var").symlink_to(arena.output.parent)
    saving = [line for line in lines() if line.startswith("sqlite3 ")]
    restoring = [line for line in lines() if line.startswith(("rm ", "cp "))]
    (drill,) = [line for line in lines() if line.startswith("DATABASE_URL=sqlite")]

    def shell(line: str) -> str:
        done = subprocess.run(
            ["/bin/bash", "-euc", line.replace(".venv/bin/python manage.py", program)],
            cwd=tmp_path,
            env=environment(tmp_path) | {"DATABASE_URL": ""},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, line + done.stderr
        return done.stdout

    program = shlex.join([sys.executable, str(ROOT / "manage.py")])
    assert [shell(line) for line in saving] == ["", "ok\n"]
    assert shell(drill).endswith("everything agrees\n")

    # Restored into a folder of its own, not under the arena that runs.
    (tmp_path / "var").unlink()
    (tmp_path / "var").mkdir()
    for line in restoring:
        shell(line)
    assert shell(f"ARENA_VAR_DIR={tmp_path}/var {program} verify demo").endswith(
        "everything agrees\n"
    )


@pytest.mark.services
@pytest.mark.skipif(shutil.which("pg_dump") is None, reason="pg_dump is not installed")
@pytest.mark.timeout(300)
def test_the_backup_of_postgresql_restores_append_only_tables_too(postgres_url, tmp_path):
    server = postgres_url.rsplit("/", 1)[0]
    names = [f"arena_docs_{os.getpid()}_{place}" for place in (1, 2)]
    first, second = (f"{server}/{name}" for name in names)
    (saving,) = [line for line in lines() if line.startswith("pg_dump ")]
    (restoring,) = [line for line in lines() if line.startswith("pg_restore ")]

    def shell(line: str, url: str) -> str:
        done = subprocess.run(
            ["/bin/bash", "-euc", line],
            cwd=tmp_path,
            env={**environment(tmp_path), "DATABASE_URL": url, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, line + done.stderr
        return done.stdout

    program = shlex.join([sys.executable, str(ROOT / "manage.py")])
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for name in names:
            connection.execute(f'CREATE DATABASE "{name}"')
        try:
            shell(f"{program} prepare", first)
            shell(f"{program} run_competition demo --rounds 1", first)
            shell(saving, first)
            shell(restoring, second)

            assert shell(f"{program} verify demo", second).endswith("everything agrees\n")
            with (
                psycopg.connect(second) as restored,
                pytest.raises(psycopg.errors.RaiseException, match="append-only"),
            ):
                restored.execute("DELETE FROM competitions_auditevent")
        finally:
            for name in names:
                connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


# --- units and proxies --------------------------------------------------------------------------


def test_units_start_what_there_is_and_keep_the_system_read_only():
    units = blocks(OPERATIONS, "ini")
    assert len(units) == 2
    for text in units:
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str
        unit.read_string(text)
        assert unit.sections() == ["Unit", "Service", "Install"]
        service = unit["Service"]
        assert (service["User"], service["ProtectSystem"]) == ("arena", "strict")
        assert service["ExecStart"].startswith("/opt/arena/.venv/bin/")
        assert not re.search(r"[{}<>…]", text)


def test_proxies_pass_on_what_the_arena_needs():
    (caddy,) = blocks(OPERATIONS, "caddy")
    (nginx,) = blocks(OPERATIONS, "nginx")
    assert "reverse_proxy 127.0.0.1:8000" in caddy
    for text in (caddy, nginx):
        assert text.count("{") == text.count("}")
    for line in filter(None, map(str.strip, nginx.splitlines())):
        assert line.endswith((";", "{", "}")), line
    headers = dict(re.findall(r"proxy_set_header (\S+) (\S+);", nginx))
    assert headers == {
        "Host": "$host",
        "X-Forwarded-For": "$remote_addr",
        "X-Forwarded-Proto": "$scheme",
        "Upgrade": "$http_upgrade",
        "Connection": "$connection_upgrade",
    }


# --- tables and links ---------------------------------------------------------------------------


def test_the_table_of_exit_codes_is_the_commands_own():
    ours = ("arena_site", "competitions", "agents", "trading", "marketdata")
    told = OPERATIONS.read_text()
    rows = set(re.findall(r"^\| `(\w+)` \| (\d+) \| (.+) \|$", told, re.MULTILINE))

    wanted = set()
    for name, app in get_commands().items():
        command = load_command_class(app, name) if app in ours else None
        if isinstance(command, ArenaCommand):
            codes = command.exit_codes.items()
            wanted |= {(name, str(code), words) for code, words in codes if code != 2}
    assert rows == wanted


def counterparts() -> list[str]:
    """Return what the tables of other arenas name on our side."""
    section = API.read_text().split("## From other arenas' endpoints")[1]
    cells = re.findall(r"^\| (?!there|---).+? \| (.+) \|$", section, re.MULTILINE)
    return sorted({part for cell in cells for part in re.findall(r"`([^`]+)`", cell)})


@pytest.mark.django_db
def test_every_path_that_the_tables_name_is_there(client):
    schema = client.get("/api/v1/openapi.json").json()["paths"]
    known = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, methods in schema.items()
        for method in methods
    }
    checked = 0
    for part in counterparts():
        method, _, path = part.rpartition(" ")
        if not path.startswith("/"):
            continue
        checked += 1
        if method in {"GET", "POST"}:
            operation = (method, re.sub(r"\{\w+\}", "{}", path))
            assert operation in known, part
            continue
        filled = re.sub(r"\{(\w+)\}", lambda found: FILLED[found[1]], path.split("?")[0])
        if method == "WS":
            assert any(route.resolve(filled[1:]) for route in websocket_urlpatterns), part
            continue
        try:
            found = resolve(filled)
        except Resolver404:
            pytest.fail(f"no page at {path}")
        # The admin takes any address and answers 404 later.
        assert found.url_name != "catch_all", part
    assert checked > 40


def test_links_between_the_pages_lead_somewhere():
    for page in (API, OPERATIONS):
        for file, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", page.read_text()):
            target = (page.parent / file).resolve() if file else page
            assert target.exists(), file
            if anchor:
                titles = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
                slugs = {
                    re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles
                }
                assert anchor in slugs, anchor


def test_documents_of_programs_parse(arena):
    for arguments in (("arena_status", "--json"), ("check_connections", "--json")):
        assert json.loads(manage(arena, *arguments))["ok"] is True
