"""Baselines behind the same door as models."""

from __future__ import annotations

import asyncio
import logging
import time

from agents.domain.baselines import BASELINES
from agents.models.agents import Provider
from agents.models.answers import CompletionStatus
from agents.providers.base import CallRequest, RawCompletion

logger = logging.getLogger(__name__)


class BaselineClient:
    """Answers with the decision of the baseline that ``request.model`` names, out of ``request.context``."""

    def __init__(self, provider: Provider, api_key: str) -> None:
        self._provider = provider

    async def complete(self, request: CallRequest) -> RawCompletion:
        decide = BASELINES.get(request.model)
        if decide is None:
            known = ", ".join(BASELINES)
            return _failed(f"there is no baseline {request.model!r}; known: {known}")
        if request.context is None:
            return _failed("a baseline decides from request.context, found none")
        started = time.monotonic()
        try:
            text = decide(request.context)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            logger.exception("baseline failed name=%s", request.model)
            return _failed(f"the baseline failed: {type(error).__name__} {error}"[:400])
        # A round has many of them: let the answers of models in between.
        await asyncio.sleep(0)
        return RawCompletion(
            status=CompletionStatus.OK,
            body=text.encode(),
            text=text,
            finish_reason="stop",
            returned_model=request.model,
            latency_ms=round((time.monotonic() - started) * 1000),
        )

    async def aclose(self) -> None:
        return None


def _failed(error: str) -> RawCompletion:
    return RawCompletion(status=CompletionStatus.ERROR, error=error, permanent=True)
