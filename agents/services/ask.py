"""Asking a model once a turn: one deadline over all tries, each try told before anything else happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

from agents.models.answers import CompletionStatus
from agents.providers.base import CallRequest, ChatClient, RawCompletion

OnAnswer = Callable[[int, datetime, datetime, RawCompletion], Awaitable[None]]

PAUSE_SECONDS = 0.5
# A try with less time than this would only be thrown away.
LEAST_TRY_SECONDS = 1.0


def _wall_clock() -> datetime:
    return datetime.now(UTC)


async def ask(
    client: ChatClient,
    request: CallRequest,
    *,
    deadline: float,
    attempts: int = 2,
    on_answer: OnAnswer,
    first_attempt: int = 1,
    clock: Callable[[], datetime] = _wall_clock,
) -> RawCompletion:
    """Ask until there is an answer, a failure that a retry cannot help, or no time left; return the last try's answer.

    Args:
        client: An open client of the running event loop.
        request: Its ``timeout_seconds`` bounds each try, as does what is left until the deadline.
        deadline: When all tries end, in ``time.monotonic()`` seconds.
        attempts: The most tries.
        on_answer: Awaited with (attempt, sent_at, answered_at, raw) after each try; it stores the try.
        first_attempt: Number of the first try, above 1 when a resumed turn has tries on record.
        clock: Gives the aware UTC times of sending and answering.
    """
    attempt = first_attempt
    while True:
        left = max(0.0, deadline - time.monotonic())
        sent_at = clock()
        raw = await _try(
            client, replace(request, timeout_seconds=min(request.timeout_seconds, left))
        )
        await on_answer(attempt, sent_at, clock(), raw)
        pause = raw.retry_after if raw.retry_after is not None else PAUSE_SECONDS
        attempt += 1
        too_late = time.monotonic() + pause + LEAST_TRY_SECONDS > deadline
        if not raw.may_be_retried or attempt >= first_attempt + attempts or too_late:
            return raw
        await asyncio.sleep(pause)


async def _try(client: ChatClient, request: CallRequest) -> RawCompletion:
    if request.timeout_seconds <= 0:
        return RawCompletion(
            status=CompletionStatus.TIMEOUT, error="no time was left to ask", permanent=True
        )
    return await client.complete(request)
