"""Plain programs that take part like models: context in, decision text out, reasons in words."""

from __future__ import annotations

from collections.abc import Callable

from agents.domain.baselines.coin_toss import toss_coins
from agents.domain.baselines.mean_reversion import fade_extremes
from agents.domain.baselines.passive import buy_and_hold, stay_in_cash
from agents.domain.baselines.trend import follow_trend
from agents.domain.context import DecisionContext

BASELINES: dict[str, Callable[[DecisionContext], str]] = {
    "buy_and_hold": buy_and_hold,
    "cash": stay_in_cash,
    "mean_reversion": fade_extremes,
    "random": toss_coins,
    "trend": follow_trend,
}

__all__ = ["BASELINES"]
