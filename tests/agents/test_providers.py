from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.schema import decision_schema
from agents.models import Provider
from agents.models.agents import ProviderKind
from agents.models.answers import CompletionStatus
from agents.providers import (
    CallRequest,
    anthropic,
    api_key_for,
    base_url_for,
    effective_parameters,
    open_client,
    openai_compatible,
)
from agents.providers.exchange import MAX_BODY
from tests.agents.contexts import make_context
from tests.fakes.llm_server import LlmServer

KEY = "sk-canary-0123456789"
PROMPT = "## BTCUSDT\nbid 1 | ask 2 | mark 1\n\n## ETHUSDT"
BOTH = pytest.mark.parametrize("kind", [ProviderKind.ANTHROPIC, ProviderKind.OPENAI_COMPATIBLE])


@pytest.fixture(scope="module")
def server() -> Iterator[LlmServer]:
    with LlmServer(drip_seconds=30) as running:
        yield running


def make_provider(server: LlmServer, kind: str, **fields) -> Provider:
    url = server.anthropic_url if kind == ProviderKind.ANTHROPIC else server.openai_url
    return Provider(slug="local", name="Local", kind=kind, **{"base_url": url, **fields})


def make_request(provider: Provider, model: str, **changes) -> CallRequest:
    parameters, _ = effective_parameters(provider, {"max_tokens": 512})
    fields = {
        "model": model,
        "system": "Be brief.",
        "user": PROMPT,
        "parameters": parameters,
        "schema": decision_schema(),
        "timeout_seconds": 5.0,
    }
    return CallRequest(**{**fields, **changes})


async def complete(server: LlmServer, kind: str, model: str, **changes):
    provider = make_provider(server, kind)
    client = open_client(provider, api_key=KEY)
    try:
        return await client.complete(make_request(provider, model, **changes))
    finally:
        await client.aclose()


@BOTH
async def test_a_good_answer_is_read_and_kept_byte_for_byte(server, kind):
    raw = await complete(server, kind, "trader-think-a")

    assert raw.status is CompletionStatus.OK
    assert raw.body == server.last_body
    assert json.loads(raw.text)["instructions"]
    assert raw.reasoning == "Let me see."
    assert (raw.http_status, raw.error, raw.permanent) == (200, "", False)
    assert raw.returned_model == "trader-think-a-20261101"
    assert raw.request_id.startswith("req_")
    assert raw.finish_reason == ("end_turn" if kind == ProviderKind.ANTHROPIC else "stop")


async def test_usage_counts_cached_tokens_among_the_input_for_both_protocols(server):
    anthropic = await complete(server, ProviderKind.ANTHROPIC, "trader-a")
    told = json.loads(anthropic.body)["usage"]
    # Anthropic tells cached tokens apart: all = plain + read from the cache.
    assert anthropic.input_tokens == told["input_tokens"] + told["cache_read_input_tokens"]
    assert anthropic.cached_tokens == told["cache_read_input_tokens"]
    assert anthropic.output_tokens == told["output_tokens"]
    assert anthropic.reasoning_tokens is None

    openai = await complete(server, ProviderKind.OPENAI_COMPATIBLE, "trader-a")
    told = json.loads(openai.body)["usage"]
    assert openai.input_tokens == told["prompt_tokens"]
    assert openai.cached_tokens == told["prompt_tokens_details"]["cached_tokens"]
    assert openai.reasoning_tokens == told["completion_tokens_details"]["reasoning_tokens"]


async def test_the_anthropic_request_carries_model_system_user_and_schema(server):
    await complete(server, ProviderKind.ANTHROPIC, "trader-a")

    sent = server.requests[-1]
    assert sent.path == "/v1/messages"
    assert sent.body["model"] == "trader-a"
    assert sent.body["system"] == "Be brief."
    assert sent.body["messages"] == [{"role": "user", "content": PROMPT}]
    assert sent.body["max_tokens"] == 512
    assert sent.body["output_config"]["format"]["schema"] == decision_schema()
    assert "temperature" not in sent.body


async def test_the_openai_request_carries_model_system_user_and_mode(server):
    await complete(server, ProviderKind.OPENAI_COMPATIBLE, "trader-a")

    sent = server.requests[-1]
    assert sent.path == "/v1/chat/completions"
    assert sent.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": PROMPT},
    ]
    assert sent.body["max_tokens"] == 512
    assert sent.body["response_format"] == {"type": "json_object"}
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert "openai-organization" not in sent.headers


async def test_capabilities_choose_the_names_on_the_wire(server):
    provider = make_provider(
        server,
        ProviderKind.OPENAI_COMPATIBLE,
        capabilities={
            "structured_output": "strict",
            "token_limit": "max_completion_tokens",
            "effort": True,
        },
    )
    asked = {"temperature": "0.7", "seed": 7, "effort": "low", "max_tokens": 99}
    parameters, warnings = effective_parameters(provider, asked)
    client = open_client(provider, api_key=KEY)
    await client.complete(make_request(provider, "trader-a", parameters=parameters))
    await client.aclose()

    body = server.requests[-1].body
    assert warnings == []
    assert (body["temperature"], body["seed"], body["reasoning_effort"]) == (0.7, 7, "low")
    assert (body["max_completion_tokens"], "max_tokens" in body) == (99, False)
    assert body["response_format"]["json_schema"]["strict"] is True


def test_the_stored_request_holds_parameters_and_no_key(server):
    provider = make_provider(server, ProviderKind.OPENAI_COMPATIBLE)
    record = json.loads(make_request(provider, "trader-a").record())

    assert record["model"] == "trader-a"
    assert record["parameters"]["max_tokens"] == 512
    assert len(record["schema_sha256"]) == 64
    assert KEY not in json.dumps(record)


# model, status, HTTP status, permanent, part of the error
FAULTS = [
    ("faulty-500", "ERROR", 500, False, "HTTP 500: the server had an error"),
    ("faulty-429", "ERROR", 429, False, "HTTP 429: slow down"),
    ("faulty-529", "ERROR", 529, False, "HTTP 529: overloaded"),
    ("faulty-401", "ERROR", 401, True, "HTTP 401: invalid key"),
    ("faulty-html", "ERROR", 502, False, "HTTP 502: '<html><body>"),
    ("faulty-redirect", "ERROR", 307, True, "redirects are not followed"),
    ("faulty-notjson", "ERROR", 200, False, "not JSON, it begins '<!doctype"),
    ("faulty-list", "ERROR", 200, False, "not a JSON object"),
    ("faulty-huge", "ERROR", 200, False, "answer larger than 256 KiB"),
    ("faulty-reset", "ERROR", None, False, "the connection failed"),
    ("faulty-empty", "EMPTY", 200, False, "the answer holds no text"),
    ("faulty-truncated", "TRUNCATED", 200, False, ""),
    ("faulty-refusal", "REFUSED", 200, False, ""),
    ("faulty-prose", "OK", 200, False, ""),
]


@BOTH
@pytest.mark.parametrize(("model", "status", "code", "permanent", "error"), FAULTS)
async def test_every_fault_becomes_a_completion(
    server, kind, model, status, code, permanent, error
):
    raw = await complete(server, kind, model)

    assert (raw.status, raw.http_status, raw.permanent) == (status, code, permanent)
    assert error in raw.error
    assert len(raw.body) <= MAX_BODY


@BOTH
async def test_a_huge_body_is_cut_at_the_cap(server, kind):
    raw = await complete(server, kind, "faulty-huge")

    assert len(raw.body) == MAX_BODY == 262_144
    assert server.last_body.startswith(raw.body)


@BOTH
async def test_a_rate_limit_tells_how_long_to_wait(server, kind):
    raw = await complete(server, kind, "faulty-429")

    assert raw.retry_after == 1.0
    assert raw.may_be_retried


@BOTH
@pytest.mark.parametrize("model", ["slow-30", "faulty-drip"])
async def test_the_timeout_bounds_silence_and_dripping_alike(server, kind, model):
    started = time.monotonic()
    raw = await complete(server, kind, model, timeout_seconds=0.5)

    assert raw.status is CompletionStatus.TIMEOUT
    assert "0.5 s" in raw.error
    assert time.monotonic() - started < 2.0


@BOTH
async def test_a_server_that_is_not_there_is_an_error_that_may_pass(kind):
    provider = Provider(slug="x", name="X", kind=kind, base_url="http://127.0.0.1:9/v1")
    client = open_client(provider, api_key=KEY)
    raw = await client.complete(make_request(provider, "trader-a"))
    await client.aclose()

    assert (raw.status, raw.permanent) == (CompletionStatus.ERROR, False)
    assert "connection failed" in raw.error


async def test_a_provider_without_an_address_is_an_error_that_tells_so():
    provider = Provider(slug="nowhere", name="X", kind=ProviderKind.OPENAI_COMPATIBLE)
    client = open_client(provider, api_key=KEY)
    raw = await client.complete(make_request(provider, "trader-a"))

    assert (raw.status, raw.permanent) == (CompletionStatus.ERROR, True)
    assert "no base URL" in raw.error
    assert "NOWHERE_BASE_URL" in raw.error


async def test_a_key_that_the_answer_repeats_is_taken_out(server):
    server.say = f"your key is {KEY}"
    raw = await complete(server, ProviderKind.OPENAI_COMPATIBLE, "says-a")

    assert raw.text == "your key is [key]"
    assert KEY.encode() not in raw.body


@BOTH
async def test_odd_texts_in_the_prompt_do_not_break_the_call(server, kind):
    raw = await complete(server, kind, "trader-a", user="lone \ud800 surrogate")

    assert raw.status in {CompletionStatus.OK, CompletionStatus.ERROR}


@BOTH
async def test_cancelling_is_passed_on(server, kind):
    task = asyncio.create_task(complete(server, kind, "slow-30", timeout_seconds=20))
    await asyncio.sleep(0.3)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@BOTH
async def test_calls_run_side_by_side(server, kind):
    provider = make_provider(server, kind)
    client = open_client(provider, api_key=KEY)
    await client.complete(make_request(provider, "trader-warm"))
    started = time.monotonic()
    raws = await asyncio.gather(
        *(client.complete(make_request(provider, f"latency-300-{n}")) for n in range(20))
    )
    took = time.monotonic() - started
    await client.aclose()

    assert {raw.status for raw in raws} == {CompletionStatus.OK}
    assert took < 1.5


async def test_the_fake_answers_alike_for_equal_requests(server):
    first = await complete(server, ProviderKind.ANTHROPIC, "faulty-mixed")
    second = await complete(server, ProviderKind.ANTHROPIC, "faulty-mixed")

    assert (first.status, first.body) == (second.status, second.body)


async def test_a_baseline_answers_through_the_same_door():
    provider = Provider(slug="baseline", name="Baseline", kind=ProviderKind.BASELINE)
    client = open_client(provider, api_key="none")
    raw = await client.complete(
        CallRequest(model="cash", system="", user="", context=make_context())
    )

    assert raw.status is CompletionStatus.OK
    assert raw.body == raw.text.encode()
    assert "Staying in cash" in raw.text
    assert raw.input_tokens is None


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (CallRequest(model="hodl", system="", user=""), "no baseline 'hodl'; known: buy_and_hold"),
        (CallRequest(model="cash", system="", user=""), "found none"),
    ],
)
async def test_a_baseline_asked_wrongly_is_an_error(request_, error):
    provider = Provider(slug="baseline", name="Baseline", kind=ProviderKind.BASELINE)
    raw = await open_client(provider, api_key="none").complete(request_)

    assert (raw.status, raw.permanent) == (CompletionStatus.ERROR, True)
    assert error in raw.error


async def test_a_baseline_that_fails_does_not_take_the_round_with_it(caplog):
    provider = Provider(slug="baseline", name="Baseline", kind=ProviderKind.BASELINE)
    broken = replace(make_context(), rules=None)
    raw = await open_client(provider, api_key="none").complete(
        CallRequest(model="trend", system="", user="", context=broken)
    )

    assert (raw.status, raw.permanent) == (CompletionStatus.ERROR, True)
    assert "AttributeError" in raw.error
    assert "baseline failed" in caplog.text


async def test_a_kind_that_nothing_speaks_to_is_an_error_that_tells_so():
    provider = Provider(slug="mine", name="Bot", kind=ProviderKind.BOT)
    raw = await open_client(provider, api_key="none").complete(make_request(provider, "x"))

    assert (raw.status, raw.permanent) == (CompletionStatus.ERROR, True)
    assert raw.error == (
        "provider mine is of kind BOT; asked can be ANTHROPIC, OPENAI_COMPATIBLE, BASELINE"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KNOWN = ["content", "choices", "usage", "stop_reason", "model", "error", "message"]


@given(st.dictionaries(st.sampled_from(KNOWN), JSON))
def test_any_json_object_is_read_without_an_exception(answer):
    for read in (anthropic.read_answer, openai_compatible.read_answer):
        assert read(answer).status in CompletionStatus
        assert read({"choices": [answer], "content": [answer]}).status in CompletionStatus


def test_what_a_provider_cannot_take_is_left_out_with_a_warning():
    provider = Provider(slug="anthropic", name="Anthropic", kind=ProviderKind.ANTHROPIC)
    effective, warnings = effective_parameters(
        provider,
        {"temperature": 0.7, "max_tokens": 1000, "effort": "minimal", "top_k": 3},
    )

    assert effective == {
        "max_tokens": 1000,
        "structured_output": "strict",
        "token_limit": "max_tokens",
    }
    assert warnings == [
        "Anthropic takes effort low, medium, high, xhigh, max, was minimal: it is left out",
        "Anthropic does not take temperature: it is left out",
        "top_k is not a known parameter (known: effort, max_tokens, seed, temperature, top_p): it is left out",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 7),
        ("temperature", float("nan")),
        ("temperature", True),
        ("temperature", "warm"),
        ("temperature", [1]),
        ("max_tokens", 0),
        ("max_tokens", "many"),
        ("seed", -1),
        ("top_p", "1.1"),
        ("effort", {}),
    ],
)
def test_values_out_of_range_are_left_out_with_a_warning(name, value):
    provider = Provider(
        slug="x",
        name="X",
        kind=ProviderKind.OPENAI_COMPATIBLE,
        capabilities={"effort": True},
    )
    effective, warnings = effective_parameters(provider, {name: value})

    assert effective.get(name) in (None, 8192)
    assert len(warnings) == 1
    assert name in warnings[0]


def test_keys_come_from_the_environment_or_a_file(monkeypatch, tmp_path):
    provider = Provider(slug="x", key_variable="SOME_API_KEY")
    assert api_key_for(provider) is None

    file = tmp_path / "key"
    file.write_text("from-file\n")
    monkeypatch.setenv("SOME_API_KEY_FILE", str(file))
    assert api_key_for(provider) == "from-file"

    monkeypatch.setenv("SOME_API_KEY", " from-variable ")
    assert api_key_for(provider) == "from-variable"
    assert api_key_for(Provider(slug="ollama")) == "none"


def test_addresses_come_from_the_row_then_the_environment_then_the_table(monkeypatch):
    known = Provider(slug="deepseek")
    assert base_url_for(known) == "https://api.deepseek.com"

    monkeypatch.setenv("DEEPSEEK_BASE_URL", "http://127.0.0.1:1/v1/")
    assert base_url_for(known) == "http://127.0.0.1:1/v1"

    known.base_url = "https://example.test/v1"
    assert base_url_for(known) == "https://example.test/v1"

    with pytest.raises(ValueError, match=r"must start with https:// or http://, was 'ftp://x'"):
        base_url_for(Provider(slug="x", base_url="ftp://x"))
