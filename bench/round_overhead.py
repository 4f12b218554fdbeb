"""The wall time of a round of 20 models that answer at once, by its phases: all of it is the arena's own."""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from statistics import median

from bench.figures import Figure, tell
from bench.stage import model_server, temporary_arena, work

AGENTS = 20
ROUNDS = 16
# The first rounds import the providers' libraries and fill caches.
WARM_UP = 3
PHASES = ("open", "prepare", "play")


def measure() -> list[Figure]:
    """Return the medians over the rounds, in milliseconds."""
    with model_server() as url, temporary_arena() as arena:
        times: dict[str, list[float]] = work(arena, "bench.round_overhead", url)
    whole = [sum(phases) for phases in zip(*times.values(), strict=True)]
    parts = [Figure(name, median(times[name]), "ms") for name in PHASES]
    return [Figure(f"round of {AGENTS}", median(whole), "ms"), *parts]


def play(url: str) -> dict[str, list[float]]:
    """Play the rounds and return each phase's milliseconds, round by round."""
    from bench.seasons import models_of, replayed

    names = [f"latency-0-{place}" for place in range(AGENTS)]
    season = replayed("overhead", models_of(url, names), rounds=ROUNDS)
    rounds = [_round(season.pk) for _ in range(ROUNDS)][WARM_UP:]
    return {name: [times[place] for times in rounds] for place, name in enumerate(PHASES)}


def _round(season_id: object) -> list[float]:
    from django.utils import timezone

    from competitions.services.rounds import open_due_round, prepare_round
    from competitions.services.turns import play_turns

    stamps = [time.perf_counter()]
    round_ = open_due_round(season_id, now=timezone.now())
    stamps.append(time.perf_counter())
    turn_ids = prepare_round(round_.pk, now=timezone.now())
    stamps.append(time.perf_counter())
    play_turns(round_.pk, turn_ids)
    stamps.append(time.perf_counter())
    return [1000 * (after - before) for before, after in pairwise(stamps)]


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("http"):
        import django

        django.setup()
        print(json.dumps(play(sys.argv[1])))
    else:
        tell("round_overhead", measure)
