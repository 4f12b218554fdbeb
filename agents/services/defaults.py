"""What an arena starts with: providers, the first prompt template, agents; and how to let a model in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from agents.domain.baselines import BASELINES
from agents.domain.prompts import check_template
from agents.models import Agent, PromptTemplate, Provider
from agents.models.agents import ProviderKind
from agents.prompts import arena_core

OPENAI = ProviderKind.OPENAI_COMPATIBLE


@dataclass(frozen=True, slots=True)
class _ProviderSeed:
    slug: str
    name: str
    kind: ProviderKind
    models: str = ""
    key_variable: str = ""
    capabilities: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _AgentSeed:
    slug: str
    name: str
    provider: str
    model: str
    parameters: dict[str, Any] | None = None


# ``models`` is how people call what answers there. Capabilities are those of the present default models.
PROVIDERS = (
    _ProviderSeed("anthropic", "Anthropic", ProviderKind.ANTHROPIC, "Claude", "ANTHROPIC_API_KEY"),
    _ProviderSeed(
        "openai",
        "OpenAI",
        OPENAI,
        "GPT",
        "OPENAI_API_KEY",
        {
            "structured_output": "strict",
            "token_limit": "max_completion_tokens",
            "temperature": False,
            "top_p": False,
            "effort": True,
        },
    ),
    _ProviderSeed("deepseek", "DeepSeek", OPENAI, "DeepSeek", "DEEPSEEK_API_KEY", {"seed": False}),
    _ProviderSeed("groq", "Groq", OPENAI, "Groq's models", "GROQ_API_KEY"),
    _ProviderSeed("openrouter", "OpenRouter", OPENAI, "OpenRouter's models", "OPENROUTER_API_KEY"),
    _ProviderSeed("xai", "xAI", OPENAI, "Grok", "XAI_API_KEY"),
    _ProviderSeed("gemini", "Google Gemini", OPENAI, "Gemini", "GEMINI_API_KEY", {"seed": False}),
    _ProviderSeed("ollama", "Ollama (local)", OPENAI, "local models"),
    _ProviderSeed("baseline", "Baseline", ProviderKind.BASELINE),
)
AGENTS = (
    _AgentSeed("claude-sonnet-5-5", "Claude Sonnet 5.5", "anthropic", "claude-sonnet-5-5"),
    _AgentSeed("claude-haiku-5-5", "Claude Haiku 5.5", "anthropic", "claude-haiku-5-5"),
    _AgentSeed("gpt-6", "GPT-6", "openai", "gpt-6-sol", {"effort": "low"}),
    _AgentSeed("deepseek-v4-flash", "DeepSeek V4 flash", "deepseek", "deepseek-v4-flash"),
)
BASELINE_NAMES = {
    "buy_and_hold": "Buy and hold",
    "cash": "Cash",
    "mean_reversion": "Mean reversion",
    "random": "Random",
    "trend": "Trend",
}


@transaction.atomic
def ensure_defaults() -> None:
    """Create the providers, template and agents that are missing; rows that are there stay as they are."""
    for seed in PROVIDERS:
        Provider.objects.get_or_create(
            slug=seed.slug,
            defaults={
                "name": seed.name,
                "kind": seed.kind,
                "key_variable": seed.key_variable,
                "capabilities": seed.capabilities or {},
            },
        )
    template = ensure_template()
    for agent in (*_baseline_seeds(), *AGENTS):
        Agent.objects.get_or_create(
            slug=agent.slug,
            defaults={
                "name": agent.name,
                "provider": Provider.objects.get(slug=agent.provider),
                "model": agent.model,
                "parameters": agent.parameters or {},
                "template": template,
            },
        )


def ensure_template() -> PromptTemplate:
    """Return the shipped template, made if it is missing."""
    template, _ = PromptTemplate.objects.get_or_create(
        slug=arena_core.SLUG,
        version=arena_core.VERSION,
        defaults={
            "system": arena_core.SYSTEM,
            "market": arena_core.MARKET,
            "account": arena_core.ACCOUNT,
        },
    )
    return template


def lock_template(template: PromptTemplate, now: datetime) -> None:
    """Make the template unchangeable from ``now`` on; the first lock counts.

    Raises:
        ValueError: If it could not be filled: better told at a season's start than in its first round.
    """
    check_template(template.text())
    PromptTemplate.objects.filter(pk=template.pk, locked_at__isnull=True).update(locked_at=now)
    template.refresh_from_db(fields=["locked_at"])


def key_hint(provider: Provider) -> str:
    """Return how to let the provider's models in, for people."""
    names = {seed.slug: seed.models for seed in PROVIDERS}
    who = names.get(provider.slug) or f"{provider.name}'s models"
    if provider.key is not None:
        return f"enter {provider.name}'s key again in the admin to let {who} in: the stored one cannot be opened"
    if not provider.key_variable:
        return f"{provider.name} needs no key; see that it answers to let {who} in"
    return f"set {provider.key_variable} in .env and restart to let {who} in"


def _baseline_seeds() -> list[_AgentSeed]:
    return [
        _AgentSeed(name.replace("_", "-"), BASELINE_NAMES[name], "baseline", name)
        for name in sorted(BASELINES)
    ]
