"""Peak and drawdown, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading.domain.money import exact, round_ratio


@dataclass(frozen=True, slots=True)
class Drawdown:
    """Highest equity so far, and the largest fall from a peak so far as a fraction of it (10 decimals)."""

    peak: Decimal
    largest: Decimal

    @exact
    def after(self, equity: Decimal) -> Drawdown:
        """Return the figures with one more equity, in the order of time; the start capital is the first."""
        peak = max(self.peak, equity)
        fall = round_ratio((peak - equity) / peak) if peak > 0 else Decimal(0)
        return Drawdown(peak, max(self.largest, fall))
