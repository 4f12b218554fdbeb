"""Rules on the order alone: leverage, quantity, value."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from marketdata.domain.instruments import InstrumentSpec
from trading.domain.denials import DenialCode
from trading.domain.intents import OrderIntent
from trading.domain.margin import notional
from trading.domain.money import figure, money_figure
from trading.domain.risk.verdicts import Verdict, rule
from trading.domain.rules import BookRules


def size_rules(
    intent: OrderIntent, spec: InstrumentSpec, rules: BookRules, price: Decimal
) -> Iterator[Verdict]:
    """Yield the rules that need nothing of the account."""
    if not intent.reduce_only:
        yield from _leverage_rules(intent, rules.leverage_limit(spec))
    asked = figure(intent.quantity)
    on_step = intent.quantity > 0 and intent.quantity % spec.step == 0
    step = figure(spec.step)
    yield rule(
        DenialCode.QUANTITY_BELOW_STEP, on_step, limit=step, value=asked, asked=asked, step=step
    )
    # What is left of a position may be smaller than the smallest order: it must still get out.
    if not intent.reduce_only:
        least = figure(spec.min_quantity)
        yield rule(
            DenialCode.BELOW_MIN_QUANTITY,
            intent.quantity >= spec.min_quantity,
            limit=least,
            value=asked,
            asked=asked,
            min=least,
        )
        worth, least = money_figure(notional(intent.quantity, price)), figure(spec.min_notional)
        yield rule(
            DenialCode.BELOW_MIN_NOTIONAL,
            intent.quantity * price >= spec.min_notional,
            limit=least,
            value=worth,
            min=least,
            notional=worth,
        )
    if spec.max_quantity is not None:
        most = figure(spec.max_quantity)
        yield rule(
            DenialCode.ABOVE_MAX_QUANTITY,
            intent.quantity <= spec.max_quantity,
            limit=most,
            value=asked,
            asked=asked,
            max=most,
        )


def _leverage_rules(intent: OrderIntent, most: int) -> Iterator[Verdict]:
    asked = figure(intent.leverage)
    yield rule(
        DenialCode.LEVERAGE_BELOW_ONE,
        intent.leverage >= 1,
        limit="1",
        value=asked,
        asked=asked,
        min="1",
    )
    yield rule(
        DenialCode.LEVERAGE_ABOVE_LIMIT,
        intent.leverage <= most,
        limit=str(most),
        value=asked,
        asked=asked,
        max=str(most),
    )
