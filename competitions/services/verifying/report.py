"""What verifying a season found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class VerifyReport:
    """What was recomputed, and in sentences where it disagrees with the records; no problems means that all agrees."""

    rounds: int = 0
    turns: int = 0
    fills: int = 0
    acts: int = 0
    digest: str = ""
    problems: list[str] = field(default_factory=list)
