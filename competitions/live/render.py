"""The pieces of a competition's page, rendered from the templates that the page itself includes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse

from competitions.models import Competition, Event
from competitions.selectors.chart import ChartView
from competitions.selectors.season_page import SeasonPage, chart_of, season_page
from marketdata.domain.canonical import canonical_time

# Piece to template; the template's root element has the piece's name as its id.
PIECES: Mapping[str, str] = {
    "title": "competitions/_title.html",
    "notice": "competitions/_notice.html",
    "facts": "competitions/_facts.html",
    "prices": "competitions/_prices.html",
    "chart": "competitions/_chart.html",
    "board": "competitions/_board.html",
    "tabs": "competitions/_counts.html",
    "feed": "competitions/_feed.html",
    "positions": "competitions/_positions.html",
    "trades": "competitions/_trades.html",
    # Last: when it has arrived, all that it vouches for is in place.
    "pulse": "competitions/_pulse.html",
}
RANGE_LABELS = {"24h": "24 h", "72h": "72 h", "all": "All"}
UNIT_LABELS = {"pct": "%", "usdt": "USDT"}


@dataclass(frozen=True, slots=True)
class Option:
    """One of a few: where its link leads, and whether it is the chosen one."""

    label: str
    href: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class Rendered:
    """All pieces at event ``seq``, ready to send; ``status`` is the competition's."""

    seq: int
    status: str
    pieces: Mapping[str, str]


def page_context(page: SeasonPage) -> dict[str, Any]:
    """Return what the page's template and all its pieces need."""
    return {"page": page, "chart_options": chart_options(page), "board_link": True}


def chart_options(page: SeasonPage) -> dict[str, list[Option]]:
    """Return the links that switch range and unit."""
    view = page.chart.view
    base = reverse("competition", args=[page.competition.slug])
    asset = page.competition.settlement_asset

    def option(label: str, other: ChartView) -> Option:
        return Option(label, f"{base}{other.query}" or base, other == view)

    return {
        "ranges": [option(RANGE_LABELS[name], view.with_range(name)) for name in RANGE_LABELS],
        "units": [
            option(asset if name == "usdt" else UNIT_LABELS[name], view.with_unit(name))
            for name in UNIT_LABELS
        ],
    }


def render_pieces(
    slug: str, views: Iterable[ChartView], *, now: datetime
) -> dict[ChartView, Rendered]:
    """Return the pieces for each way of looking at the chart; empty when there is no such competition.

    All but the chart are rendered once and shared.
    """
    found = Competition.objects.select_related("feed", "book").filter(slug=slug).first()
    if found is None:
        return {}
    page = season_page(found, ChartView(), now=now)
    context = page_context(page)
    shared = {name: _partial(name, context) for name in PIECES if name != "chart"}
    rendered: dict[ChartView, Rendered] = {}
    for view in views:
        seen = page_context(replace(page, chart=chart_of(page.season, view)))
        pieces = {
            name: _partial(name, seen) if name == "chart" else shared[name] for name in PIECES
        }
        rendered[view] = Rendered(page.seq, page.facts.status, pieces)
    return rendered


def _partial(name: str, context: dict[str, Any]) -> str:
    body = render_to_string(PIECES[name], context).strip()
    return f'<hx-partial hx-target="#{name}" hx-swap="outerMorph">{body}</hx-partial>'


def event_heads(slugs: Collection[str]) -> dict[str, int]:
    """Return the number of each competition's latest event."""
    rows = Competition.objects.filter(slug__in=slugs).values_list("slug", "event_seq")
    return dict(rows)


def encode_events(slug: str, since: int, limit: int) -> list[tuple[int, str]]:
    """Return the events after ``since``, at most ``limit``, each with its JSON text."""
    rows = Event.objects.filter(competition__slug=slug, seq__gt=since).order_by("seq")[:limit]
    return [(row.seq, _event_json(row)) for row in rows]


def _event_json(row: Event) -> str:
    told = {"seq": row.seq, "kind": row.kind, "payload": row.payload, "at": canonical_time(row.at)}
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False)
