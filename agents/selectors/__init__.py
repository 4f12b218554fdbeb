"""Reading what was asked and answered."""

from __future__ import annotations

from django.db.models import QuerySet

from agents.models import Completion


def completions_of(turn_key: str) -> QuerySet[Completion]:
    """Return the tries of a turn, first to last."""
    return Completion.objects.filter(turn_key=turn_key).order_by("attempt")
