"""The split arena under kill -9: every part is killed in the middle of a round, and nothing is lost, doubled or paid twice."""

from __future__ import annotations

import re
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from competitions.live.render import PIECES
from tests.arenas import Arena, open_arena
from tests.pages import blanked
from tests.services.processes import (
    RedisServer,
    Split,
    beat,
    free_port,
    in_one_lap,
    open_redis,
    open_split,
    talks_to,
    wait_until,
    web,
    worker,
)
from tests.services.viewers import SEQ, Listener, Page
from tests.services.watching import Gauge, Season, Witness, call_counts, unstored

pytestmark = [
    pytest.mark.services,
    pytest.mark.timeout(600),
    in_one_lap,
]

SLUG = "killed"
ROUNDS, MODELS, BASELINES = 50, 15, 5
PARTICIPANTS = MODELS + BASELINES
AWAY_SECONDS = 1.5
FEEDS = ("feed-1", "feed-2")
# As long as a season may stay without anybody who shows it the market.
LEASE_SECONDS = 10
MADE = re.compile(r'(?<= data-now=")[^"]*|(?<= data-age>)[^<]*')


@pytest.fixture
def arena(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Arena, RedisServer]]:
    if shutil.which("redis-server") is None:
        pytest.fail("redis-server is not installed; this test kills one of its own")
    with open_redis() as redis, open_arena(tmp_path, postgres_url) as arena:
        environment = {**arena.environment, "REDIS_URL": redis.url}
        yield replace(arena, environment=environment), redis


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
        **dict.fromkeys(FEEDS, ("manage.py", "feed")),
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
        kill_the_feed_and_see_another_lead(season, split)
        season.play_on(2)
        kill_redis_and_see_it_resume(season, redis)
        wait_until(lambda: season.status == "FINISHED", seconds=300, wanted=f"{ROUNDS} rounds")

        assert split.dead() == []
        assert_played_once(season)
        assert_paid_once(season, witness, cut_off)
        assert_listeners_heard_all(season, listeners, killed=ports["web-1"])
        assert_page_is_up_to_date(page, fetch(ports["web-1"], f"/c/{SLUG}/"))
        asked_database = {life for life in split.all_lives() if not life.startswith("beat.")}
        assert asked_database <= set(gauge.most)
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


def kill_the_feed_and_see_another_lead(season: Season, split: Split) -> None:
    """Kill the process that shows the season the market, and see the other one do it in its place within the lease."""
    season.wait_for_mid_round()
    leader = leading_feed(season, split)
    split.kill(leader)
    (other,) = {*FEEDS} - {leader}
    wanted = f"{other} leads after {leader} was killed"
    season.resumed[leader] = wait_until(
        lambda: leading_feed(season, split) == other, seconds=LEASE_SECONDS, wanted=wanted
    )
    split.start(leader)


def leading_feed(season: Season, split: Split) -> str:
    """Return which process holds the season's lease to show it the market; empty when none that runs does."""
    rows = season.rows("SELECT holder FROM competitions_lease WHERE name LIKE 'advance:%'")
    holders = {int(holder.rpartition(":")[2]) for (holder,) in rows if holder}
    running = {split.running[name].pid: name for name in FEEDS if name in split.running}
    return "".join(running.get(pid, "") for pid in holders)


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
    """Assert that of all calls exactly those are not stored that the kill cut off, one for each of their turns.

    The witness counts requests and answers by itself. A try that ran out of time before it was sent is stored without a request.
    """
    stored = call_counts(season)
    assert len(stored) == MODELS * ROUNDS
    assert set(witness.asked) <= set(stored)
    assert all(row.good <= 1 for row in stored.values())
    assert all(row.good <= witness.answered[call] for call, row in stored.items())
    lost = {
        call: count - stored[call].calls
        for call, count in witness.asked.items()
        if count > stored[call].calls
    }
    assert lost == dict.fromkeys(cut_off, 1)
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
    (last,) = SEQ.findall(fresh)
    wait_until(lambda: page.seq == int(last), seconds=20, wanted=f"the page has event {last}")
    assert set(page.pieces) == set(PIECES)
    for name, piece in page.pieces.items():
        assert timeless(piece) in timeless(fresh), name
    assert page.visits > 1


def timeless(html: str) -> str:
    """Return HTML without what depends on when it was made: its own time, and ages, on which the browser counts."""
    return blanked(MADE.sub("", html)).strip()


def report(folder: Path, season: Season, gauge: Gauge, cut_off: set[tuple[str, int]]) -> None:
    """Leave the measured figures beside the processes' output."""
    resumed = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in season.resumed.items())
    (folder / "figures").write_text(
        f"resumed after {resumed}; connections {dict(gauge.most)}; calls cut off {len(cut_off)}\n"
    )
