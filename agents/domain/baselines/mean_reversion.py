"""A baseline that bets on a return to the mean after extremes of the relative strength index."""

from __future__ import annotations

from decimal import Decimal

from agents.domain.baselines.orders import name_of
from agents.domain.baselines.rounds import Opinion, Verdict, play
from agents.domain.baselines.signals import base_series, strength
from agents.domain.context import DecisionContext, PositionView
from agents.domain.prompts.numbers import fixed
from marketdata.domain.views import SymbolView

OVERSOLD, MIDDLE, OVERBOUGHT = 30, 50, 70


def fade_extremes(context: DecisionContext) -> str:
    """Buy below RSI 30, sell short above RSI 70, leave at 50."""
    return play(
        context,
        _judge,
        leverage=2,
        stop_pct=Decimal(3),
        quiet=f"No symbol is stretched: every RSI lies between {OVERSOLD} and {OVERBOUGHT}, or is not known yet.",
    )


def _judge(context: DecisionContext, view: SymbolView, held: PositionView | None) -> Opinion:
    name, series = name_of(view), base_series(view)
    index = strength(series) if series else None
    if series is None or index is None:
        return Opinion(Verdict.STAY, f"{name}: the 14-period RSI is still warming up.")
    told = f"{name}'s 14-period RSI on {series.timeframe} is {fixed(index, 1)}"
    if index < OVERSOLD:
        return _stretched(Verdict.LONG, f"{told}, below {OVERSOLD}: sold too far", index)
    if index > OVERBOUGHT:
        return _stretched(Verdict.SHORT, f"{told}, above {OVERBOUGHT}: bought too far", index)
    if held is not None and (index >= MIDDLE) == held.is_long:
        return Opinion(
            Verdict.FLAT, f"{told}, back at the middle: the {held.side.lower()} has done its work."
        )
    return Opinion(Verdict.STAY, f"{told}: on its way, nothing to do.")


def _stretched(verdict: Verdict, told: str, index: Decimal) -> Opinion:
    distance = min(abs(index - OVERSOLD), abs(index - OVERBOUGHT))
    certainty = min(Decimal("0.9"), Decimal("0.5") + distance / 50).quantize(Decimal("0.01"))
    return Opinion(
        verdict, f"{told}, a return to the middle is the bet.", "RSI stays there", certainty
    )
