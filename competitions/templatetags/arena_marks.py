"""Small drawings: a participant's mark, seals of hashes, the ring of twelve, icons, pills."""

from __future__ import annotations

from math import cos, pi, sin

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from competitions.selectors.roles import Asker, is_operator
from competitions.templatetags.arena_format import short_hash

register = template.Library()

RING_PARTS = 12
# What a state or outcome looks like: the stylesheet's shapes and colours.
_LOOKS = {
    "TRADED": "traded",
    "FILLED": "traded",
    "ALLOWED": "traded",
    "VALID": "traded",
    "RUNNING": "running",
    "ACTIVE": "running",
    "OPEN": "running",
    "DENIED": "denied",
    "LATE": "late",
    "PAUSED": "paused",
    "REDUCING": "paused",
    "REPAIRED": "warn",
    "UNKNOWN": "warn",
    "INVALID": "invalid",
    "REFUSED": "invalid",
    "TRUNCATED": "invalid",
    "TIMEOUT": "timeout",
    "ERROR": "error",
    "REJECTED": "error",
    "SUSPENDED": "error",
    "FAILED": "bad",
    "HALTED": "bad",
    "LIQUIDATED": "liquidated",
}


@register.filter
def operates(user: Asker) -> bool:
    """Tell whether the account may open the operator's console."""
    return is_operator(user)


@register.simple_tag
def pill(code: str, label: str = "") -> SafeString:
    """Write a state or outcome as shape, colour and word."""
    look = _LOOKS.get(code, "held")
    return format_html('<span class="pill" data-o="{}">{}</span>', look, label or code)


@register.simple_tag
def key(css: str, symbol: str, extra: str = "") -> SafeString:
    """Write a participant's line sample with its marker, as in the chart."""
    classes = f"key {extra} {css}" if extra else f"key {css}"
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="#k{}"/></svg>', classes, symbol
    )


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """Write one of the sprite's icons."""
    return format_html(
        '<svg class="ico {}" viewBox="0 0 16 16" aria-hidden="true"><use href="#i-{}"/></svg>',
        extra,
        name,
    )


@register.simple_tag
def seal(sha256: str) -> SafeString:
    """Write a hash with a small drawing of it, so that the eye can compare two."""
    if not sha256:
        return mark_safe('<span class="muted">—</span>')
    return format_html(
        '<span class="seal"><svg viewBox="0 0 14 14" aria-hidden="true" '
        'shape-rendering="crispEdges"><path d="{}"/></svg>'
        '<span class="hash" title="{}">{}</span></span>',
        seal_path(sha256),
        sha256,
        short_hash(sha256),
    )


def seal_path(sha256: str, *, origin: float = 0, cell: float = 2) -> str:
    """Return seven rows of seven cells, mirrored: bits 0 to 27 of the hash, four a row."""
    bits = int(sha256[:8], 16)
    strokes = []
    for row in range(7):
        cells = [bool(bits >> (31 - row * 4 - min(column, 6 - column)) & 1) for column in range(7)]
        strokes += [
            f"M{origin + column * cell:g} {origin + row * cell:g}h{cell:g}v{cell:g}h-{cell:g}z"
            for column, is_on in enumerate(cells)
            if is_on
        ]
    return "".join(strokes)


@register.simple_tag
def emblem(sha256: str) -> SafeString:
    """Write a season's digest as a large seal within the ring of twelve."""
    return format_html(
        '<svg class="emblem" viewBox="0 0 36 36" role="img" aria-label="Seal of this season">'
        '{}<path class="ink" d="{}"/></svg>',
        _arcs([f"a{part + 1}" for part in range(RING_PARTS)], radius=15.5, margin=4),
        seal_path(sha256, origin=9.6, cell=2.4),
    )


@register.simple_tag
def ring(passed: int, extra: str = "") -> SafeString:
    """Write the ring of twelve with ``passed`` of its parts lit."""
    classes = ["on" if part < passed else "" for part in range(RING_PARTS)]
    return format_html(
        '<svg class="ring {}" viewBox="0 0 36 36" role="img" '
        'aria-label="{} of 12 parts of this round have passed">{}</svg>',
        extra,
        passed,
        _arcs(classes, radius=15, margin=3.5),
    )


@register.simple_tag
def logo() -> SafeString:
    """Write the arena's mark."""
    return format_html(
        '<svg class="logo" viewBox="0 0 36 36" aria-hidden="true">{}</svg>',
        _arcs([f"a{part + 1}" for part in range(RING_PARTS)], radius=14, margin=4.6),
    )


def _arcs(classes: list[str], *, radius: float, margin: float) -> SafeString:
    """Return one arc per class, clockwise from the top; ``margin`` is the gap in degrees."""
    return format_html_join(
        "",
        '<path{} d="{}"/>',
        (
            (
                format_html(' class="{}"', name) if name else "",
                _arc(part * 30 + margin, (part + 1) * 30 - margin, radius),
            )
            for part, name in enumerate(classes)
        ),
    )


def _arc(start: float, end: float, radius: float) -> str:
    (x1, y1), (x2, y2) = _point(start, radius), _point(end, radius)
    return f"M{x1:.2f} {y1:.2f}A{radius:g} {radius:g} 0 0 1 {x2:.2f} {y2:.2f}"


def _point(degrees: float, radius: float) -> tuple[float, float]:
    angle = degrees * pi / 180
    return 18 + radius * sin(angle), 18 - radius * cos(angle)
