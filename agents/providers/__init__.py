"""Providers: one small client a protocol, chosen by the provider's kind."""

from __future__ import annotations

from collections.abc import Callable

from agents.models.agents import Provider, ProviderKind
from agents.providers.access import KeyInUse, api_key_for, base_url_for, key_in_use
from agents.providers.anthropic import AnthropicClient
from agents.providers.base import CallRequest, ChatClient, RawCompletion
from agents.providers.baseline import BaselineClient
from agents.providers.capabilities import (
    capabilities_of,
    effective_parameters,
    problems_of_capabilities,
    problems_of_parameters,
)
from agents.providers.openai_compatible import OpenAICompatibleClient
from agents.providers.unspoken import UnspokenClient

KINDS: dict[str, Callable[[Provider, str], ChatClient]] = {
    ProviderKind.ANTHROPIC: AnthropicClient,
    ProviderKind.OPENAI_COMPATIBLE: OpenAICompatibleClient,
    ProviderKind.BASELINE: BaselineClient,
}

__all__ = [
    "KINDS",
    "CallRequest",
    "ChatClient",
    "KeyInUse",
    "RawCompletion",
    "api_key_for",
    "base_url_for",
    "capabilities_of",
    "effective_parameters",
    "key_in_use",
    "open_client",
    "problems_of_capabilities",
    "problems_of_parameters",
]


def open_client(provider: Provider, *, api_key: str) -> ChatClient:
    """Return a client of the provider; it connects at its first call and belongs to that event loop.

    Never raises: what cannot be asked (a kind that nothing speaks to, a bad address) answers each call with an ERROR that says why,
    so that one wrong row does not stop the others of a round.
    """
    kind = KINDS.get(provider.kind)
    return kind(provider, api_key) if kind else UnspokenClient(provider, known=KINDS)
