"""A season among secrets: whoever looks at pages, sockets, API, logs, prompts or the database finds none of them."""

from __future__ import annotations

import json
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest
from cryptography.fernet import Fernet

from tests.arenas import Arena, open_arena
from tests.canaries.crawl import Visitor, listen
from tests.canaries.parrot import ParrotServer
from tests.watch import found_in

pytestmark = pytest.mark.timeout(240)

ROUNDS = 4
ENVIRONMENT = (
    "SECRET_KEY",
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "DEEPSEEK_API_KEY",
    "GROQ_API_KEY",
    "OPENROUTER_API_KEY",
    "XAI_API_KEY",
    "GEMINI_API_KEY",
)


@dataclass
class Season:
    """An arena in which a season with secrets ran."""

    arena: Arena
    folder: Path
    url: str
    planted: dict[str, str]
    server: ParrotServer
    process: subprocess.Popen[bytes]

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def told(self, text: str, *, but: tuple[str, ...] = ()) -> list[str]:
        """Return which secrets the text tells."""
        kept = {value for name, value in self.planted.items() if name not in but}
        return found_in(text, kept)


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Season]:
    folder = tmp_path_factory.mktemp("canaries")
    planted = {name: f"canary/{name}+{secrets.token_hex(16)}" for name in ENVIRONMENT}
    planted["ARENA_ENCRYPTION_KEY"] = Fernet.generate_key().decode()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with ParrotServer(drip_seconds=5) as server, open_arena(folder) as plain:
        arena = replace(plain, environment={**plain.environment, **planted, "LOG_LEVEL": "DEBUG"})
        planted |= json.loads(arena.run("-m", "tests.canaries.season", server.url))
        process = arena.spawn("manage.py", "arena", "--port", str(port), output=folder / "output")
        found = Season(arena, folder, f"http://127.0.0.1:{port}", planted, server, process)
        try:
            wait_for_rounds(found)
            yield found
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(20)
        look_at_what_is_left(found)


def wait_for_rounds(season: Season) -> None:
    query = (
        "SELECT count(*) FROM competitions_round r JOIN competitions_competition c "
        "ON c.id = r.competition_id WHERE c.slug = 'canary' AND r.state = 'CLOSED'"
    )
    deadline = time.monotonic() + 120
    while season.arena.count(query) < ROUNDS:
        assert season.process.poll() is None, season.output[-3000:]
        assert time.monotonic() < deadline, season.output[-3000:]
        time.sleep(0.3)


def client_at(url: str, **headers: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, headers=headers, timeout=20, trust_env=False)


def client(season: Season, **headers: str) -> httpx2.Client:
    return client_at(season.url, **headers)


def test_the_models_repeated_their_keys(season):
    assert season.server.counts["parrot"] >= 4 * ROUNDS


def test_no_page_tells_a_secret_to_a_stranger(season):
    visitor = Visitor(client(season))

    # Trails of models that repeat their key, in an answer and in an error, and what links lead to.
    trails = ("/c/canary/r/2/parrot-a/", "/c/canary/r/2/parrot-c/")
    for address, text in visitor.walk(
        *trails, "/", "/c/canary/", "/api/docs", "/api/v1/openapi.json"
    ):
        assert season.told(text) == [], address

    assert len(visitor.seen) > 30
    assert [visitor.seen[trail] for trail in trails] == [200, 200]


def test_no_page_tells_a_secret_to_an_administrator(season):
    visitor = Visitor(client(season))
    visitor.log_in("root", season.planted["password of root"])

    for address, text in visitor.walk("/ops/", "/admin/", "/c/canary/r/3/parrot-c/", limit=700):
        assert season.told(text) == [], address

    assert visitor.seen["/ops/"] == visitor.seen["/admin/"] == 200
    for model in ("agents/provider", "agents/completion", "competitions/apikey", "marketdata/blob"):
        assert any(f"/admin/{model}/" in address for address in visitor.seen), model
    assert {status for status in visitor.seen.values() if status >= 500} == set()


def test_no_answer_of_the_api_tells_a_secret(season):
    asker = client(season, **{"x-api-key": season.planted["token"]})
    schema = asker.get("/api/v1/openapi.json").json()
    participants = asker.get("/api/v1/competitions/canary").json()["participants"]
    names = {"competition_id": "canary", "symbol": "BTCUSDT"}
    names["participant_id"] = participants[0]["id"]
    asked = 0
    for path, operations in schema["paths"].items():
        if "get" in operations and not re.sub(r"\{(" + "|".join(names) + r")\}", "", path).count(
            "{"
        ):
            answer = asker.get(re.sub(r"\{(\w+)\}", lambda found: names[found[1]], path))
            assert answer.status_code == 200, path
            assert season.told(answer.text) == [], path
            asked += 1

    assert asked > 20


def test_no_refusal_tells_a_secret(season):
    token = season.planted["token"]
    asker = client(season, **{"x-api-key": token})
    wrong = client(season, **{"x-api-key": f"{token}x", "cookie": f"sessionid={token}"})
    answers = [
        asker.post("/api/v1/competitions", content=f'{{"name": "{token}'),
        asker.get(f"/api/v1/competitions/{'x' * 90}"),
        asker.post("/api/v1/competitions/canary/start"),
        wrong.get("/api/v1/competitions"),
        wrong.get("/admin/auth/user/?password__startswith=argon2"),
        wrong.post("/login/", data={"username": "root", "password": token}),
        wrong.get("/nothing/here/"),
    ]

    for answer in answers:
        assert answer.status_code >= 300, answer.request.url
        assert season.told(f"{answer.headers!s}{answer.text}") == [], answer.request.url


def test_no_frame_of_a_socket_tells_a_secret(season):
    at = season.url.replace("http", "ws") + "/ws/competitions/canary/"
    headers = {"Origin": season.url, "X-API-Key": season.planted["token"]}
    frames = listen(at, seconds=5, headers=headers)
    events = listen(f"{at}?format=json&since=0", seconds=3, headers=headers)

    assert len(frames) > 0
    assert len(events) > 10
    assert season.told("\n".join(frames + events)) == []


def test_no_prompt_tells_a_secret(season):
    assert len(season.server.requests) > 10
    for request in season.server.requests:
        assert season.told(json.dumps(request.body)) == []
        # The key itself is sent where it belongs, and no other.
        own = "ANTHROPIC_API_KEY" if request.is_anthropic else "stored key"
        assert season.planted[own] in json.dumps(request.headers)
        assert season.told(json.dumps(request.headers), but=(own,)) == []


@pytest.mark.parametrize(
    "command", [("arena_status",), ("check_connections",), ("verify", "canary"), ("check",)]
)
def test_no_command_tells_a_secret(season, command):
    done = season.arena.try_run("manage.py", *command)

    assert done.stdout
    assert season.told(done.stdout + done.stderr) == []


def test_no_process_shows_a_secret_to_its_neighbours(season):
    command = Path(f"/proc/{season.process.pid}/cmdline").read_bytes().decode()

    assert "arena" in command
    assert season.told(command) == []


def look_at_what_is_left(season: Season) -> None:
    """Look last, when the process has ended: everything that the tests asked for was written down by then."""
    assert " DEBUG " in season.output
    assert season.told(season.output) == []
    with sqlite3.connect(season.folder / "arena.sqlite3") as connection:
        tables = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        assert len(tables) > 40
        # The app's secret is kept where its codes are checked, as django-otp does.
        for table in set(tables) - {"otp_totp_totpdevice"}:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                assert season.told(" ".join(map(readable, row))) == [], table


def readable(value: object) -> str:
    """Return a column's value as text, unpacked where it is packed."""
    if not isinstance(value, bytes):
        return str(value)
    try:
        return zlib.decompress(value).decode("utf-8", "replace")
    except zlib.error:
        return value.decode("utf-8", "replace")
