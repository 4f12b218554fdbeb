"""The pages of one competition: live page, leaderboard, rules, figures behind the chart."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from competitions.live.render import page_context
from competitions.models import Competition
from competitions.selectors.chart import ChartView
from competitions.selectors.facts import facts_of
from competitions.selectors.figures import figures_of
from competitions.selectors.participants import find_entrant, participant_page
from competitions.selectors.season_page import season_page
from competitions.selectors.seasons import find_competition, load_season, market_now

TABS = ("decisions", "positions", "trades", "rules")


def get_competition(request: HttpRequest, slug: str) -> Competition:
    """Return the competition at ``slug``; a hidden one is not found, as if it did not exist."""
    found = find_competition(slug, user=request.user)
    if found is None:
        raise Http404
    return found


@require_safe
def competition(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the live page."""
    view = ChartView.of(request.GET)
    page = season_page(get_competition(request, slug), view, now=timezone.now())
    tab = request.GET.get("tab", "")
    joint = "&" if view.query else "?"
    context = {
        **page_context(page),
        "socket": f"/ws/competitions/{slug}/{view.query}{joint}seq={page.seq}",
        "tab": tab if tab in TABS else TABS[0],
    }
    return render(request, "competitions/competition.html", context)


@require_safe
def leaderboard(request: HttpRequest, slug: str) -> HttpResponse:
    """Show all figures of the leaderboard."""
    page = season_page(get_competition(request, slug), ChartView(), now=timezone.now())
    return render(request, "competitions/leaderboard.html", page_context(page))


@require_safe
def rules(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the rules in plain words, with the contract they were frozen in."""
    page = season_page(get_competition(request, slug), ChartView(), now=timezone.now())
    return render(request, "competitions/rules.html", page_context(page))


@require_safe
def figures(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the figures behind the chart as a table."""
    season = load_season(get_competition(request, slug))
    view = ChartView.of(request.GET)
    context = {"page": season, "season": season, "view": view, "figures": figures_of(season, view)}
    return render(request, "competitions/figures.html", context)


@require_safe
def participant(request: HttpRequest, slug: str, participant: str) -> HttpResponse:
    """Show one participant: figures, positions, trades, decisions."""
    season = load_season(get_competition(request, slug))
    entrant = find_entrant(season, participant)
    if entrant is None:
        raise Http404
    now = timezone.now()
    context = {
        "page": season,
        "season": season,
        "view": participant_page(season, entrant),
        "facts": facts_of(season, now=now),
        "now": now,
        "market_now": market_now(season, now=now),
    }
    return render(request, "competitions/participant.html", context)
