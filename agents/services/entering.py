"""Agents that programs bring along."""

from __future__ import annotations

from typing import Any

from django.utils.text import slugify

from agents.models import Agent, Provider
from agents.services.defaults import ensure_template


def ensure_agent(
    name: str,
    provider: Provider,
    model: str,
    *,
    parameters: dict[str, Any],
    timeout_seconds: int,
) -> Agent:
    """Return the enabled agent that asks just so, made if there is none; parameters are kept as requested.

    Raises:
        ValidationError: If the model or a figure is none that an agent can have.
    """
    template = ensure_template()
    asked: dict[str, Any] = {
        "provider": provider,
        "model": model,
        "template": template,
        "timeout_seconds": timeout_seconds,
    }
    # Compared here: equality of JSON differs between the databases.
    for known in Agent.objects.filter(name=name, is_enabled=True, **asked).order_by("pk"):
        if known.parameters == parameters:
            return known
    agent = Agent(name=name, slug=_free_slug(name), parameters=parameters, **asked)
    agent.full_clean()
    agent.save()
    return agent


def _free_slug(name: str) -> str:
    wanted = slugify(name)[:50].strip("-") or "agent"
    taken = set(Agent.objects.filter(slug__startswith=wanted).values_list("slug", flat=True))
    slug, place = wanted, 1
    while slug in taken:
        place += 1
        slug = f"{wanted}-{place}"
    return slug
