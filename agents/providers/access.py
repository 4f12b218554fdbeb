"""Keys and addresses of providers, out of the environment."""

from __future__ import annotations

import os
from pathlib import Path

from agents.models.agents import Provider

# What SDKs want to see where no key is needed; never a secret.
NO_KEY = "none"

BASE_URLS = {
    "anthropic": "https://api.anthropic.com",
    "deepseek": "https://api.deepseek.com",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/openai",
    "groq": "https://api.groq.com/openai/v1",
    "ollama": "http://localhost:11434/v1",
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "xai": "https://api.x.ai/v1",
}


def api_key_for(provider: Provider) -> str | None:
    """Return the provider's key from its variable or the file named by ``<variable>_FILE``; None when it is missing.

    A provider that needs none gets the word "none".
    """
    name = provider.key_variable
    if not name:
        return NO_KEY
    key = os.environ.get(name, "").strip()
    file = os.environ.get(f"{name}_FILE", "").strip()
    if not key and file:
        try:
            key = Path(file).read_text(encoding="utf-8").strip()
        except OSError:
            # Told as a missing key: the hint names the variable, the start-up check names the file.
            return None
    return key or None


def base_url_for(provider: Provider) -> str:
    """Return the provider's address: its own row's, else of the variable ``<SLUG>_BASE_URL``, else the known default.

    Raises:
        ValueError: If there is none of these.
    """
    variable = f"{provider.slug.upper().replace('-', '_')}_BASE_URL"
    address = provider.base_url.strip() or os.environ.get(variable, "").strip()
    address = address or BASE_URLS.get(provider.slug, "")
    if not address:
        raise ValueError(
            f"provider {provider.slug} has no base URL, one is wanted in its row or in {variable}"
        )
    if not address.startswith(("https://", "http://")):
        raise ValueError(
            f"the base URL of {provider.slug} must start with https:// or http://, was {address[:60]!r}"
        )
    return address.rstrip("/")
