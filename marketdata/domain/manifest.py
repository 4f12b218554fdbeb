"""The canonical content of a market snapshot, written and read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from marketdata.domain.canonical import canonical_decimal, canonical_time, parse_time
from marketdata.domain.facts import Funding, Quote
from marketdata.domain.quotes import Fault


@dataclass(frozen=True, slots=True)
class SeriesState:
    """A series as a snapshot saw it: the open of its last candle, how many were chained, and their hash."""

    last_open: datetime | None
    count: int
    digest: str

    def as_canonical(self) -> dict[str, Any]:
        last = None if self.last_open is None else canonical_time(self.last_open)
        return {"last_open": last, "count": self.count, "hash": self.digest}


def quote_fields(quote: Quote) -> dict[str, str]:
    """Return a quote as a manifest holds it; the symbol is its key."""
    return {
        # The found price of a refused quote may be anything, even NaN.
        "bid": _number(quote.bid),
        "ask": _number(quote.ask),
        "mark": _number(quote.mark),
        "at": canonical_time(quote.at),
    }


def _number(value: Decimal) -> str:
    try:
        return canonical_decimal(value)
    except ValueError:
        return str(value)[:60]


def quotes_of(manifest: Mapping[str, Any], key: str = "quotes") -> dict[str, Quote]:
    """Return the quotes that a manifest holds under ``quotes`` or ``opens``."""
    return {
        symbol: Quote(
            symbol,
            parse_time(fields["at"]),
            Decimal(fields["bid"]),
            Decimal(fields["ask"]),
            Decimal(fields["mark"]),
        )
        for symbol, fields in manifest.get(key, {}).items()
    }


def funding_fields(funding: Funding) -> dict[str, str]:
    """Return a funding rate as a manifest holds it."""
    return {"rate": _number(funding.rate), "at": canonical_time(funding.at)}


def funding_of(manifest: Mapping[str, Any]) -> dict[str, Funding]:
    """Return the funding rates that a manifest holds."""
    return {
        symbol: Funding(symbol, parse_time(fields["at"]), Decimal(fields["rate"]))
        for symbol, fields in manifest.get("funding", {}).items()
    }


def fault_rows(faults: Iterable[Fault]) -> list[dict[str, str]]:
    """Return faults in the order of symbol and reason."""
    ordered = sorted(faults, key=lambda fault: (fault.symbol, fault.reason, fault.found))
    return [
        {"symbol": fault.symbol, "reason": fault.reason, "found": fault.found} for fault in ordered
    ]
