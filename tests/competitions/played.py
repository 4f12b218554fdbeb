"""A small season, played a few rounds in the test's own transaction, for tests of pages."""

from __future__ import annotations

from typing import Any

from agents.models import Agent
from competitions.models import Competition, Leg, Participant, Round, Turn
from competitions.services.driving import drive
from tests.builders import baselines, make_season, start_season, store_market

# Warm-up, and five minutes a round with the bar that the last one fills on.
WARM_UP_MINUTES, ROUND_MINUTES = 120, 5


def make_draft(
    slug: str = "small", roster: list[Agent] | None = None, **fields: Any
) -> Competition:
    """Return a draft over three replayed symbols; by default buy and hold, cash and random take part."""
    feed = store_market(WARM_UP_MINUTES + 20 * ROUND_MINUTES)
    if roster is None:
        roster = baselines("buy_and_hold", "cash", "random")
    return make_season(slug, feed, roster, **fields)


def play(
    slug: str = "small", rounds: int = 2, roster: list[Agent] | None = None, **fields: Any
) -> Competition:
    """Return a started season of which ``rounds`` rounds were played."""
    competition = start_season(make_draft(slug, roster, **fields))
    list(drive(competition, rounds=rounds))
    competition.refresh_from_db()
    return competition


def turn_of(competition: Competition, number: int, participant: str) -> Turn:
    return Turn.objects.get(
        round__competition=competition, round__number=number, participant__slug=participant
    )


__all__ = ["Leg", "Participant", "Round", "make_draft", "play", "turn_of"]
