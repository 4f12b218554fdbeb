"""Tables of providers, agents, prompt templates and everything that was asked and answered."""

from __future__ import annotations

from agents.models.agents import Agent, PromptTemplate, Provider
from agents.models.answers import Completion, Decision

__all__ = ["Agent", "Completion", "Decision", "PromptTemplate", "Provider"]
