"""The exits of a position or of an instruction, in words."""

from __future__ import annotations

from decimal import Decimal

from competitions.selectors.seasons import Grid
from competitions.templatetags.arena_format import on_grid


def exits_in_words(
    grid: Grid | None,
    *,
    stop_loss: Decimal | None,
    take_profit: Decimal | None,
    callback_rate: Decimal | None = None,
    activation_price: Decimal | None = None,
    trail_trigger: Decimal | None = None,
    invalidation: str = "",
) -> tuple[str, ...]:
    """Return each exit as it is read: stop 58,000.0; target 64,000.0; trails by 1 %, now at 60,390.0; void if: ..."""
    tick = grid.tick if grid else None
    words = []
    if stop_loss is not None:
        words.append(f"stop {on_grid(stop_loss, tick)}")
    if take_profit is not None:
        words.append(f"target {on_grid(take_profit, tick)}")
    if callback_rate is not None:
        words.append(trail_in_words(grid, callback_rate, activation_price, trail_trigger))
    if invalidation:
        words.append(f"void if: {invalidation}")
    return tuple(words)


def trail_in_words(
    grid: Grid | None, rate: Decimal, activation: Decimal | None, trigger: Decimal | None
) -> str:
    """Return how a trailing stop follows: where it fires now, or from which price on it will follow."""
    tick = grid.tick if grid else None
    words = f"trails by {on_grid(rate, None)}\u00a0%"
    if trigger is not None:
        return f"{words}, now at {on_grid(trigger, tick)}"
    return words if activation is None else f"{words} from {on_grid(activation, tick)} on"
