"""Keys and addresses of providers: out of their rows, else out of the environment."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.models.agents import Provider
from marketdata.fields import EncryptedTextField
from marketdata.secrets import Secret, SecretError

logger = logging.getLogger(__name__)

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


STORED = "stored"


@dataclass(frozen=True, slots=True)
class KeyInUse:
    """The key that a provider's calls carry, None when it is missing.

    ``origin`` is "stored", the name of the variable, or empty where none is needed; ``problem`` tells why a stored key is not used.
    """

    secret: Secret | None
    origin: str
    problem: str = ""

    @property
    def is_missing(self) -> bool:
        return self.secret is None and bool(self.origin)


def key_in_use(provider: Provider) -> KeyInUse:
    """Return the stored key, else the one of the variable. No query.

    A stored key goes first, since somebody entered it for this provider. One that cannot be opened counts as missing: the variable
    is no silent stand-in, as it may be another account's.
    """
    if provider.key is not None:
        try:
            return KeyInUse(key_field().open(provider), STORED)
        except SecretError as error:
            logger.warning("stored key not usable provider=%s: %s", provider.slug, error)
            return KeyInUse(None, STORED, str(error))
    if not provider.key_variable:
        return KeyInUse(None, "")
    value = _of_environment(provider.key_variable)
    return KeyInUse(Secret(value) if value else None, provider.key_variable)


def api_key_for(provider: Provider) -> str | None:
    """Return the key that the provider's calls carry; None when it is missing.

    A provider that needs none gets the word "none".
    """
    found = key_in_use(provider)
    if found.secret is None:
        return None if found.is_missing else NO_KEY
    return found.secret.reveal()


def key_field() -> EncryptedTextField[Any, Any]:
    """Return the field that providers' keys are stored in."""
    field = Provider._meta.get_field("key")
    assert isinstance(field, EncryptedTextField)
    return field


def _of_environment(name: str) -> str:
    """Return what the variable, or the file named by ``<name>_FILE``, holds; empty when there is nothing."""
    key = os.environ.get(name, "").strip()
    file = os.environ.get(f"{name}_FILE", "").strip()
    if key or not file:
        return key
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError:
        # Told as a missing key: the hint names the variable, the start-up check names the file.
        return ""


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
