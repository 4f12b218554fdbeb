"""Providers, agents and templates to be set up; what was asked and answered to be looked at."""

from __future__ import annotations

from agents.admin import agents, answers, providers, templates

__all__ = ["agents", "answers", "providers", "templates"]
