"""Canonical text: the one way in which numbers, times and structures are written before they are hashed."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

MAX_DIGITS = 38
MAX_EXPONENT = 24


def canonical_decimal(value: Decimal) -> str:
    """Return ``value`` in plain notation without exponent, trailing zeros or a negative zero.

    Raises:
        ValueError: If the value is not finite, has more than 38 digits, or an exponent beyond +-24.
    """
    if not value.is_finite():
        raise ValueError(f"a finite number is wanted, was {value}")
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    # Checked before any formatting: Decimal("1e999999") would otherwise print a million digits.
    if len(digits) > MAX_DIGITS or abs(exponent) > MAX_EXPONENT:
        raise ValueError(
            f"at most {MAX_DIGITS} digits and 24 decimals are kept, found {len(digits)} digits, exponent {exponent}"
        )
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def parse_decimal(text: str) -> Decimal:
    """Return the finite Decimal written in ``text``; raise ValueError naming what was found."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"a decimal number is wanted, was {text[:60]!r}") from None
    return Decimal(canonical_decimal(value))


def canonical_time(value: datetime) -> str:
    """Return an aware time as UTC ISO 8601 with a trailing Z; microseconds only when there are any."""
    if value.tzinfo is None:
        raise ValueError(f"an aware time is wanted, was {value.isoformat()}")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Return the aware UTC time written by :func:`canonical_time`."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return canonical_decimal(value)
    if isinstance(value, datetime):
        return canonical_time(value)
    raise TypeError(f"{type(value).__name__} has no canonical form")


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces; Decimals and times become strings, floats are refused."""
    _refuse_floats(value)
    return json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        default=_plain,
        allow_nan=False,
    )


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError(f"floats have no canonical form, was {value!r}")
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_floats(item)


def sha256_text(text: str) -> str:
    """Return the lower-case hex sha256 of ``text`` in UTF-8 (lone surrogates are replaced by their escapes)."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def digest_of(value: Any) -> str:
    """Return the sha256 of the canonical JSON of ``value``."""
    return sha256_text(canonical_json(value))
