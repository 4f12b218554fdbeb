"""The rules part of a prompt: limits, costs and the form of the answer, without any advice."""

from __future__ import annotations

from agents.domain.context import DecisionContext, RulesView
from agents.domain.decisions import MAX_INSTRUCTIONS
from agents.domain.prompts.account_rules import account_rules, position_margin
from agents.domain.prompts.numbers import plain

_FILL_WORDS = {
    "arrival": "at the first quote after your answer has arrived",
    "snapshot": "at the quotes shown below",
    "next_bar": "at the open of the candle that begins at the time of the round",
}


def rules_blocks(context: DecisionContext) -> dict[str, str]:
    """Return the placeholders that tell of the season and its rules."""
    rules = context.rules
    return {
        "competition": context.competition_name,
        "decision_format": decision_format(rules),
        "exits_note": exits_note(rules),
        "interval": interval(rules),
        "rules": render_rules(rules),
        "settlement_asset": rules.settlement_asset,
        "symbols": ", ".join(rules.symbols),
    }


def interval(rules: RulesView) -> str:
    """Return the time between rounds in words."""
    seconds = rules.interval_seconds
    if seconds is None:
        return "irregular"
    if seconds % 3600 == 0:
        return f"{seconds // 3600} h"
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


def render_rules(rules: RulesView) -> str:
    """Return limits and costs as a list, then one line a symbol."""
    asset = rules.settlement_asset
    lines = [
        f"- Leverage: whole numbers from 1 to {rules.max_leverage} (lower where a symbol says so); {rules.default_leverage} when left out.",
        f"- Margin of a position = {position_margin(rules)}; at most {plain(rules.max_position_size_pct)} % of equity in one position, "
        f"at most {plain(rules.max_margin_usage_pct)} % in all.",
        f"- At most {rules.max_open_positions} open positions, one per symbol.",
        f"- An order must leave free margin for {plain(rules.margin_buffer)} times its margin, its fee and the cost of the spread.",
        f"- Fee: {plain(rules.fee_bps_taker)} bps of the value of each fill; slippage: {plain(rules.slippage_bps)} bps against you.",
        f"- Orders are market orders: buys pay the ask, sells get the bid, {_FILL_WORDS.get(rules.fill_rule, rules.fill_rule)}.",
        "- Selling short is allowed."
        if rules.allow_short
        else "- Selling short is not allowed: open_short is refused.",
        "- Adding to an open position is allowed, with the leverage it has."
        if rules.allow_pyramiding
        else "- Adding to an open position is not allowed.",
        "- An open against your own position in the symbol first closes it.",
        *account_rules(rules),
        f"- An order that breaks a rule is refused whole and told to you in the next round. Values are in {asset}.",
        "",
        "Symbols (price tick, quantity step, smallest quantity, smallest value, highest leverage):",
    ]
    lines.extend(
        f"- {spec.symbol}: tick {plain(spec.tick)}, step {plain(spec.step)}, quantity >= {plain(spec.min_quantity)}, "
        f"value >= {plain(spec.min_notional)} {asset}, leverage <= {rules.leverage_limit(spec)}"
        for spec in rules.instruments
    )
    return "\n".join(lines)


def exits_note(rules: RulesView) -> str:
    """Return what becomes of stop_loss and take_profit."""
    if rules.resting_orders:
        return "stop_loss and take_profit rest in the book and execute between rounds when the mark price reaches them."
    return (
        "stop_loss and take_profit are recorded as your plan and shown to you again; they do not execute between rounds. "
        "To act on them, close or reduce in a later round."
    )


def decision_format(rules: RulesView) -> str:
    """Return how an answer is written, with an example."""
    symbol = rules.symbols[0] if rules.symbols else "SYMBOL"
    return f"""Answer with one JSON object and nothing else:
{{"summary": "your view and plan in a few sentences",
 "instructions": [
  {{"action": "open_long", "symbol": "{symbol}", "margin_fraction": 0.1, "leverage": 1,
   "stop_loss": null, "take_profit": null, "invalidation": "what would prove the idea wrong",
   "confidence": 0.5, "reasoning": "why"}}]}}
- action: open_long, open_short, close, reduce, hold or set_exits.
- An open needs exactly one size: "quantity" (base units), "notional" (value in {rules.settlement_asset}) or "margin_fraction" (part of your free margin, 0 to 1).
- reduce takes "quantity" or "notional"; close, hold and set_exits take no size.
- set_exits replaces stop_loss, take_profit and invalidation of an open position.
- confidence is between 0 and 1. Numbers may be JSON numbers or strings. Leave out what does not apply, or give null.
- At most {MAX_INSTRUCTIONS} instructions, carried out in order; an empty list holds everything.
- Other keys, other types or text that is no JSON make the whole answer invalid: then everything is held."""
