"""The participant's own part of a prompt: its money, positions and last steps."""

from __future__ import annotations

from decimal import Decimal

from agents.domain.context import AccountView, DecisionContext, PositionView, RecentDecision
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
    return {
        "account": render_account(context.account, asset),
        "positions": "\n".join(
            _position(held, specs.get(held.symbol), asset) for held in context.account.positions
        )
        or "No open positions.",
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


def _position(held: PositionView, spec: InstrumentSpec | None, asset: str) -> str:
    def at(value: Decimal | None) -> str:
        if value is None:
            return "none"
        return plain(value) if spec is None else price(spec, value)

    size = plain(held.quantity) if spec is None else quantity(spec, held.quantity)
    return (
        f"- {held.symbol} {held.side} quantity {size} | entry {at(held.entry)} | mark {at(held.mark)} | "
        f"unrealised {money(held.unrealised, signed=True)} {asset} | leverage {held.leverage} | "
        f"open for {held.age_minutes} min | stop_loss {at(held.stop_loss)} | take_profit {at(held.take_profit)} | "
        f"invalidation: {one_line(held.invalidation) or 'none'}"
    )


def _recent(decision: RecentDecision) -> str:
    refused = "; ".join(decision.denials)
    extra = ", extra turn" if decision.is_extra else ""
    return (
        f"- round {decision.round_number}{extra}: {decision.outcome}. {one_line(decision.summary) or 'No summary.'}"
        + (f" Refused: {one_line(refused)}" if refused else "")
    )
