"""How long the admin's lists of answers take with 100,000 rows: first page, last page, filtered, searched.

On SQLite, and on PostgreSQL too where ARENA_TEST_POSTGRES_URL names a server. Each page is asked for by a signed-in browser's
request, without a network between; the figure is the median of the tries after the first.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import timedelta
from statistics import median
from typing import Any

from bench.figures import Figure, tell
from bench.stage import temporary_arena, work

ROWS = 100_000
BATCH = 2_000
TRIES = 4
AIM_SECONDS = 1.0
SHOWN = 100
# What is asked for; rows are a second apart, one in a hundred failed, one in a thousand came from a bot.
PAGES = {
    "first": "",
    "last": f"p={ROWS // SHOWN}",
    "failed": "status__exact=ERROR",
    "one turn": "q=bench-77777-3",
    "one season": "q=bench",
    "none": "q=nothing",
}
RARE = {"decision": "source__exact=TICK", "completion": "agent__provider__id__exact={rare}"}


def measure() -> list[Figure]:
    """Return the seconds of each page on each database."""
    figures = _measured("SQLite", None)
    if url := os.environ.get("ARENA_TEST_POSTGRES_URL"):
        figures += _measured("PostgreSQL", url)
    return figures


def _measured(database: str, url: str | None) -> list[Figure]:
    with temporary_arena(url) as arena:
        seconds: dict[str, float] = work(arena, "bench.admin_lists", "measure", seconds=900)
    return [
        Figure(f"{database} {name}", value, "s", AIM_SECONDS) for name, value in seconds.items()
    ]


def ask() -> dict[str, float]:
    """Fill the tables, ask for the pages and return the seconds by name."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.test import Client

    settings.ALLOWED_HOSTS = ["testserver"]
    rare = _fill()
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("bench"))
    found = {}
    for model in ("decision", "completion"):
        for name, query in {**PAGES, "rare": RARE[model].format(rare=rare)}.items():
            address = f"/admin/agents/{model}/?{query}"
            found[f"{model} {name}"] = _seconds(client, address)
    return found


def _seconds(client: Any, address: str) -> float:
    times = []
    for _ in range(TRIES):
        started = time.perf_counter()
        answer = client.get(address)
        times.append(time.perf_counter() - started)
        if answer.status_code != 200:
            raise RuntimeError(f"{address} answered {answer.status_code}, wanted 200")
    return median(times[1:])


def _fill() -> int:
    """Store the rows, and return the provider of which there are few."""
    from django.db import connection

    from agents.models import Agent, Completion, Decision
    from agents.services import ensure_defaults
    from tests.builders import STARTS_AT

    ensure_defaults()
    common = Agent.objects.get(slug="gpt-6")
    rare = Agent.objects.get(slug="deepseek-v4-flash")
    texts = _texts()
    for first in range(0, ROWS, BATCH):
        completions, decisions = [], []
        for place in range(first, first + BATCH):
            at = STARTS_AT + timedelta(seconds=place)
            agent = rare if place % 1000 == 0 else common
            shared = {"turn_key": f"bench-{place}-3", "agent": agent}
            status = "ERROR" if place % 100 == 0 else "OK"
            completion = Completion(
                **shared,
                **texts,
                attempt=1,
                provider=agent.provider.slug,
                model=agent.model,
                status=status,
                latency_ms=900,
                sent_at=at,
                answered_at=at,
            )
            completions.append(completion)
            decisions.append(
                Decision(
                    **shared,
                    completion=completion,
                    source="TICK" if place % 1000 == 0 else "MODEL",
                    status="ERROR" if status == "ERROR" else "VALID",
                    text_id=texts["system_id"],
                    instructions=[{"action": "hold", "reasoning": "Nothing moved. " * 20}],
                    decided_at=at,
                )
            )
        Completion.objects.bulk_create(completions)
        Decision.objects.bulk_create(decisions)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return rare.provider_id


def _texts() -> dict[str, str]:
    from agents.services.answers import put_texts

    names = ("system_id", "market_id", "account_id", "request_id")
    return dict(zip(names, put_texts(names), strict=True))


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        import django

        django.setup()
        print(json.dumps(ask()))
    else:
        tell("admin_lists", measure)
