"""Anthropic's Messages API through its SDK."""

from __future__ import annotations

from typing import Any

from agents.models.agents import Provider
from agents.models.answers import CompletionStatus
from agents.providers.access import base_url_for
from agents.providers.base import CallRequest, RawCompletion, count_at, dig, text_at
from agents.providers.loading import load_sdk

_STATUS = {
    "end_turn": CompletionStatus.OK,
    "stop_sequence": CompletionStatus.OK,
    "max_tokens": CompletionStatus.TRUNCATED,
    "model_context_window_exceeded": CompletionStatus.TRUNCATED,
    "refusal": CompletionStatus.REFUSED,
}


class AnthropicClient:
    """Asks ``/v1/messages``; the SDK connects at the first call, in the caller's event loop."""

    def __init__(self, provider: Provider, api_key: str) -> None:
        # Loading takes about a second: here, not at the start of arena or within a call's deadline.
        load_sdk("anthropic")
        self._provider = provider
        self._key = api_key
        self._sdk: Any = None

    async def complete(self, request: CallRequest) -> RawCompletion:
        import anthropic
        import httpx2

        from agents.providers.exchange import exchange, http_timeout

        async def send() -> httpx2.Response:
            try:
                answer = await self._connected().messages.with_raw_response.create(
                    **body_of(request), timeout=http_timeout(request.timeout_seconds)
                )
            except anthropic.APIStatusError as error:
                return error.response
            response: httpx2.Response = answer.http_response
            return response

        return await exchange(
            send,
            read_answer,
            timeout_seconds=request.timeout_seconds,
            secret=self._key,
            sdk_errors=(anthropic.AnthropicError,),
        )

    async def aclose(self) -> None:
        if self._sdk is not None:
            await self._sdk.close()

    def _connected(self) -> Any:
        if self._sdk is None:
            import anthropic

            from agents.providers.exchange import open_http

            self._sdk = anthropic.AsyncAnthropic(
                api_key=self._key,
                base_url=base_url_for(self._provider).removesuffix("/v1"),
                max_retries=0,
                open_telemetry=False,
                http_client=open_http(self._provider.max_concurrency),
            )
        return self._sdk


def body_of(request: CallRequest) -> dict[str, Any]:
    """Return the arguments of ``messages.create``."""
    parameters = request.parameters
    body: dict[str, Any] = {
        "model": request.model,
        "system": request.system,
        "messages": [{"role": "user", "content": request.user}],
        "max_tokens": parameters["max_tokens"],
    }
    output: dict[str, Any] = {}
    if "effort" in parameters:
        output["effort"] = parameters["effort"]
    if parameters.get("structured_output") == "strict" and request.schema is not None:
        output["format"] = {"type": "json_schema", "schema": request.schema}
    if output:
        body["output_config"] = output
    # The SDK no longer has sampling arguments; servers of older or other models still take them.
    sampling = {
        name: float(parameters[name]) for name in ("temperature", "top_p") if name in parameters
    }
    if sampling:
        body["extra_body"] = sampling
    return body


def read_answer(answer: dict[str, Any]) -> RawCompletion:
    """Return the completion of a Messages answer; what is missing or of another kind counts as not told."""
    content = dig(answer, "content")
    blocks = content if isinstance(content, list) else []
    text = "".join(text_at(block, "text") for block in blocks if text_at(block, "type") == "text")
    thinking = "\n".join(
        text_at(block, "thinking") for block in blocks if text_at(block, "type") == "thinking"
    )
    reason = text_at(answer, "stop_reason")
    status = _STATUS.get(reason, CompletionStatus.ERROR)
    error = (
        "" if reason in _STATUS else f"stopped for {reason or 'no reason told'}, end_turn is wanted"
    )
    if status is CompletionStatus.OK and not text.strip():
        status, error = CompletionStatus.EMPTY, "the answer holds no text"
    cached = count_at(answer, "usage", "cache_read_input_tokens")
    return RawCompletion(
        status=status,
        text=text,
        reasoning=thinking,
        finish_reason=reason,
        returned_model=text_at(answer, "model"),
        input_tokens=_input_tokens(answer),
        output_tokens=count_at(answer, "usage", "output_tokens"),
        cached_tokens=cached,
        reasoning_tokens=count_at(answer, "usage", "output_tokens_details", "thinking_tokens"),
        error=error,
    )


def _input_tokens(answer: dict[str, Any]) -> int | None:
    """Return all input tokens: this API counts cached ones apart."""
    plain = count_at(answer, "usage", "input_tokens")
    if plain is None:
        return None
    names = ("cache_read_input_tokens", "cache_creation_input_tokens")
    return plain + sum(count_at(answer, "usage", name) or 0 for name in names)
