from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.models import Provider
from agents.models.agents import ProviderKind
from agents.models.answers import CompletionStatus
from agents.providers import CallRequest, RawCompletion, effective_parameters, open_client
from agents.services import ask
from tests.fakes.llm_server import LlmServer


class Told:
    """Keeps what on_answer was told."""

    def __init__(self) -> None:
        self.tries: list[tuple[int, str]] = []
        self.times: list[tuple[datetime, datetime]] = []

    async def __call__(
        self, attempt: int, sent_at: datetime, answered_at: datetime, raw: RawCompletion
    ) -> None:
        self.tries.append((attempt, str(raw.status)))
        self.times.append((sent_at, answered_at))


@pytest.fixture(scope="module")
def server():
    with LlmServer(drip_seconds=30) as running:
        yield running


async def put(
    server: LlmServer, model: str, *, seconds: float = 10.0, timeout: float = 5.0, **options: Any
):
    provider = Provider(
        slug="local",
        name="Local",
        kind=ProviderKind.OPENAI_COMPATIBLE,
        base_url=server.openai_url,
    )
    parameters, _ = effective_parameters(provider, {})
    request = CallRequest(
        model=model,
        system="s",
        user=f"## BTCUSDT of {model}",
        parameters=parameters,
        timeout_seconds=timeout,
    )
    told = Told()
    client = open_client(provider, api_key="sk-0123456789")
    before = server.counts["requests"]
    raw = await ask(client, request, deadline=time.monotonic() + seconds, on_answer=told, **options)
    await client.aclose()
    return raw, told, server.counts["requests"] - before


async def test_a_good_answer_takes_one_try(server):
    raw, told, requests = await put(server, "trader-1")

    assert (raw.status, told.tries, requests) == (CompletionStatus.OK, [(1, "OK")], 1)
    sent_at, answered_at = told.times[0]
    assert sent_at.tzinfo == UTC
    assert sent_at <= answered_at


async def test_a_passing_fault_is_tried_once_more(server):
    raw, told, requests = await put(server, "flaky-500-1")

    assert (raw.status, requests) == (CompletionStatus.OK, 2)
    assert told.tries == [(1, "ERROR"), (2, "OK")]


async def test_a_lasting_fault_ends_with_the_last_try(server):
    raw, told, requests = await put(server, "faulty-529-1")

    assert (raw.status, requests) == (CompletionStatus.ERROR, 2)
    assert told.tries == [(1, "ERROR"), (2, "ERROR")]


@pytest.mark.parametrize("model", ["faulty-401-2", "faulty-refusal-2", "faulty-truncated-2"])
async def test_what_a_retry_cannot_help_is_not_retried(server, model):
    _, told, requests = await put(server, model)

    assert (len(told.tries), requests) == (1, 1)


async def test_retry_after_is_waited_for(server):
    started = time.monotonic()
    raw, _, _ = await put(server, "flaky-429-3")

    assert raw.status is CompletionStatus.OK
    assert time.monotonic() - started >= 1.0


async def test_no_retry_when_the_wait_would_pass_the_deadline(server):
    raw, told, _ = await put(server, "flaky-429-4", seconds=1.5)

    assert (raw.status, len(told.tries)) == (CompletionStatus.ERROR, 1)


@pytest.mark.parametrize("model", ["slow-30-5", "faulty-drip-5"])
async def test_one_deadline_holds_over_all_tries(server, model):
    started = time.monotonic()
    raw, told, _ = await put(server, model, seconds=2.0, timeout=0.6)

    # 0.6 s, a pause of 0.5 s, then no second is left for another try... or one more of 0.6 s: never beyond the deadline.
    assert raw.status is CompletionStatus.TIMEOUT
    assert time.monotonic() - started < 2.2
    assert {status for _, status in told.tries} == {"TIMEOUT"}


async def test_a_deadline_that_has_passed_asks_nobody_and_is_told(server):
    raw, told, requests = await put(server, "trader-6", seconds=-1)

    assert (raw.status, raw.error) == (CompletionStatus.TIMEOUT, "no time was left to ask")
    assert (told.tries, requests) == ([(1, "TIMEOUT")], 0)


async def test_a_resumed_turn_goes_on_counting(server):
    _, told, _ = await put(server, "flaky-500-7", first_attempt=2)

    assert [attempt for attempt, _ in told.tries] == [2, 3]


async def test_each_try_is_told_before_the_next_is_sent(server):
    order: list[str] = []

    class Client:
        async def complete(self, request: CallRequest) -> RawCompletion:
            order.append("sent")
            return RawCompletion(status=CompletionStatus.ERROR, retry_after=0)

        async def aclose(self) -> None:
            return None

    async def store(attempt: int, sent_at: Any, answered_at: Any, raw: RawCompletion) -> None:
        await asyncio.sleep(0.01)
        order.append(f"stored {attempt}")

    await ask(
        Client(),
        CallRequest(model="m", system="", user=""),
        deadline=time.monotonic() + 5,
        on_answer=store,
    )

    assert order == ["sent", "stored 1", "sent", "stored 2"]
