"""A template engine that can do nothing but put prepared blocks of text into their places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# The placeholders of each part; docs/decisions.md tells what each becomes.
SHARED_NAMES = frozenset(
    {
        "as_of",
        "competition",
        "decision_format",
        "exits_note",
        "interval",
        "market_kind",
        "round",
        "rules",
        "settlement_asset",
        "symbols",
    }
)
NAMES = {
    "system": SHARED_NAMES,
    "market": SHARED_NAMES | {"market"},
    "account": SHARED_NAMES | {"account", "positions", "recent", "denials"},
}

_PLACE = re.compile(r"\{\{(.{0,80}?)\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TemplateText:
    """The three texts of a prompt template."""

    system: str
    market: str
    account: str


def check_template(template: TemplateText) -> None:
    """Refuse a template that could not be filled.

    Raises:
        ValueError: At the first unknown or unclosed placeholder, naming it, its part and the known ones.
    """
    for problem in problems_of_template(template).values():
        raise ValueError(problem)


def problems_of_template(template: TemplateText) -> dict[str, str]:
    """Return the first unknown or unclosed placeholder of each part that has one."""
    problems = {}
    for part, names in NAMES.items():
        try:
            fill(getattr(template, part), dict.fromkeys(names, ""), part=part)
        except ValueError as error:
            problems[part] = str(error)
    return problems


def fill(text: str, blocks: Mapping[str, str], *, part: str) -> str:
    """Return ``text`` with each ``{{ name }}`` replaced once; what is put in is not looked at again.

    Raises:
        ValueError: At an unknown or unclosed placeholder.
    """
    known = NAMES[part]

    def block(match: re.Match[str]) -> str:
        name = match[1].strip()
        if name not in known:
            raise ValueError(
                f"the {part} part holds the unknown placeholder {{{{ {name} }}}}; known there: {', '.join(sorted(known))}"
            )
        return blocks[name]

    rest = _PLACE.sub("", text)
    if "{{" in rest:
        near = rest[rest.index("{{") :][:30]
        raise ValueError(f"the {part} part holds a placeholder that is not closed, near {near!r}")
    return _PLACE.sub(block, text)
