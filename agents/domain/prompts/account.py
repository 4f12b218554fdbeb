"""The participant's own part of a prompt: its money, positions and last steps."""

from __future__ import annotations

from decimal import Decimal

from agents.domain.context import (
    AccountView,
    DecisionContext,
    OrderView,
    PositionView,
    RecentDecision,
    RulesView,
)
from agents.domain.prompts.numbers import fixed, money, plain, price, quantity
from marketdata.domain.instruments import InstrumentSpec

MAX_ECHO = 400
_DRAWDOWN_WORDS = {
    "WARN": "WARNING",
    "STOP": "you may open nothing",
    "CLOSE": "you may open nothing, and all you hold is closed",
}


def account_blocks(context: DecisionContext) -> dict[str, str]:
    """Return the placeholders that only the participant itself is told."""
    asset = context.rules.settlement_asset
    specs = {spec.symbol: spec for spec in context.rules.instruments}
    positions = "\n".join(
        _position(held, specs.get(held.symbol), context.rules) for held in context.account.positions
    )
    return {
        "account": render_account(context.account, asset) + _smallest(context, specs),
        "positions": (positions or "No open positions.") + _orders(context, specs),
        "recent": "\n".join(map(_recent, context.recent)) or "This is your first decision.",
        "denials": "\n".join(f"- {one_line(denial)}" for denial in context.denials)
        or "No order was refused.",
    }


def render_account(account: AccountView, asset: str) -> str:
    """Return the account in one line."""
    share = ""
    if account.equity > 0:
        share = f" ({fixed(account.used_margin / account.equity * 100, 1)} % of equity)"
    return (
        f"wallet {money(account.wallet)} {asset} | equity {money(account.equity)} {asset} | "
        f"free margin {money(account.free_margin)} {asset} | used margin {money(account.used_margin)} {asset}{share}"
        f"{_drawdown(account)}"
    )


def _drawdown(account: AccountView) -> str:
    if account.drawdown_pct is None:
        return ""
    told = f" | drawdown {fixed(account.drawdown_pct, 2)} %"
    words = _DRAWDOWN_WORDS.get(account.drawdown_tier)
    return f"{told} ({words})" if words else told


def one_line(text: str) -> str:
    """Return ``text`` on one line, cut short; a participant's own words come back to it this way."""
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_ECHO else flat[: MAX_ECHO - 1] + "…"


def _smallest(context: DecisionContext, specs: dict[str, InstrumentSpec]) -> str:
    """Return what the least is that may be opened now, by symbol; empty where nobody reckoned it."""
    asset = context.rules.settlement_asset
    least = ", ".join(
        f"{symbol} {quantity(specs[symbol], order.quantity)} ({money(order.notional)} {asset})"
        for symbol, order in sorted(context.smallest.items())
    )
    return f"\nSmallest order now: {least}" if least else ""


def _orders(context: DecisionContext, specs: dict[str, InstrumentSpec]) -> str:
    if not context.rules.resting_orders:
        return ""
    lines = [_order(order, specs.get(order.symbol)) for order in context.account.orders]
    return "\n\nOpen orders:\n" + ("\n".join(lines) or "No open orders.")


def _order(order: OrderView, spec: InstrumentSpec | None) -> str:
    size = _size(spec, order.quantity)
    parts = [f"- {order.symbol} {order.side} {order.kind.lower()} quantity {size}"]
    for name, level in (
        ("limit_price", order.limit_price),
        ("trigger_price", order.trigger_price),
    ):
        if level is not None:
            parts.append(f"{name} {_price(spec, level)}")
    if order.callback_rate is not None:
        parts.append(
            f"callback_rate {plain(order.callback_rate)} "
            + _following(spec, order.activation_price, order.trailing_best)
        )
    if order.time_in_force:
        parts.append(order.time_in_force.lower())
    if order.close_position:
        parts.append("closes all that is held then")
    elif order.reduce_only:
        parts.append("reduces only")
    return " | ".join([*parts, f"waiting for {order.age_minutes} min"])


def _following(
    spec: InstrumentSpec | None, activation: Decimal | None, best: Decimal | None
) -> str:
    if best is not None:
        return f"behind the best price {_price(spec, best)}"
    return "from now on" if activation is None else f"from {_price(spec, activation)} on"


def _price(spec: InstrumentSpec | None, value: Decimal | None) -> str:
    if value is None:
        return "none"
    return plain(value) if spec is None else price(spec, value)


def _size(spec: InstrumentSpec | None, value: Decimal) -> str:
    return plain(value) if spec is None else quantity(spec, value)


def _position(held: PositionView, spec: InstrumentSpec | None, rules: RulesView) -> str:
    parts = [
        f"- {held.symbol} {held.side} quantity {_size(spec, held.quantity)}",
        f"entry {_price(spec, held.entry)}",
        f"mark {_price(spec, held.mark)}",
        f"unrealised {money(held.unrealised, signed=True)} {rules.settlement_asset}",
        f"leverage {held.leverage}",
        f"open for {held.age_minutes} min",
    ]
    if rules.acts_between_rounds:
        parts.append(f"liquidation {_liquidation(held, spec)}")
    parts += [
        f"stop_loss {_price(spec, held.stop_loss)}",
        f"take_profit {_price(spec, held.take_profit)}",
    ]
    if rules.resting_orders and held.trailing_stop_pct is not None:
        parts.append(
            f"trailing_stop_pct {plain(held.trailing_stop_pct)} "
            + _following(spec, held.trailing_activation, held.trailing_best)
        )
    return " | ".join([*parts, f"invalidation: {one_line(held.invalidation) or 'none'}"])


def _liquidation(held: PositionView, spec: InstrumentSpec | None) -> str:
    """Return the price and how far the mark is from it, in percent of the mark."""
    level = held.liquidation
    if level is None or level <= 0:
        return "none"
    away = abs(held.mark - level) / held.mark * 100
    shown = plain(level) if spec is None else price(spec, level)
    return f"{shown} ({fixed(away, 2)} % away)"


def _recent(decision: RecentDecision) -> str:
    refused = "; ".join(decision.denials)
    extra = ", extra turn" if decision.is_extra else ""
    return (
        f"- round {decision.round_number}{extra}: {decision.outcome}. {one_line(decision.summary) or 'No summary.'}"
        + (f" Refused: {one_line(refused)}" if refused else "")
    )
