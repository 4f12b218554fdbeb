"""What every provider is asked and answers, whatever its protocol."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from agents.domain.context import DecisionContext
from agents.models.answers import CompletionStatus
from marketdata.domain.canonical import canonical_json, digest_of

MAX_TOKENS_COUNTED = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """One call: ``parameters`` are the effective ones (:func:`agents.providers.effective_parameters`).

    ``schema`` is sent where ``parameters["structured_output"]`` says "strict". ``timeout_seconds`` bounds the whole call, waiting
    for a connection and reading included. ``context`` is what a baseline decides from; models never get it.
    """

    model: str
    system: str
    user: str
    parameters: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    timeout_seconds: float = 45.0
    context: DecisionContext | None = None

    def record(self) -> str:
        """Return the canonical JSON that is stored of the request; messages and schema by other means, no key."""
        return canonical_json(
            {
                "model": self.model,
                "parameters": self.parameters,
                "schema_sha256": digest_of(self.schema) if self.schema else None,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCompletion:
    """What one call gave. ``body`` is the answer as received, at most 256 KiB; ``text`` and ``reasoning`` were read out of it.

    ``input_tokens`` counts cached ones too; counts are None where the provider did not tell. ``retry_after`` is in seconds.
    ``permanent`` means that asking again cannot help.
    """

    status: CompletionStatus
    body: bytes = b""
    text: str = ""
    reasoning: str = ""
    http_status: int | None = None
    finish_reason: str = ""
    request_id: str = ""
    returned_model: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    error: str = ""
    latency_ms: int = 0
    retry_after: float | None = None
    permanent: bool = False

    @property
    def may_be_retried(self) -> bool:
        """Tell whether a second try could give an answer where this one gave none."""
        failed = {CompletionStatus.ERROR, CompletionStatus.TIMEOUT, CompletionStatus.EMPTY}
        return self.status in failed and not self.permanent


class ChatClient(Protocol):
    """An open connection to a provider; belongs to one event loop and is closed in it."""

    async def complete(self, request: CallRequest) -> RawCompletion:
        """Ask once. Never raises but for cancellation: every failure is a RawCompletion with its status."""
        ...

    async def aclose(self) -> None: ...


def loads(body: bytes) -> Any:
    """Return the JSON of a body; raise ValueError for anything that is none, however deep or long."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("nested too deep") from None


def dig(value: Any, *path: str | int) -> Any:
    """Return what lies at ``path`` in parsed JSON, None where any step is missing or of another kind."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def text_at(value: Any, *path: str | int) -> str:
    """Return the text at ``path``, empty where there is none."""
    found = dig(value, *path)
    return found if isinstance(found, str) else ""


def count_at(value: Any, *path: str | int) -> int | None:
    """Return the count at ``path``, None where there is no sensible one."""
    found = dig(value, *path)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < MAX_TOKENS_COUNTED:
        return None
    return found
