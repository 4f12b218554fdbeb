"""Instructions that keep the rules a baseline can see, and the text of its decision."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal

from agents.domain.context import DecisionContext
from agents.domain.decisions import MAX_INSTRUCTIONS, Action, Instruction, decision_text
from marketdata.domain.views import SymbolView

CENT = Decimal("0.01")
# Room for the fee, the spread and what earlier orders of the same turn took.
MARGIN_USED = Decimal("0.95")


def open_slots(context: DecisionContext, *, freed: int = 0) -> int:
    """Return how many positions may still be opened once ``freed`` of those held are closed."""
    return max(0, context.rules.max_open_positions - len(context.account.positions) + freed)


def margin_share(context: DecisionContext, positions: int) -> Decimal:
    """Return the margin for each of ``positions`` equal ones under the limits, in the settlement currency."""
    rules, equity = context.rules, max(context.account.equity, Decimal(0))
    usage = equity * rules.max_margin_usage_pct / 100 / positions
    share = min(equity * rules.max_position_size_pct / 100, usage, equity / positions)
    return share / rules.margin_buffer * MARGIN_USED


def open_position(
    context: DecisionContext,
    view: SymbolView,
    action: Action,
    *,
    margin: Decimal,
    leverage: int,
    reasoning: str,
    confidence: Decimal | None = None,
    stop_pct: Decimal | None = None,
    invalidation: str = "",
) -> Instruction | None:
    """Return an open of ``margin`` times leverage, None when there is no quote or it would be below the symbol's minimum.

    ``stop_pct`` puts the planned stop so many percent beyond the price.
    """
    if view.quote is None:
        return None
    is_long = action is Action.OPEN_LONG
    price = view.quote.ask if is_long else view.quote.bid
    leverage = min(leverage, context.rules.leverage_limit(view.spec))
    notional = (margin * leverage).quantize(CENT, rounding=ROUND_DOWN)
    quantity = view.spec.floor_quantity(notional / price)
    if quantity < max(view.spec.min_quantity, view.spec.step):
        return None
    # One percent of room: the price moves between the snapshot and the fill.
    if quantity * price < view.spec.min_notional * Decimal("1.01"):
        return None
    return Instruction(
        action=action,
        symbol=view.spec.symbol,
        notional=notional,
        leverage=leverage,
        stop_loss=_stop(view, price, stop_pct, is_long=is_long),
        invalidation=invalidation,
        confidence=confidence,
        reasoning=reasoning,
    )


def _stop(
    view: SymbolView, price: Decimal, stop_pct: Decimal | None, *, is_long: bool
) -> Decimal | None:
    if stop_pct is None:
        return None
    sign = -1 if is_long else 1
    return view.spec.round_price(price * (100 + sign * stop_pct) / 100)


def close_position(symbol: str, reasoning: str) -> Instruction:
    return Instruction(action=Action.CLOSE, symbol=symbol, reasoning=reasoning)


def hold_position(symbol: str, reasoning: str) -> Instruction:
    return Instruction(action=Action.HOLD, symbol=symbol, reasoning=reasoning)


def decision(summary: str, instructions: Sequence[Instruction]) -> str:
    """Return the decision text; with too many instructions the holds, which change nothing, go first."""
    trades = [wish for wish in instructions if wish.action is not Action.HOLD]
    holds = [wish for wish in instructions if wish.action is Action.HOLD]
    return decision_text(summary, [*trades, *holds][:MAX_INSTRUCTIONS])


def name_of(view: SymbolView) -> str:
    """Return the short name of what is traded, BTC for BTCUSDT."""
    return view.spec.base_asset or view.spec.symbol


def listed(names: Sequence[str]) -> str:
    """Return ``A``, ``A and B`` or ``A, B and C``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def views(context: DecisionContext) -> list[SymbolView]:
    """Return the tradable symbols of the round, in alphabetical order."""
    tradable = set(context.rules.symbols)
    return [view for symbol, view in sorted(context.market.symbols.items()) if symbol in tradable]
