"""One value of an answer, read exactly or refused with its place."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from agents.domain.parsing.documents import RawNumber, check_number
from agents.domain.parsing.faults import fault
from marketdata.domain.canonical import parse_decimal

MAX_MAGNITUDE = Decimal("1e15")

# PostgreSQL refuses NUL and lone surrogates; other controls only serve to confuse a reader.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def read_price(entry: dict[str, Any], name: str, path: str) -> Decimal | None:
    """Return a number above 0, None when it is left out."""
    price = read_decimal(entry, name, path)
    if price is not None and price <= 0:
        raise fault(f"{path}.{name}", price, "a price above 0 (or null)")
    return price


def read_decimal(entry: dict[str, Any], name: str, path: str) -> Decimal | None:
    """Return a JSON number or the number in a string, None when it is left out."""
    value = entry.get(name)
    if value is None:
        return None
    place = f"{path}.{name}"
    if not isinstance(value, (RawNumber, str)):
        raise fault(place, value, "a decimal number")
    text = str(value)
    check_number(text, place)
    try:
        number = parse_decimal(text)
    except ValueError:
        raise fault(place, text, "a number of at most 24 decimals") from None
    if abs(number) >= MAX_MAGNITUDE:
        raise fault(place, text, "a number below 1e15")
    return number


def read_text(fields: dict[str, Any], name: str, path: str, cap: int) -> str:
    """Return at most ``cap`` characters that a database takes, empty when it is left out."""
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise fault(f"{path}.{name}" if path else name, value, "text")
    return _UNPRINTABLE.sub("\ufffd", value)[:cap]
