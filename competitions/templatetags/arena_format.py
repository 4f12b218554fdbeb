"""How numbers, times and strangers' texts are written on pages.

An unknown value (None) is written as a dash, never as 0. Decimals are written exactly to the digits
asked for; the full value goes into ``data-value``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from competitions.selectors.shown import shown, spelled_out

register = template.Library()

UNKNOWN = "—"
MINUS = "\u2212"
TIMES = "\u00d7"
NBSP = "\u00a0"
_CENT = Decimal("0.01")


@register.filter
def clean(value: object) -> str:
    """Return a text without characters that are not seen or that turn the reading direction."""
    return shown(str(value))


@register.filter
def verbatim(value: str) -> str:
    """Return a text with its invisible characters named."""
    return spelled_out(value)


@register.filter
def number(value: Decimal | int | None, places: int = 2) -> str:
    """Return a number with thousands separators and ``places`` decimals."""
    if value is None:
        return UNKNOWN
    rounded = _rounded(Decimal(value), places)
    return f"{rounded:,f}".replace("-", MINUS)


@register.filter
def usd(value: Decimal | None) -> str:
    """Return an amount of the settlement currency with two decimals."""
    return number(value, 2)


@register.filter
def signed(value: Decimal | None, places: int = 2) -> str:
    """Return a number that always carries its sign, but for zero."""
    if value is None:
        return UNKNOWN
    text = number(value, places)
    return f"+{text}" if _rounded(Decimal(value), places) > 0 else text


@register.filter
def pct(fraction: Decimal | None, places: int = 2) -> str:
    """Return a fraction (0.0842) as a percentage (8.42 %)."""
    return UNKNOWN if fraction is None else f"{number(fraction * 100, places)}{NBSP}%"


@register.filter
def signed_pct(fraction: Decimal | None, places: int = 2) -> str:
    """Return a fraction as a percentage that always carries its sign."""
    return UNKNOWN if fraction is None else f"{signed(fraction * 100, places)}{NBSP}%"


@register.filter
def loss_pct(fraction: Decimal | None, places: int = 2) -> str:
    """Return how much was lost, a positive fraction, as a negative percentage; zero carries no sign."""
    return UNKNOWN if fraction is None else pct(-fraction, places)


@register.filter
def on_grid(value: Decimal | None, grid: Decimal | None) -> str:
    """Return a price or quantity with the decimals of its tick or step; all of its own without one."""
    if value is None:
        return UNKNOWN
    if grid is None:
        return f"{value.normalize():,f}".replace("-", MINUS)
    return number(value, decimals_of(grid))


@register.filter
def times(value: Decimal | int | None) -> str:
    """Return a leverage: 3 times, as a number and the sign."""
    return UNKNOWN if value is None else f"{Decimal(value).normalize():f}{TIMES}"


@register.filter
def bp(fraction: Decimal | None) -> str:
    """Return a fraction in basis points: 0.00003 as 0.3 bp."""
    return UNKNOWN if fraction is None else f"{number(fraction * 10_000, 1)}{NBSP}bp"


def decimals_of(grid: Decimal) -> int:
    """Return how many decimals a multiple of ``grid`` can have: 2 for 0.01, 0 for 1 or 10."""
    exponent = grid.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def direction(value: Decimal | None, places: int = 2) -> str:
    """Return up, down or zero, for the value as it is shown."""
    if value is None:
        return "zero"
    rounded = _rounded(Decimal(value), places)
    return "up" if rounded > 0 else "down" if rounded < 0 else "zero"


@register.simple_tag
def gain(value: Decimal | None, places: int = 2) -> SafeString:
    """Write a profit or loss: sign, arrow and colour, the exact value beside."""
    return _pn(value, signed(value, places), direction(value, places))


@register.simple_tag
def gain_pct(fraction: Decimal | None, places: int = 2) -> SafeString:
    """Write a return: sign, arrow and colour, the exact fraction beside."""
    scaled = None if fraction is None else fraction * 100
    return _pn(fraction, signed_pct(fraction, places), direction(scaled, places))


def _pn(value: Decimal | None, text: str, way: str) -> SafeString:
    if value is None:
        return format_html('<span class="muted">{}</span>', UNKNOWN)
    return format_html('<span class="pn {}" data-value="{}">{}</span>', way, plain(value), text)


@register.filter
def plain(value: Decimal | int | None) -> str:
    """Return the exact value for machines: no separators, no exponent; empty when unknown."""
    return "" if value is None else f"{Decimal(value):f}"


@register.filter
def stamp(value: datetime | None) -> str:
    """Return an absolute UTC time: 21 Nov 00:00."""
    return UNKNOWN if value is None else f"{_utc(value):%-d %b %H:%M}"


@register.filter
def long_stamp(value: datetime | None) -> str:
    """Return an absolute UTC time with its year: 21 Nov 2026 00:00."""
    return UNKNOWN if value is None else f"{_utc(value):%-d %b %Y %H:%M}"


@register.filter
def day(value: datetime | None) -> str:
    """Return a UTC date: 21 Nov 2026."""
    return UNKNOWN if value is None else f"{_utc(value):%-d %b %Y}"


@register.filter
def second(value: datetime | None) -> str:
    """Return the UTC time of day to the second: 00:00:31."""
    return UNKNOWN if value is None else f"{_utc(value):%H:%M:%S}"


@register.filter
def iso(value: datetime | None) -> str:
    """Return a time for the datetime attribute; empty when unknown."""
    return "" if value is None else _utc(value).isoformat().replace("+00:00", "Z")


@register.filter
def duration(value: timedelta | float | None) -> str:
    """Return a length of time in its two largest units: 4 d 8 h, 6 h 15 m, 12 m, 45 s."""
    if value is None:
        return UNKNOWN
    total = int(value.total_seconds() if isinstance(value, timedelta) else value)
    days, rest = divmod(max(total, 0), 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return _two(days, "d", hours, "h")
    if hours:
        return _two(hours, "h", minutes, "m")
    return f"{minutes}{NBSP}m" if minutes else f"{seconds}{NBSP}s"


@register.filter
def interval(seconds: int) -> str:
    """Return the interval of rounds: 15 min, 45 s, 4 h."""
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length}{NBSP}{unit}"
    return f"{seconds}{NBSP}s"


@register.filter
def countdown(value: timedelta | None) -> str:
    """Return the time left: 06:12, 1:06:12; zero once it is over."""
    if value is None:
        return UNKNOWN
    left = max(0, int(value.total_seconds()))
    hours, rest = divmod(left, 3_600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


@register.filter
def age(value: datetime | None, now: datetime) -> str:
    """Return how long ago it was: 8 m."""
    return UNKNOWN if value is None else duration(now - value)


@register.filter
def after(value: datetime | None, start: datetime | None) -> str:
    """Return the time from ``start`` on: +31.2 s, +8 m 48 s."""
    if value is None or start is None:
        return UNKNOWN
    seconds = (value - start).total_seconds()
    if seconds < 60:
        return f"+{max(seconds, 0):.1f}{NBSP}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"+{minutes}{NBSP}m{NBSP}{rest}{NBSP}s" if minutes < 60 else f"+{duration(seconds)}"


@register.filter
def short_hash(value: str) -> str:
    """Return a hash as its head and tail: 526bd815…a918."""
    return f"{value[:8]}…{value[-4:]}" if len(value) > 14 else value


@register.filter
def lookup(mapping: dict[str, Any], key: str) -> Any:
    """Return ``mapping[key]``, None when it has no such key."""
    return mapping.get(key)


def _two(first: int, first_unit: str, then: int, then_unit: str) -> str:
    head = f"{first}{NBSP}{first_unit}"
    return f"{head}{NBSP}{then}{NBSP}{then_unit}" if then else head


def _rounded(value: Decimal, places: int) -> Decimal:
    unit = _CENT if places == 2 else Decimal(1).scaleb(-places)
    rounded = value.quantize(unit, rounding=ROUND_HALF_EVEN)
    # A loss too small to be seen is shown as zero, without a sign.
    return rounded if rounded else abs(rounded)


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)
