"""A round's row, its turns and the telling of it: what every opening has in common, whatever its kind."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from competitions.models import Competition, Participant, Round, Turn
from competitions.models.events import EventKind
from competitions.models.rounds import RoundKind
from competitions.services.events import record_events
from marketdata.domain.canonical import canonical_time


def place_round(
    competition: Competition,
    roster: Iterable[Participant],
    *,
    kind: RoundKind,
    slot_at: datetime,
    deadline_at: datetime,
    now: datetime,
    asked_by: str = "",
) -> Round:
    """Make the next round with a turn for each of ``roster``; the caller holds the competition's row lock and saves its fields."""
    number = competition.round_count + 1
    round_ = Round.objects.create(
        competition=competition,
        number=number,
        kind=kind,
        slot_at=slot_at,
        deadline_at=deadline_at,
        opened_at=now,
        asked_by=asked_by,
    )
    code = competition.opened_book.code
    Turn.objects.bulk_create(
        Turn(
            round=round_,
            participant=participant,
            turn_key=f"{code}-{number}-{participant.ordinal}",
        )
        for participant in roster
    )
    competition.round_count = number
    competition.market_at = max(competition.market_at or slot_at, slot_at)
    told = {"round": number, "slot_at": canonical_time(slot_at), "kind": str(kind)}
    record_events(competition, (EventKind.ROUND_START, told), now=now)
    return round_
