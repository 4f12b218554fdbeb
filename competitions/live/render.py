"""The pieces of a competition's page, rendered from the templates that the page itself includes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse

from competitions.models import Competition, Event
from competitions.models.events import EventKind
from competitions.selectors.chart import ChartView
from competitions.selectors.season_page import SeasonPage, season_page
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
# What an event within a round can change; every other kind of event changes anything.
_TURN = {"facts", "prices", "notice", "board", "feed", "pulse"}
TOUCHED: Mapping[str, set[str]] = {
    EventKind.ROUND_START: _TURN,
    EventKind.TURN_SETTLED: _TURN,
    EventKind.ORDER_FILLED: {*_TURN, "positions", "tabs"},
    EventKind.POSITION_CLOSED: {*_TURN, "positions", "trades", "tabs"},
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
    """All pieces at event ``seq``, ready to send."""

    seq: int
    pieces: Mapping[str, str]


def page_context(page: SeasonPage) -> dict[str, Any]:
    """Return what the page's template and all its pieces need."""
    return {"page": page, "chart_options": chart_options(page), "board_link": True}


def chart_options(page: SeasonPage) -> dict[str, list[Option]]:
    """Return the links that switch range and unit."""
    view = page.view
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
    slug: str,
    views: Collection[ChartView],
    *,
    now: datetime,
    before: Mapping[ChartView, Rendered] | None = None,
) -> dict[ChartView, Rendered]:
    """Return the pieces for each way of looking at the chart; empty when there is no such competition.

    All but the chart are rendered once and shared. What was rendered ``before`` is kept where no event since
    then can have changed it.
    """
    found = Competition.objects.select_related("feed", "book").filter(slug=slug).first()
    if found is None:
        return {}
    plain = season_page(found, ChartView(), now=now)
    old = _kept(found, views, before or {})
    names = PIECES.keys() if old is None else _touched(found, old.seq)
    context = page_context(plain)
    shared = {name: _partial(name, context) for name in names if name != "chart"}
    return {
        view: _rendered(replace(plain, view=view), names, shared, (before or {}).get(view))
        for view in views
    }


def _rendered(
    page: SeasonPage, names: Collection[str], shared: Mapping[str, str], old: Rendered | None
) -> Rendered:
    fresh = dict(shared)
    if "chart" in names:
        fresh["chart"] = _partial("chart", page_context(page))
    kept = old.pieces if old else {}
    pieces = {name: fresh.get(name) or kept[name] for name in PIECES}
    return Rendered(page.seq, pieces)


def _kept(
    found: Competition, views: Collection[ChartView], before: Mapping[ChartView, Rendered]
) -> Rendered | None:
    """Return what may be kept in parts: a rendering of every view, all at one event not after the newest."""
    old = [before[view] for view in views if view in before]
    if len(old) < len(views) or not old or len({made.seq for made in old}) > 1:
        return None
    return old[0] if old[0].seq <= found.event_seq else None


def _touched(found: Competition, since: int) -> set[str]:
    """Return the pieces that the events after ``since`` may have changed."""
    events = Event.objects.filter(competition=found, seq__gt=since, seq__lte=found.event_seq)
    kinds = set(events.values_list("kind", flat=True))
    return set[str]().union(*(TOUCHED.get(kind, set(PIECES)) for kind in kinds), {"pulse"})


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
