"""OpenAI's Chat Completions API and the many that speak it, through the OpenAI SDK."""

from __future__ import annotations

from typing import Any

from agents.models.agents import Provider
from agents.models.answers import CompletionStatus
from agents.providers.access import base_url_for
from agents.providers.base import CallRequest, RawCompletion, count_at, dig, text_at
from agents.providers.loading import load_sdk

_STATUS = {
    "stop": CompletionStatus.OK,
    "length": CompletionStatus.TRUNCATED,
    "content_filter": CompletionStatus.REFUSED,
}


class OpenAICompatibleClient:
    """Asks ``/chat/completions``; the SDK connects at the first call, in the caller's event loop."""

    def __init__(self, provider: Provider, api_key: str) -> None:
        # Loading takes about a second: here, not at the start of arena or within a call's deadline.
        load_sdk("openai")
        self._provider = provider
        self._key = api_key
        self._sdk: Any = None

    async def complete(self, request: CallRequest) -> RawCompletion:
        import httpx2
        import openai

        from agents.providers.exchange import exchange, http_timeout

        async def send() -> httpx2.Response:
            try:
                answer = await self._connected().chat.completions.with_raw_response.create(
                    **body_of(request), timeout=http_timeout(request.timeout_seconds)
                )
            except openai.APIStatusError as error:
                return error.response
            response: httpx2.Response = answer.http_response
            return response

        return await exchange(
            send,
            read_answer,
            timeout_seconds=request.timeout_seconds,
            secret=self._key,
            sdk_errors=(openai.OpenAIError,),
        )

    async def aclose(self) -> None:
        if self._sdk is not None:
            await self._sdk.close()

    def _connected(self) -> Any:
        if self._sdk is None:
            import openai

            from agents.providers.exchange import open_http

            self._sdk = openai.AsyncOpenAI(
                api_key=self._key,
                base_url=base_url_for(self._provider),
                max_retries=0,
                http_client=open_http(self._provider.max_concurrency),
            )
            if self._provider.slug != "openai":
                # Read from OPENAI_ORG_ID and OPENAI_PROJECT_ID: nobody else's business.
                self._sdk.organization = self._sdk.project = None
        return self._sdk


def body_of(request: CallRequest) -> dict[str, Any]:
    """Return the arguments of ``chat.completions.create``."""
    parameters = request.parameters
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [
            {"role": "system", "content": request.system},
            {"role": "user", "content": request.user},
        ],
        parameters.get("token_limit", "max_tokens"): parameters["max_tokens"],
    }
    for name in ("temperature", "top_p"):
        if name in parameters:
            body[name] = float(parameters[name])
    if "seed" in parameters:
        body["seed"] = parameters["seed"]
    if "effort" in parameters:
        body["reasoning_effort"] = parameters["effort"]
    if shape := _response_format(request):
        body["response_format"] = shape
    return body


def _response_format(request: CallRequest) -> dict[str, Any] | None:
    mode = request.parameters.get("structured_output", "none")
    if mode == "strict" and request.schema is not None:
        schema = {"name": "decision", "strict": True, "schema": request.schema}
        return {"type": "json_schema", "json_schema": schema}
    return {"type": "json_object"} if mode in {"strict", "object"} else None


def read_answer(answer: dict[str, Any]) -> RawCompletion:
    """Return the completion of a Chat Completions answer; what is missing or of another kind counts as not told."""
    choice = dig(answer, "choices", 0)
    text = _content(choice)
    reason = text_at(choice, "finish_reason")
    status, error = _status(answer, choice, text)
    usage = dig(answer, "usage")
    cached = count_at(usage, "prompt_tokens_details", "cached_tokens")
    return RawCompletion(
        status=status,
        text=text,
        reasoning=text_at(choice, "message", "reasoning_content")
        or text_at(choice, "message", "reasoning"),
        finish_reason=reason,
        returned_model=text_at(answer, "model"),
        input_tokens=count_at(usage, "prompt_tokens"),
        output_tokens=count_at(usage, "completion_tokens"),
        cached_tokens=count_at(usage, "prompt_cache_hit_tokens") if cached is None else cached,
        reasoning_tokens=count_at(usage, "completion_tokens_details", "reasoning_tokens"),
        error=error,
    )


def _content(choice: Any) -> str:
    content = dig(choice, "message", "content")
    if isinstance(content, list):
        return "".join(text_at(part, "text") for part in content)
    return content if isinstance(content, str) else ""


def _status(answer: dict[str, Any], choice: Any, text: str) -> tuple[CompletionStatus, str]:
    if choice is None:
        # Some gateways answer 200 with an error inside.
        said = text_at(answer, "error", "message") or "no choices in the answer"
        return CompletionStatus.ERROR, said[:400]
    if refusal := text_at(choice, "message", "refusal"):
        return CompletionStatus.REFUSED, refusal[:400]
    reason = text_at(choice, "finish_reason")
    if reason not in _STATUS:
        return CompletionStatus.ERROR, f"stopped for {reason or 'no reason told'}, stop is wanted"
    if _STATUS[reason] is CompletionStatus.OK and not text.strip():
        return CompletionStatus.EMPTY, "the answer holds no text"
    return _STATUS[reason], ""
