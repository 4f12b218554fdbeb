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

_RESTING_FORMAT = """- An open, reduce or close may have "order_type": market (when left out), limit with "limit_price", stop_market or take_profit_market with "trigger_price", trailing_stop with "callback_rate" (percent, 0.1 to 20) and if you like "activation_price". Give no price that the type has no use for.
- A limit order may have "time_in_force": gtc (when left out), ioc or post_only. Other types have none.
- "trailing_stop_pct" (percent behind the best price, 0.1 to 20) in an open or set_exits is a trailing exit of the position; with "trailing_activation" it follows from that price on.
- cancel_orders ends your open orders in "symbol", all of them without one; exits of positions stay.
"""


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
        *_order_lines(rules),
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


def _order_lines(rules: RulesView) -> list[str]:
    filled = _FILL_WORDS.get(rules.fill_rule, rules.fill_rule)
    if not rules.resting_orders:
        return [f"- Orders are market orders: buys pay the ask, sells get the bid, {filled}."]
    return [
        f"- Market orders: buys pay the ask, sells get the bid, {filled}.",
        "- Limit orders that meet the market are filled like market orders, never worse than their limit; others wait (gtc), are "
        "gone (ioc), or must not meet it (post_only, refused if they would). One that waited is filled at its limit once trades go "
        f"through it; its fee is {plain(rules.fee_bps_maker)} bps.",
        "- Stop, target and trailing orders wait for their trigger and then trade at market. They tie up no margin; all rules are "
        "asked when they trigger, and the order may be refused then.",
        "- An order that only reduces shrinks with the position and ends with it.",
    ]


def exits_note(rules: RulesView) -> str:
    """Return what becomes of stop_loss and take_profit."""
    if rules.resting_orders:
        return (
            "stop_loss, take_profit and trailing_stop_pct rest in the book and execute between rounds when prices reach them. "
            "Each closes the whole position, and the others end with it."
        )
    return (
        "stop_loss and take_profit are recorded as your plan and shown to you again; they do not execute between rounds. "
        "To act on them, close or reduce in a later round."
    )


def decision_format(rules: RulesView) -> str:
    """Return how an answer is written, with an example."""
    more, actions, sizeless = "", "reduce, hold or set_exits", "close, hold and set_exits"
    exits = "stop_loss, take_profit and invalidation"
    if rules.resting_orders:
        more, actions = _RESTING_FORMAT, "reduce, hold, set_exits or cancel_orders"
        sizeless = "close, hold, set_exits and cancel_orders"
        exits = "stop_loss, take_profit, trailing_stop_pct and invalidation"
    symbol = rules.symbols[0] if rules.symbols else "SYMBOL"
    return f"""Answer with one JSON object and nothing else:
{{"summary": "your view and plan in a few sentences",
 "instructions": [
  {{"action": "open_long", "symbol": "{symbol}", "margin_fraction": 0.1, "leverage": 1,
   "stop_loss": null, "take_profit": null, "invalidation": "what would prove the idea wrong",
   "confidence": 0.5, "reasoning": "why"}}]}}
- action: open_long, open_short, close, {actions}.
- An open needs exactly one size: "quantity" (base units), "notional" (value in {rules.settlement_asset}) or "margin_fraction" (part of your free margin, 0 to 1).
- reduce takes "quantity" or "notional"; {sizeless} take no size.
- set_exits replaces {exits} of an open position.
{more}- confidence is between 0 and 1. Numbers may be JSON numbers or strings. Leave out what does not apply, or give null.
- At most {MAX_INSTRUCTIONS} instructions, carried out in order; an empty list holds everything.
- Other keys, other types or text that is no JSON make the whole answer invalid: then everything is held."""
