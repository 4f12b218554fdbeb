"""Numbers as they are written in prompts: in the precision of the instrument, without grouping."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from marketdata.domain.canonical import canonical_decimal
from marketdata.domain.instruments import InstrumentSpec


def decimals_of(unit: Decimal) -> int:
    """Return how many decimals a multiple of ``unit`` (a tick or step) needs."""
    exponent = Decimal(canonical_decimal(unit)).as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def fixed(value: Decimal, decimals: int, *, signed: bool = False) -> str:
    """Return ``value`` with exactly so many decimals, halves to even; never a negative zero."""
    text = format(value, f"{'+' if signed else ''}.{decimals}f")
    return text.lstrip("+-") if not text.strip("+-0.") else text


def price(spec: InstrumentSpec, value: Decimal) -> str:
    return fixed(value, decimals_of(spec.tick))


def quantity(spec: InstrumentSpec, value: Decimal) -> str:
    return fixed(value, decimals_of(spec.step))


def money(value: Decimal, *, signed: bool = False) -> str:
    return fixed(value, 2, signed=signed)


def plain(value: Decimal) -> str:
    return canonical_decimal(value)


def minute(at: datetime) -> str:
    """Return a time as ``2025-05-25 12:34 UTC``."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
