"""A baseline that decides by lot; the same seed material draws the same lots for ever."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import TypeVar

from agents.domain.baselines.orders import (
    close_position,
    decision,
    margin_share,
    name_of,
    open_position,
    open_slots,
    views,
)
from agents.domain.context import DecisionContext, PositionView
from agents.domain.decisions import Action, Instruction
from agents.domain.prompts.numbers import money
from marketdata.domain.views import SymbolView

Item = TypeVar("Item")

TRADE_CHANCE = 45
CLOSE_CHANCE = 60


def toss_coins(context: DecisionContext) -> str:
    """Trade in 45 of 100 rounds: close or keep what is held in a drawn symbol, else open a drawn side and size."""
    number = _percent(context, "trade")
    if number >= TRADE_CHANCE:
        return decision(
            f"Drew {number} of 100; only numbers below {TRADE_CHANCE} trade. Holding.", []
        )
    choice = [view for view in views(context) if view.quote is not None]
    if not choice:
        return decision("There is no quote to trade at: holding.", [])
    view = _drawn(context, "symbol", choice)
    held = context.account.position(view.spec.symbol)
    summary, wish = _with_held(context, held) if held else _without(context, view)
    return decision(summary, [wish] if wish else [])


def _with_held(context: DecisionContext, held: PositionView) -> tuple[str, Instruction | None]:
    number = _percent(context, "close")
    if number >= CLOSE_CHANCE:
        return f"The lot fell on {held.symbol}, then on keeping it ({number} of 100).", None
    result = f"{money(held.unrealised, signed=True)} {context.rules.settlement_asset}"
    reason = f"Drew {number} of 100, below {CLOSE_CHANCE}: the {held.side.lower()} goes, at {result} unrealised."
    return f"The lot fell on {held.symbol}, then on closing it.", close_position(
        held.symbol, reason
    )


def _without(context: DecisionContext, view: SymbolView) -> tuple[str, Instruction | None]:
    symbol = view.spec.symbol
    if not open_slots(context):
        return f"The lot fell on {symbol}, but no more positions may be opened: holding.", None
    sides = [Action.OPEN_LONG] + ([Action.OPEN_SHORT] if context.rules.allow_short else [])
    action = _drawn(context, "side", sides)
    leverage = 1 + _number(context, "leverage") % 3
    part = 20 + _percent(context, "size") * 6 // 10
    margin = margin_share(context, context.rules.max_open_positions) * Decimal(part) / 100
    side = "long" if action is Action.OPEN_LONG else "short"
    wish = open_position(
        context,
        view,
        action,
        margin=min(margin, max(context.account.free_margin, Decimal(0)) * Decimal("0.9")),
        leverage=leverage,
        reasoning=f"{name_of(view)}, {side}, {leverage}x and {part} % of a full share were drawn by lot, not by insight.",
    )
    if wish is None:
        return f"The lot fell on {symbol}, but the drawn size is below its smallest order.", None
    return f"The lot fell on {symbol}: going {side}.", wish


def _number(context: DecisionContext, label: str) -> int:
    material = f"{context.seed_material}|{context.round_number}|{label}"
    return int.from_bytes(hashlib.sha256(material.encode()).digest()[:8], "big")


def _percent(context: DecisionContext, label: str) -> int:
    return _number(context, label) % 100


def _drawn(context: DecisionContext, label: str, items: list[Item]) -> Item:
    return items[_number(context, label) % len(items)]
