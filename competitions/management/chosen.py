"""The competition that a command is about."""

from __future__ import annotations

from competitions.models import Competition
from marketdata.management.base import SHOWN, wrong_use

KNOWN = 20


def find_competition(slug: str) -> Competition:
    """Return the competition at ``slug``; raise CommandError naming those that there are."""
    found = Competition.objects.select_related("feed", "book").filter(slug=slug).first()
    if found is None:
        slugs = Competition.objects.order_by("slug").values_list("slug", flat=True)[:KNOWN]
        known = ", ".join(slugs) or "none yet"
        raise wrong_use(f"there is no competition {slug[:SHOWN]!r}; there is {known}")
    return found
