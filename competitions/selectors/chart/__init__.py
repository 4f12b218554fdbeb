"""The equity chart: figures from rows, and the drawing from figures."""

from __future__ import annotations

from competitions.selectors.chart.drawing import Chart, draw
from competitions.selectors.chart.series import (
    ChartView,
    Line,
    Series,
    chart_version,
    series_of,
)

__all__ = ["Chart", "ChartView", "Line", "Series", "chart_version", "draw", "series_of"]
