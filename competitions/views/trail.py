"""A round, and the trail of one decision in it."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from competitions.selectors.facts import facts_of
from competitions.selectors.rounds import round_view
from competitions.selectors.seasons import load_season
from competitions.selectors.trail import find_turn, steps_of, trail_of
from competitions.views.season import get_competition


@require_safe
def decision(request: HttpRequest, slug: str, number: int, participant: str) -> HttpResponse:
    """Show everything on record about one turn; it grows step by step while the round runs."""
    season = load_season(get_competition(request, slug))
    turn = find_turn(season, number, participant)
    if turn is None:
        raise Http404
    trail = trail_of(season, turn)
    context = {
        "page": season,
        "season": season,
        "trail": trail,
        "steps": steps_of(trail),
        "now": timezone.now(),
    }
    return render(request, "competitions/decision.html", context)


@require_safe
def round_page(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Show a round: its snapshot, its turns, its digest."""
    season = load_season(get_competition(request, slug))
    found = round_view(season, number)
    if found is None:
        raise Http404
    now = timezone.now()
    context = {
        "page": season,
        "season": season,
        "view": found,
        "facts": facts_of(season, now=now),
        "now": now,
    }
    return render(request, "competitions/round.html", context)
