"""Who watches a season from outside: the models' own count, the database's connections, and the rows."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self

import psycopg

from tests.fakes.llm_server import LlmServer, Request
from tests.services.processes import wait_until

RESUMED_SECONDS = 30
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


class InThread:
    """Runs in a thread of its own until the test is done with it: a context manager."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.ended.set()
        self._thread.join(10)

    def run(self) -> None:
        """Work until ``ended`` is set."""
        raise NotImplementedError


class Gauge(InThread):
    """Looks every 0.3 s at how many connections each life of each process has, and keeps the most."""

    def __init__(self, url: str) -> None:
        self.most: Counter[str] = Counter()
        self._url = url
        super().__init__()

    def run(self) -> None:
        query = "SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1"
        with psycopg.connect(self._url, autocommit=True, application_name="gauge") as connection:
            while not self.ended.wait(0.3):
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
