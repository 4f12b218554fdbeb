"""A season once more: a new draft with the rules, instruments and roster of another one."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Model

from competitions.models import Competition, Participant
from competitions.models.competitions import ClockKind
from competitions.services.audit import record_act
from competitions.services.errors import InvalidWish
from competitions.services.roster import free_slug


@transaction.atomic
def duplicate_season(
    competition: Competition, *, name: str, actor: str, now: datetime
) -> Competition:
    """Return a new draft with the same rules, instruments and roster, whatever state the other is in.

    On the wall clock, times that have passed are left empty. Instruments are those of the arena now: their limits are read
    again at the start.

    Raises:
        InvalidWish: If the name is empty or too long.
    """
    longest = Competition._meta.get_field("name").max_length
    wanted = name.strip()
    if not wanted or len(wanted) > (longest or 0):
        raise InvalidWish("name", f"must have 1 to {longest} characters, had {len(wanted)}")
    row = Competition.objects.create(
        name=wanted,
        slug=free_slug(wanted),
        duplicated_from=competition,
        **_chosen(competition, besides={"name", "slug"}),
    )
    if row.clock == ClockKind.WALL:
        _drop_past_times(row, now=now)
    row.instruments.set(competition.instruments.all())
    Participant.objects.bulk_create(
        Participant(competition=row, **_chosen(other, besides={"competition"}))
        for other in competition.participants.order_by("ordinal")
    )
    record_act("duplicated", row.slug, actor=actor, now=now, of=competition.slug)
    return row


def _chosen(row: Model, *, besides: Collection[str]) -> dict[str, Any]:
    """Return what a row was set up with; what is not editable is written as the season runs."""
    return {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if field.editable and field.name not in besides
    }


def _drop_past_times(row: Competition, *, now: datetime) -> None:
    for field in ("starts_at", "ends_at"):
        value = getattr(row, field)
        if value is not None and value <= now:
            setattr(row, field, None)
    row.save(update_fields=["starts_at", "ends_at"])
