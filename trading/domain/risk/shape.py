"""Rules on what becomes of the position."""

from __future__ import annotations

from collections.abc import Iterator

from trading.domain.denials import DenialCode, RuleCheck
from trading.domain.exits import wrong_side
from trading.domain.intents import OrderIntent, Side
from trading.domain.margin import notional
from trading.domain.money import MONEY_CAP, ZERO, figure, money_figure
from trading.domain.risk.projection import Projection
from trading.domain.risk.verdicts import Verdict, rule
from trading.domain.state import AccountState, PositionState


def shape_rules(view: Projection) -> Iterator[Verdict]:
    """Yield the rules on what the position becomes."""
    if not view.opening:
        return
    is_long = view.intent.side is Side.BUY
    yield rule(
        DenialCode.SHORTING_NOT_ALLOWED,
        is_long or view.rules.allow_short,
        limit="long and short" if view.rules.allow_short else "long only",
        value="long" if is_long else "short",
        symbol=view.intent.symbol,
    )
    if view.adds:
        yield from _adding_rules(view)
    most = str(view.rules.max_open_positions)
    count = str(len(view.symbols_after))
    yield rule(
        DenialCode.TOO_MANY_POSITIONS,
        len(view.symbols_after) <= view.rules.max_open_positions,
        limit=most,
        value=count,
        max=most,
        open=count,
    )
    assert view.result is not None
    yield _notional_rule(view, view.result)
    if view.rules.has_tiers:
        yield _tier_rule(view, view.result)
    yield _exits_rule(view, is_long=is_long)


def reduce_only_rules(state: AccountState, intent: OrderIntent) -> Iterator[Verdict]:
    """Yield the rules on an order that may only close what other orders do not close already; it needs no marks."""
    held_quantity = state.quantity(intent.symbol)
    waiting = sum(
        (
            order.remaining
            for order in state.orders.values()
            if order.symbol == intent.symbol and order.side is intent.side
        ),
        ZERO,
    )
    against = held_quantity * intent.side.sign < 0
    closable = max(abs(held_quantity) - waiting, ZERO) if against else ZERO
    asked, held = figure(intent.quantity), figure(closable)
    yield rule(
        DenialCode.NO_POSITION,
        closable > 0,
        limit="a position",
        value=held,
        symbol=intent.symbol,
    )
    yield rule(
        DenialCode.REDUCE_ONLY_WOULD_INCREASE,
        intent.quantity <= closable,
        limit=held,
        value=asked,
        asked=asked,
        position=held,
    )


def _adding_rules(view: Projection) -> Iterator[Verdict]:
    assert view.position is not None
    yield rule(
        DenialCode.PYRAMIDING_NOT_ALLOWED,
        view.rules.allow_pyramiding,
        limit="adding allowed" if view.rules.allow_pyramiding else "one entry a position",
        value="adds",
        position=figure(abs(view.held)),
        symbol=view.intent.symbol,
    )
    asked, held = str(view.intent.leverage), str(view.position.leverage)
    yield rule(
        DenialCode.LEVERAGE_CONFLICT,
        asked == held,
        limit=held,
        value=asked,
        asked=asked,
        position=held,
    )


def _notional_rule(view: Projection, result: PositionState) -> Verdict:
    worth = max(notional(result.quantity, view.mark), result.entry_cost)
    cap = view.rules.tier_table(result.symbol).cap if view.rules.has_tiers else None
    most = money_figure(min(MONEY_CAP, cap or MONEY_CAP))
    return rule(
        DenialCode.ABOVE_MAX_NOTIONAL,
        worth <= MONEY_CAP and (cap is None or worth <= cap),
        limit=most,
        value=money_figure(worth),
        max=most,
        notional=money_figure(worth),
    )


def _tier_rule(view: Projection, result: PositionState) -> Verdict:
    """Return whether the tier of the notional after the fill allows the position's leverage."""
    worth = notional(result.quantity, view.mark)
    tier = view.rules.tier_table(result.symbol).tier_at(worth)
    asked, most = str(result.leverage), str(tier.max_leverage)
    return rule(
        DenialCode.LEVERAGE_ABOVE_LIMIT,
        result.leverage <= tier.max_leverage,
        limit=most,
        value=asked,
        asked=asked,
        max=most,
        notional=money_figure(worth),
        tier_above=money_figure(tier.floor),
    )


def _exits_rule(view: Projection, *, is_long: bool) -> Verdict:
    denial = wrong_side(view.intent.exits, is_long=is_long, price=view.price)
    levels = [
        figure(level)
        for level in (view.intent.exits.stop_loss, view.intent.exits.take_profit)
        if level is not None
    ]
    check = RuleCheck(
        DenialCode.EXITS_ON_WRONG_SIDE,
        f"either side of {figure(view.price)}",
        " / ".join(levels) or None,
        passed=denial is None,
    )
    return check, denial
