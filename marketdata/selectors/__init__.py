"""Reads of stored market facts."""

from __future__ import annotations

from marketdata.selectors.coverage import SeriesCoverage, series_coverage
from marketdata.selectors.snapshots import feed_health, latest_snapshot, mark_history

__all__ = [
    "SeriesCoverage",
    "feed_health",
    "latest_snapshot",
    "mark_history",
    "series_coverage",
]
