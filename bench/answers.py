"""When the last answer of a round is stored, against the slowest model: how much the arena itself delays answers.

Models think 1 to 3 seconds, drawn anew each round. The clock runs from the call of ``play_turns`` (claiming and prompts included) to the
commit of the last answer; the slowest model's time is what the fake server was told to wait.
"""

from __future__ import annotations

import json
import random
import sys
import time
from functools import partial
from statistics import median
from typing import Any

from bench.figures import Figure, tell
from bench.stage import model_server, temporary_arena, work

AIMS = {20: 1.03, 100: 1.08}
ROUNDS = 5
# The first round imports the providers' libraries.
WARM_UP = 1
SEED = 7


def measure() -> list[Figure]:
    """Return the medians over the rounds of each size."""
    figures = []
    for count, aim in AIMS.items():
        with model_server() as url, temporary_arena() as arena:
            rounds: list[dict[str, float]] = work(arena, "bench.answers", url, count)
        stored = median(each["stored"] / each["slowest"] for each in rounds)
        closed = median(each["closed"] / each["slowest"] for each in rounds)
        figures.append(Figure(f"last of {count} stored", stored, "x slowest", aim))
        figures.append(Figure(f"round of {count} closed", closed, "x slowest"))
    return figures


def play(url: str, count: int) -> list[dict[str, float]]:
    """Play rounds and return the seconds of each: the slowest model's, until all were stored, until the round was closed."""
    from agents.models import Agent
    from bench.seasons import models_of, replayed

    draws = random.Random(SEED)
    roster = models_of(url, [f"latency-0-{place}" for place in range(count)])
    season = replayed("answers", roster, rounds=ROUNDS + WARM_UP)
    stamps = _stamp_commits()
    rounds = []
    for _ in range(ROUNDS + WARM_UP):
        thinking = [draws.randint(1000, 3000) for _ in roster]
        for place, (agent, milliseconds) in enumerate(zip(roster, thinking, strict=True)):
            Agent.objects.filter(pk=agent.pk).update(model=f"latency-{milliseconds}-{place}")
        stamps.clear()
        started, ended = _round(season.pk)
        assert len(stamps) == count, f"{count} answers are wanted, were {len(stamps)}"
        rounds.append(
            {
                "slowest": max(thinking) / 1000,
                "stored": max(stamps) - started,
                "closed": ended - started,
            }
        )
    return rounds[WARM_UP:]


def _stamp_commits() -> list[float]:
    """Return a list that gets the time of each answer's commit."""
    from django.db import transaction
    from django.db.models.signals import post_save

    from agents.models import Completion

    stamps: list[float] = []

    def stamp(**_: Any) -> None:
        transaction.on_commit(lambda: stamps.append(time.perf_counter()))

    post_save.connect(partial(stamp), sender=Completion, weak=False)
    return stamps


def _round(season_id: object) -> tuple[float, float]:
    from django.utils import timezone

    from competitions.services.rounds import open_due_round, prepare_round
    from competitions.services.turns import play_turns

    round_ = open_due_round(season_id, now=timezone.now())
    turn_ids = prepare_round(round_.pk, now=timezone.now())
    started = time.perf_counter()
    play_turns(round_.pk, turn_ids)
    return started, time.perf_counter()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        import django

        django.setup()
        print(json.dumps(play(sys.argv[1], int(sys.argv[2]))))
    else:
        tell("answers", measure)
