"""Building the messages of a turn: pure, and byte-identical for equal inputs."""

from __future__ import annotations

from dataclasses import dataclass

from agents.domain.context import DecisionContext
from agents.domain.prompts.account import account_blocks
from agents.domain.prompts.market import market_blocks, render_market
from agents.domain.prompts.rules import rules_blocks
from agents.domain.prompts.templates import (
    NAMES,
    TemplateText,
    check_template,
    fill,
    problems_of_template,
)

__all__ = [
    "NAMES",
    "Messages",
    "SharedText",
    "TemplateText",
    "build_messages",
    "check_template",
    "problems_of_template",
    "render_market",
    "render_shared",
]


@dataclass(frozen=True, slots=True)
class SharedText:
    """The parts that every participant with the same template gets in a round."""

    system: str
    market: str


@dataclass(frozen=True, slots=True)
class Messages:
    """What is sent: the system message, and market and account parts of the user message."""

    system: str
    market: str
    account: str

    @property
    def user(self) -> str:
        return f"{self.market}\n\n{self.account}"


def render_shared(template: TemplateText, context: DecisionContext) -> SharedText:
    """Return the system and market parts; nothing of ``context.account`` or the participant's past enters them.

    Raises:
        ValueError: If the template holds an unknown placeholder.
    """
    blocks = {**rules_blocks(context), **market_blocks(context)}
    return SharedText(
        system=fill(template.system, blocks, part="system"),
        market=fill(template.market, blocks, part="market"),
    )


def build_messages(
    template: TemplateText, context: DecisionContext, *, shared: SharedText | None = None
) -> Messages:
    """Return the messages of one participant.

    ``shared`` is what :func:`render_shared` gave for the same template and round; without it that is rendered again.

    Raises:
        ValueError: If the template holds an unknown placeholder.
    """
    common = shared or render_shared(template, context)
    blocks = {**rules_blocks(context), **market_blocks(context, with_candles=False)}
    blocks |= account_blocks(context)
    return Messages(
        system=common.system,
        market=common.market,
        account=fill(template.account, blocks, part="account"),
    )
