"""Telling viewers: one row per event, in the transaction of what happened, and a push after the commit."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F

from competitions.live import bridge
from competitions.models import Competition, Event


def record_events(
    competition: Competition, *events: tuple[str, dict[str, Any]], now: datetime
) -> int:
    """Append events in order and push once after the commit; return the last ``seq``.

    The competition's row is locked by the counter's update until the surrounding transaction ends, which makes ``seq`` dense.
    """
    with transaction.atomic(savepoint=False):
        Competition.objects.filter(pk=competition.pk).update(event_seq=F("event_seq") + len(events))
        last = Competition.objects.values_list("event_seq", flat=True).get(pk=competition.pk)
        first = last - len(events) + 1
        Event.objects.bulk_create(
            Event(competition=competition, seq=first + place, kind=kind, payload=payload, at=now)
            for place, (kind, payload) in enumerate(events)
        )
        competition.event_seq = last
        transaction.on_commit(partial(bridge.announce, competition.slug, last), robust=True)
    return last
