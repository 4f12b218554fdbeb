"""Baselines without a view: the market itself, and no market at all."""

from __future__ import annotations

from decimal import Decimal

from agents.domain.baselines.orders import (
    decision,
    hold_position,
    listed,
    margin_share,
    name_of,
    open_position,
    open_slots,
    views,
)
from agents.domain.context import DecisionContext
from agents.domain.decisions import Action
from agents.domain.prompts.numbers import fixed, money


def stay_in_cash(context: DecisionContext) -> str:
    """Never trade."""
    equity = money(context.account.equity)
    return decision(
        f"Staying in cash with {equity} {context.rules.settlement_asset}: nothing ventured, nothing paid in fees.",
        [],
    )


def buy_and_hold(context: DecisionContext) -> str:
    """Buy every symbol with the same weight at 1x once, then hold."""
    return _keep(context) if context.account.positions else _buy(context)


def _buy(context: DecisionContext) -> str:
    chosen = [view for view in views(context) if view.quote is not None]
    chosen = chosen[: open_slots(context)]
    if not chosen:
        return decision("There are no quotes to buy at yet: waiting for the next round.", [])
    margin = margin_share(context, len(chosen))
    worth = money(margin)
    asset = context.rules.settlement_asset
    wishes = [
        open_position(
            context,
            view,
            Action.OPEN_LONG,
            margin=margin,
            leverage=1,
            reasoning=f"{name_of(view)} gets one of {len(chosen)} equal shares, {worth} {asset}, without leverage, to be held to the end.",
        )
        for view in chosen
    ]
    bought = [wish for wish in wishes if wish is not None]
    if not bought:
        return decision(
            f"A share of {worth} {asset} is below the smallest order of every symbol: holding cash.",
            [],
        )
    return decision(
        f"Buying {listed([wish.symbol for wish in bought])} in equal parts of {worth} {asset} and holding them to the end.",
        bought,
    )


def _keep(context: DecisionContext) -> str:
    held = context.account.positions
    cost = sum((position.quantity * position.entry for position in held), Decimal(0))
    gain = sum((position.unrealised for position in held), Decimal(0))
    change = fixed(gain / cost * 100, 2, signed=True) if cost else "0.00"
    return decision(
        f"Still holding {listed([position.symbol for position in held])}: {change} % on what they cost.",
        [
            hold_position(
                position.symbol,
                f"Bought to hold; {money(position.unrealised, signed=True)} {context.rules.settlement_asset} so far.",
            )
            for position in held
        ],
    )
