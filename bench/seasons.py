"""Seasons as benchmarks need them; run inside an arena's environment, after ``django.setup()``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from agents import services as agents
from agents.models import Agent, Provider
from agents.models.agents import ProviderKind
from competitions.models import Competition
from competitions.models.competitions import ClockKind, FillRule
from tests.builders import (
    Model,
    baselines,
    make_model,
    make_season,
    make_synthetic_feed,
    start_season,
    store_market,
)

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
WARM_UP_MINUTES = 120


def models_of(url: str, names: Sequence[str]) -> list[Agent]:
    """Return an agent for each model name of the fake server, the two protocols in turn."""
    return [
        make_model(Model(f"model-{place}", name, ("openai", "anthropic")[place % 2], 60), url)
        for place, name in enumerate(names, start=1)
    ]


def many_baselines(count: int) -> list[Agent]:
    """Return ``count`` agents that are the five baselines in turn."""
    kinds = [agent.model for agent in baselines()]
    provider = Provider.objects.get(kind=ProviderKind.BASELINE)
    template = agents.ensure_template()
    return [
        Agent.objects.create(
            slug=f"baseline-{place}",
            name=f"Baseline {place}",
            provider=provider,
            model=kinds[place % len(kinds)],
            template=template,
        )
        for place in range(count)
    ]


def replayed(slug: str, roster: Sequence[Agent], *, rounds: int, **fields: Any) -> Competition:
    """Return a running season over generated candles, as fast as it can be played."""
    minutes = WARM_UP_MINUTES + 5 * rounds + 10
    feed = store_market(minutes, symbols=SYMBOLS)
    draft = make_season(slug, feed, roster, symbols=SYMBOLS, max_rounds=rounds, **fields)
    return start_season(draft)


def on_the_wall_clock(slug: str, roster: Sequence[Agent], *, seconds: int) -> Competition:
    """Return a running season on a synthetic market with a round every ``seconds``."""
    draft = make_season(
        slug,
        make_synthetic_feed(),
        roster,
        symbols=SYMBOLS,
        clock=ClockKind.WALL,
        fill_rule=FillRule.ARRIVAL,
        interval_seconds=seconds,
        deadline_seconds=seconds,
        starts_at=None,
        max_rounds=None,
    )
    return start_season(draft, now=timezone.now())
