"""Providers of kinds that nothing here speaks to."""

from __future__ import annotations

from collections.abc import Iterable

from agents.models.agents import Provider
from agents.models.answers import CompletionStatus
from agents.providers.base import CallRequest, RawCompletion


class UnspokenClient:
    """Answers each call with an ERROR that names the kinds that could be asked."""

    def __init__(self, provider: Provider, *, known: Iterable[str]) -> None:
        self._error = (
            f"provider {provider.slug} is of kind {provider.kind}; "
            f"asked can be {', '.join(map(str, known))}"
        )

    async def complete(self, request: CallRequest) -> RawCompletion:
        return RawCompletion(status=CompletionStatus.ERROR, error=self._error, permanent=True)

    async def aclose(self) -> None:
        return None
