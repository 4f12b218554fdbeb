"""The margin tiers that a season freezes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import date

from marketdata.models import Instrument
from marketdata.models import MarginTier as TierRow
from trading.domain.tier_tables import known_tables
from trading.domain.tiers import MarginTier, TierTable

DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


def tier_tables(instruments: Iterable[Instrument]) -> tuple[TierTable, ...]:
    """Return the margin tiers of the instruments: the version stored last, else the arena's own table; none where there is neither.

    An instrument without a table has one tier, made of its own highest leverage. One query.

    Raises:
        ValueError: Naming the symbol and the tier, if a stored table leaves gaps or its margin would jump.
    """
    wanted = list(instruments)
    rows: dict[object, list[TierRow]] = defaultdict(list)
    for row in TierRow.objects.filter(instrument__in=wanted).order_by("pk"):
        rows[row.instrument_id].append(row)
    known = known_tables()
    found = (
        _stored_table(instrument.symbol, rows[instrument.pk])
        if instrument.pk in rows
        else known.get(instrument.symbol)
        for instrument in wanted
    )
    return tuple(table for table in found if table is not None)


def _stored_table(symbol: str, rows: list[TierRow]) -> TierTable:
    version = rows[-1].version
    tiers = sorted(
        (row for row in rows if row.version == version), key=lambda row: row.notional_floor
    )
    return TierTable(
        symbol,
        version,
        _date_in(version),
        tuple(
            MarginTier(
                floor=row.notional_floor,
                cap=row.notional_cap,
                rate=row.maintenance_rate,
                amount=row.maintenance_amount,
                max_leverage=row.max_leverage,
            )
            for row in tiers
        ),
    )


def _date_in(version: str) -> date:
    """Return the day that a version names, for example ``2026-09-29``; the first of all days when it names none."""
    found = DATED.search(version)
    try:
        return date.fromisoformat(found.group()) if found else date.min
    except ValueError:
        return date.min
