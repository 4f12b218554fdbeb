"""A baseline that follows the trend of two moving averages."""

from __future__ import annotations

from decimal import Decimal

from agents.domain.baselines.orders import name_of
from agents.domain.baselines.rounds import Opinion, Verdict, play
from agents.domain.baselines.signals import average, base_series
from agents.domain.context import DecisionContext, PositionView
from agents.domain.prompts.numbers import fixed, price
from marketdata.domain.views import SymbolView

FAST, SLOW = 20, 50
# Averages closer than this are no trend: crossing back and forth only pays fees.
BAND_PCT = Decimal("0.05")


def follow_trend(context: DecisionContext) -> str:
    """Be long where the close is above the 20-period average and that above the 50-period one; short where all is below."""
    return play(
        context,
        _judge,
        leverage=2,
        stop_pct=Decimal(2),
        quiet="No symbol shows a clear trend: waiting.",
    )


def _judge(context: DecisionContext, view: SymbolView, held: PositionView | None) -> Opinion:
    name, series = name_of(view), base_series(view)
    fast = average(series, FAST) if series else None
    slow = average(series, SLOW) if series else None
    if series is None or fast is None or slow is None:
        return Opinion(Verdict.STAY, f"{name}: the {SLOW}-period average is still warming up.")
    close = series.candles[-1].close
    gap = (close - fast) / fast * 100
    slope = (fast - slow) / slow * 100
    told = (
        f"{name} closed {_side(gap)} its 20-period average ({price(view.spec, fast)}), "
        f"which stands {_side(slope)} the 50-period one ({price(view.spec, slow)})"
    )
    line = f"a {series.timeframe} close on the other side of the 50-period average"
    certainty = min(Decimal("0.9"), Decimal("0.5") + abs(slope) / 5).quantize(Decimal("0.01"))
    if slope > BAND_PCT and gap > 0:
        return Opinion(Verdict.LONG, f"{told}: the trend is up.", line, certainty)
    if slope < -BAND_PCT and gap < 0:
        return Opinion(Verdict.SHORT, f"{told}: the trend is down.", line, certainty)
    if held is not None and (slope > 0) != held.is_long:
        return Opinion(Verdict.FLAT, f"{told}: the averages have crossed, the {held.side} is over.")
    return Opinion(Verdict.STAY, f"{told}: no new signal.")


def _side(percent: Decimal) -> str:
    return f"{fixed(abs(percent), 2)} % {'above' if percent >= 0 else 'below'}"
