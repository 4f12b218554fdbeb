"""The only writers of the agents' tables, and the asking itself."""

from __future__ import annotations

from agents.services.answers import record_completion, record_decision
from agents.services.ask import ask
from agents.services.defaults import ensure_defaults, ensure_template, key_hint, lock_template

__all__ = [
    "ask",
    "ensure_defaults",
    "ensure_template",
    "key_hint",
    "lock_template",
    "record_completion",
    "record_decision",
]
