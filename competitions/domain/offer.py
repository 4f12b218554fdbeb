"""What a draft may offer of the account: which of its fields go together, in words for whoever fills them in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

DRAWDOWN = ("drawdown_warn_pct", "drawdown_stop_pct", "drawdown_close_pct")
OVERNIGHT = ("overnight_bps_long", "overnight_bps_short")

Problem = tuple[str, str]


def offer_problems(values: Mapping[str, Any], symbols: Collection[str]) -> Iterator[Problem]:
    """Yield each field that does not fit the others, with what is wanted and what was found.

    ``values`` are a competition's fields by name; one that is missing, because it was refused by itself, is not asked about.
    ``symbols`` are those that would be traded.
    """
    yield from _leverage_problems(values, symbols)
    yield from _drawdown_problems(values)
    yield from _model_problems(values)


def _leverage_problems(values: Mapping[str, Any], symbols: Collection[str]) -> Iterator[Problem]:
    name, limits, most = (
        "leverage_limits",
        values.get("leverage_limits"),
        values.get("max_leverage"),
    )
    if limits is None or most is None:
        return
    if not isinstance(limits, dict):
        yield name, f'must be an object such as {{"BTCUSDT": 20}}, was {str(limits)[:80]}'
        return
    if strangers := sorted(set(limits) - set(symbols)):
        known = ", ".join(sorted(symbols)) or "none"
        yield name, f"must be of the symbols traded ({known}), found {', '.join(strangers)[:80]}"
    for symbol, limit in sorted(limits.items()):
        if type(limit) is not int or not 1 <= limit <= most:
            wanted = f"a whole number from 1 to the highest leverage ({most})"
            yield name, f"{symbol[:32]} must have {wanted}, was {str(limit)[:40]}"


def _drawdown_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    least, above = 0, "0"
    for name in DRAWDOWN:
        value = values.get(name)
        if value is None:
            continue
        if not least < value < 100:
            yield name, f"must be above {above} and below 100, was {value:f}"
            continue
        least, above = value, f"the limit before ({value:f})"
    if values.get(DRAWDOWN[-1]) is not None and not values.get("acts_between_rounds", True):
        yield DRAWDOWN[-1], "must be empty while nothing acts between rounds: nobody would close"


def _model_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    model = values.get("margin_model")
    if model == "cfd":
        if values.get("margin_mode") == "isolated":
            yield (
                "margin_mode",
                "must be cross for contracts for difference, which the whole account backs, was isolated",
            )
        if fee := values.get("clearance_fee_bps"):
            yield (
                "clearance_fee_bps",
                f"must be 0 for contracts for difference, which pay the taker fee instead, was {fee:f}",
            )
    elif model == "perpetual":
        for name in OVERNIGHT:
            if rate := values.get(name):
                yield name, f"must be 0 for perpetuals, which pay funding instead, was {rate:f}"
