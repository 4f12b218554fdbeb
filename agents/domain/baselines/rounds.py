"""The common course of the rule-following baselines: judge each symbol, leave what is broken, enter what is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from agents.domain.baselines.orders import (
    close_position,
    decision,
    hold_position,
    listed,
    margin_share,
    open_position,
    open_slots,
    views,
)
from agents.domain.context import DecisionContext, PositionView
from agents.domain.decisions import Action, Instruction
from marketdata.domain.views import SymbolView


class Verdict(StrEnum):
    LONG = "LONG"
    SHORT = "SHORT"
    FLAT = "FLAT"
    STAY = "STAY"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a rule says of one symbol; STAY neither opens nor closes, FLAT closes what is held."""

    verdict: Verdict
    reason: str
    invalidation: str = ""
    confidence: Decimal | None = None


Judged = tuple[SymbolView, PositionView | None, Opinion]
Judge = Callable[[DecisionContext, SymbolView, PositionView | None], Opinion]


def play(
    context: DecisionContext, judge: Judge, *, leverage: int, stop_pct: Decimal, quiet: str
) -> str:
    """Return the decision of a rule; ``quiet`` is said when nothing is to be done."""
    judged: list[Judged] = []
    for view in views(context):
        held = context.account.position(view.spec.symbol)
        judged.append((view, held, judge(context, view, held)))
    leaving = [entry for entry in judged if entry[1] is not None and _leaves(entry[1], entry[2])]
    closes = [close_position(view.spec.symbol, said.reason) for view, _, said in leaving]
    holds = [
        hold_position(view.spec.symbol, said.reason)
        for view, held, said in judged
        if held is not None and not _leaves(held, said)
    ]
    opens = _opens(
        context,
        [entry for entry in judged if entry[1] is None or _leaves(entry[1], entry[2])],
        slots=open_slots(context, freed=len(closes)),
        leverage=leverage,
        stop_pct=stop_pct,
    )
    return decision(_summary(closes, opens, holds, quiet), [*closes, *opens, *holds])


def _leaves(held: PositionView, said: Opinion) -> bool:
    against = Verdict.SHORT if held.is_long else Verdict.LONG
    return said.verdict in {Verdict.FLAT, against}


def _opens(
    context: DecisionContext,
    judged: Sequence[Judged],
    *,
    slots: int,
    leverage: int,
    stop_pct: Decimal,
) -> list[Instruction]:
    margin = margin_share(context, context.rules.max_open_positions)
    found: list[Instruction] = []
    for view, _, said in judged:
        if len(found) >= slots or said.verdict not in {Verdict.LONG, Verdict.SHORT}:
            continue
        if said.verdict is Verdict.SHORT and not context.rules.allow_short:
            continue
        wish = open_position(
            context,
            view,
            Action.OPEN_LONG if said.verdict is Verdict.LONG else Action.OPEN_SHORT,
            margin=margin,
            leverage=leverage,
            reasoning=said.reason,
            confidence=said.confidence,
            stop_pct=stop_pct,
            invalidation=said.invalidation,
        )
        if wish is not None:
            found.append(wish)
    return found


def _summary(
    closes: Sequence[Instruction],
    opens: Sequence[Instruction],
    holds: Sequence[Instruction],
    quiet: str,
) -> str:
    longs = [wish.symbol for wish in opens if wish.action is Action.OPEN_LONG]
    shorts = [wish.symbol for wish in opens if wish.action is Action.OPEN_SHORT]
    parts = [
        ("Leaving", [wish.symbol for wish in closes]),
        ("Going long in", longs),
        ("Going short in", shorts),
        ("Keeping", [wish.symbol for wish in holds]),
    ]
    said = [f"{verb} {listed(names)}." for verb, names in parts if names]
    return " ".join(said) or quiet
