"""The split arena under kill -9: every part is killed in the middle of a round, and nothing is lost, doubled or paid twice."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from competitions.live.render import PIECES
from tests.arenas import Arena, open_arena
from tests.fakes.llm_server import LlmServer, Request
from tests.pages import Elements, blanked
from tests.services.processes import (
    RedisServer,
    Split,
    beat,
    free_port,
    open_redis,
    open_split,
    talks_to,
    wait_until,
    web,
    worker,
)
from tests.services.viewers import Listener, Page

pytestmark = [
    pytest.mark.services,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        bool(os.environ.get("DATABASE_URL")),
        reason="runs in the SQLite lap, on a PostgreSQL database of its own",
    ),
]

SLUG = "killed"
ROUNDS, MODELS, BASELINES = 50, 15, 5
PARTICIPANTS = MODELS + BASELINES
RESUMED_SECONDS = 30
AWAY_SECONDS = 1.5
ROUND = re.compile(r"^Round (\d+)\b", re.MULTILINE)


class Witness(LlmServer):
    """Keeps its own count of what it was asked and what it answered, by model and round."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[tuple[str, int]] = Counter()
        self.answered: Counter[tuple[str, int]] = Counter()

    async def _answer(self, writer: Any, request: Request) -> bool:
        found = ROUND.search(request.prompt)
        assert found, request.prompt[:200]
        call = (request.model, int(found[1]))
        self.asked[call] += 1
        goes_on = await super()._answer(writer, request)
        self.answered[call] += 1
        return goes_on


class Gauge:
    """Looks every 0.3 s at how many connections each life of each process has, and keeps the most."""

    def __init__(self, url: str) -> None:
        self.most: Counter[str] = Counter()
        self._url = url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Gauge:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join(10)

    def _run(self) -> None:
        query = "SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1"
        with psycopg.connect(self._url, autocommit=True, application_name="gauge") as connection:
            while not self._ended.wait(0.3):
                for name, count in connection.execute(query).fetchall():
                    self.most[name] = max(self.most[name], count)


class Stored(NamedTuple):
    """What is stored about one turn: how often it was claimed, its calls, and those of them that were good."""

    claims: int
    calls: int
    good: int


@dataclass
class Season:
    """The season under test, read from outside of Django."""

    connection: psycopg.Connection[Any]
    resumed: dict[str, float] = field(default_factory=dict)

    def rows(self, query: str) -> list[Any]:
        return self.connection.execute(query).fetchall()

    def number(self, query: str) -> int:
        return int(self.rows(query)[0][0])

    @property
    def closed(self) -> int:
        return self.number("SELECT count(*) FROM competitions_round WHERE state = 'CLOSED'")

    @property
    def status(self) -> str:
        return str(self.rows("SELECT status FROM competitions_competition")[0][0])

    def is_mid_round(self) -> bool:
        """Tell whether models are being asked at this moment."""
        asked = (
            "SELECT count(*) FROM competitions_turn WHERE state = 'ASKED' AND answered_at IS NULL"
        )
        return self.number(asked) >= 3

    def now(self) -> datetime:
        when: datetime = self.rows("SELECT clock_timestamp()")[0][0]
        return when

    def see_it_resume(self, name: str, killed_at: datetime) -> None:
        """Wait until a round that was opened after the kill is closed, and keep how long that took."""
        query = "SELECT count(*) FROM competitions_round WHERE state = 'CLOSED' AND opened_at > %s"

        def is_on() -> bool:
            row = self.connection.execute(query, (killed_at,)).fetchone()
            return row is not None and row[0] > 0

        wanted = f"a round that was opened after {name} was killed is closed"
        try:
            self.resumed[name] = wait_until(is_on, seconds=RESUMED_SECONDS, wanted=wanted)
        except AssertionError as error:
            raise AssertionError(
                f"{error}; killed at {killed_at:%T}; {self.last_rounds()}"
            ) from None

    def last_rounds(self) -> str:
        """Return when the last rounds were opened and closed, and how far their turns are."""
        rows = self.rows(
            "SELECT round.number, to_char(opened_at, 'HH24:MI:SS.MS'), to_char(closed_at, 'HH24:MI:SS.MS'), "
            "string_agg(DISTINCT turn.state || ' ' || turn.outcome || ' ' || coalesce(to_char(turn.settled_at, 'MI:SS'), ''), ', ') "
            "FROM competitions_round round JOIN competitions_turn turn ON turn.round_id = round.id "
            "GROUP BY 1, 2, 3 ORDER BY 1 DESC LIMIT 4"
        )
        return "\n".join(map(str, reversed(rows)))

    def play_on(self, rounds: int) -> None:
        wanted = self.closed + rounds
        wait_until(lambda: self.closed >= wanted, seconds=90, wanted=f"{wanted} rounds closed")

    def wait_for_mid_round(self) -> None:
        wait_until(self.is_mid_round, seconds=30, wanted="turns being asked")


@pytest.fixture
def arena(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Arena, RedisServer]]:
    if shutil.which("redis-server") is None:
        pytest.fail("redis-server is not installed; this test kills one of its own")
    with open_redis() as redis, open_arena(tmp_path, postgres_url) as arena:
        environment = {**arena.environment, "REDIS_URL": redis.url}
        yield replace(arena, environment=environment), redis


def call_counts(season: Season) -> dict[tuple[str, int], Stored]:
    """Return what is stored about the calls of each model's turn in each round."""
    query = """
        SELECT agent.model, round.number, turn.fence, count(call.id), count(call.id) FILTER (WHERE call.status = 'OK')
        FROM competitions_turn turn
        JOIN competitions_round round ON round.id = turn.round_id
        JOIN competitions_participant seat ON seat.id = turn.participant_id
        JOIN agents_agent agent ON agent.id = seat.agent_id
        LEFT JOIN agents_completion call ON call.turn_key = turn.turn_key
        GROUP BY 1, 2, 3
    """
    return {
        (model, number): Stored(fence, calls, good)
        for model, number, fence, calls, good in season.rows(query)
        if model.startswith("jitter")
    }


def unstored(season: Season, witness: Witness) -> set[tuple[str, int]]:
    """Return the calls that reached the models and of which nothing is stored."""
    stored = call_counts(season)
    return {call for call, count in witness.asked.items() if count > stored[call].calls}


def kill_and_see_it_resume(
    season: Season, split: Split, name: str, *, after: Callable[[], None] = lambda: None
) -> None:
    """Kill a process in the middle of a round, start it again, and see a new round opened and closed in time."""
    season.wait_for_mid_round()
    split.kill(name)
    killed_at = season.now()
    after()
    time.sleep(AWAY_SECONDS)
    split.start(name)
    season.see_it_resume(name, killed_at)


def busy_worker(split: Split, witness: Witness) -> str:
    """Return the turns worker that waits for models now."""
    found: list[str] = []

    def is_found() -> bool:
        found[:] = [
            name for name in ("turns-1", "turns-2") if talks_to(split.running[name], witness.port)
        ]
        return bool(found)

    wait_until(is_found, seconds=30, wanted="a worker that asks models")
    return found[0]


def fetch(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        return str(answer.read().decode())


def is_ready(port: int) -> bool:
    try:
        return '"ready": true' in fetch(port, "/readyz")
    except OSError:
        return False


def test_a_season_survives_the_death_of_every_part(arena, tmp_path):
    arena, redis = arena
    ports = {"web-1": free_port(), "web-2": free_port()}
    commands = {
        **{name: web(port) for name, port in ports.items()},
        "turns-1": worker("turns", 8, "turns-1"),
        "turns-2": worker("turns", 8, "turns-2"),
        "clock": worker("clock", 4, "clock"),
        "beat": beat(tmp_path),
        "feed": ("manage.py", "feed"),
    }
    with ExitStack() as stack:
        witness = stack.enter_context(Witness())
        season = Season(stack.enter_context(psycopg.connect(arena.url, autocommit=True)))
        split = stack.enter_context(open_split(arena, tmp_path, commands))
        gauge = stack.enter_context(Gauge(arena.url))
        split.start()
        for name, port in ports.items():
            wait_until(lambda port=port: is_ready(port), seconds=60, wanted=f"{name} is ready")
        options = (f"--models={MODELS}", f"--rounds={ROUNDS}")
        arena.run("-m", "tests.season_script", "live", SLUG, witness.url, *options)
        listeners = {port: [Listener(port, SLUG) for _ in range(2)] for port in ports.values()}
        page = Page(ports["web-1"], SLUG)
        for viewer in (page, *listeners[ports["web-1"]], *listeners[ports["web-2"]]):
            stack.enter_context(viewer)

        season.play_on(3)
        cut_off = kill_a_busy_worker(season, split, witness)
        for name in ("clock", "beat", "web-1"):
            season.play_on(2)
            kill_and_see_it_resume(season, split, name)
        season.play_on(2)
        kill_redis_and_see_it_resume(season, redis)
        wait_until(lambda: season.status == "FINISHED", seconds=240, wanted=f"{ROUNDS} rounds")

        assert split.dead() == []
        assert_played_once(season)
        assert_paid_once(season, witness, cut_off)
        assert_listeners_heard_all(season, listeners, killed=ports["web-1"])
        assert_page_is_up_to_date(page, fetch(ports["web-1"], f"/c/{SLUG}/"))
        assert set(split.all_lives()) <= set(gauge.most)
        assert max(gauge.most.values()) < 16, gauge.most
        assert "everything agrees" in arena.manage("verify", SLUG)
        facts = arena.facts(SLUG)
        assert (facts["problems"], facts["unfinished"]) == ([], 0)
        assert facts["fills"] > 100
        report(tmp_path, season, gauge, cut_off)


def kill_a_busy_worker(season: Season, split: Split, witness: Witness) -> set[tuple[str, int]]:
    """Kill the turns worker that waits for models, see its turns played by another, and return the calls that it had under way."""
    cut_off: set[tuple[str, int]] = set()

    def take_note() -> None:
        # What had left the worker has arrived by now, and nobody else plays this round.
        time.sleep(0.2)
        cut_off.update(unstored(season, witness))

    kill_and_see_it_resume(season, split, busy_worker(split, witness), after=take_note)
    assert cut_off, "the worker was killed with no call under way"
    return cut_off


def kill_redis_and_see_it_resume(season: Season, redis: RedisServer) -> None:
    season.wait_for_mid_round()
    redis.kill()
    killed_at = season.now()
    time.sleep(AWAY_SECONDS)
    redis.start()
    season.see_it_resume("redis", killed_at)


def assert_played_once(season: Season) -> None:
    """Assert dense rounds, and one settled turn with one outcome per participant and round."""
    numbers = season.rows("SELECT number, state FROM competitions_round ORDER BY number")
    assert numbers == [(number, "CLOSED") for number in range(1, ROUNDS + 1)]
    turns = season.rows(
        "SELECT round.number, count(*), count(DISTINCT turn.participant_id), "
        "count(*) FILTER (WHERE turn.state = 'SETTLED' AND turn.outcome <> '') "
        "FROM competitions_turn turn JOIN competitions_round round ON round.id = turn.round_id "
        "GROUP BY 1 ORDER BY 1"
    )
    assert turns == [(number, *[PARTICIPANTS] * 3) for number in range(1, ROUNDS + 1)]
    told = season.rows(
        "SELECT payload->>'round', payload->>'participant', count(*) FROM competitions_event "
        "WHERE kind = 'turn_settled' GROUP BY 1, 2 HAVING count(*) > 1"
    )
    assert told == [], "an outcome was told twice"


def assert_paid_once(season: Season, witness: Witness, cut_off: set[tuple[str, int]]) -> None:
    """Assert that the models were asked for what is stored, and once more only for the calls that a kill cut off.

    The witness counts requests and answers by itself. A try that ran out of time before it was sent is stored without a request.
    """
    stored = call_counts(season)
    assert len(stored) == MODELS * ROUNDS
    assert set(witness.asked) <= set(stored)
    assert all(row.good <= 1 for row in stored.values())
    assert all(row.good <= witness.answered[call] for call, row in stored.items())
    asked_again = {
        call: count - stored[call].calls
        for call, count in witness.asked.items()
        if count > stored[call].calls
    }
    assert set(asked_again) <= cut_off
    assert set(asked_again.values()) <= {1}
    assert all(stored[call].claims == 2 for call in cut_off)
    good = sum(row.good for row in stored.values())
    assert good >= MODELS * ROUNDS // 2, "most calls are meant to succeed"


def assert_listeners_heard_all(
    season: Season, listeners: dict[int, list[Listener]], *, killed: int
) -> None:
    """Assert that each listener got every event once and in order, though the process of some was killed."""
    rows = season.rows("SELECT seq, kind, payload FROM competitions_event ORDER BY seq")
    last = rows[-1][0]
    assert [seq for seq, _, _ in rows] == list(range(1, last + 1))
    for port, some in listeners.items():
        for listener in some:
            wait_until(lambda one=listener: one.seq >= last, seconds=20, wanted="all events told")
            told = [(event["seq"], event["kind"], event["payload"]) for event in listener.events]
            assert told == rows
            assert (listener.visits > 1) == (port == killed)


def assert_page_is_up_to_date(page: Page, fresh: str) -> None:
    """Assert that an open page whose process was killed is the page that would be loaded now."""
    loaded = Elements(fresh)
    wanted = ageless(loaded.text("pulse"))
    wait_until(lambda: ageless(page.pieces["pulse"]) == wanted, seconds=20, wanted="the last push")
    assert set(page.pieces) == set(PIECES)
    for name, piece in page.pieces.items():
        assert ageless(piece) == ageless(loaded.text(name)), name
    assert page.visits > 1


def ageless(piece: str) -> str:
    """Return a piece without the ages in it, which the browser counts on."""
    return blanked(re.sub(r"(<time [^>]*data-age[^>]*>)[^<]*", r"\1", piece)).strip()


def report(folder: Path, season: Season, gauge: Gauge, cut_off: set[tuple[str, int]]) -> None:
    """Leave the measured figures beside the processes' output."""
    resumed = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in season.resumed.items())
    (folder / "figures").write_text(
        f"resumed after {resumed}; connections {dict(gauge.most)}; calls cut off {len(cut_off)}\n"
    )
