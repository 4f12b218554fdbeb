"""One HTTP exchange with a provider: bounded in time and size, every failure a value."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import httpx2

from agents.models.answers import CompletionStatus
from agents.providers.base import RawCompletion, loads, text_at

MAX_BODY = 256 * 1024
CONNECT_SECONDS = 5.0
# A shorter key might be a word of an answer.
SECRET_LENGTH = 8
# Worth another try: the request was sound, the moment was not.
PASSING_CODES = frozenset({408, 409, 425, 429})

Send = Callable[[], Awaitable[httpx2.Response]]
Read = Callable[[dict[str, Any]], RawCompletion]


class _CappedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # One byte over the cap tells that there was more.
        left = MAX_BODY + 1
        async for chunk in self._stream:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()


class CappedTransport(httpx2.AsyncHTTPTransport):
    """A transport that reads no more of an answer than is kept, and unpacks nothing: a small body may unpack to a huge one."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _CappedStream(response.stream)
        if "content-encoding" in response.headers:
            del response.headers["content-encoding"]
        return response


def open_http(connections: int) -> httpx2.AsyncClient:
    """Return the HTTP client under an SDK: no redirects, no proxies out of the environment, no compression."""
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx2.AsyncClient(
        transport=CappedTransport(verify=_trust(), limits=limits, trust_env=False),
        follow_redirects=False,
        trust_env=False,
        timeout=None,
        headers={"accept-encoding": "identity"},
    )


@cache
def _trust() -> ssl.SSLContext:
    """Return whom to trust, read once: a client lives for one round, and reading takes longer than making it."""
    return httpx2.create_ssl_context(trust_env=False)


def http_timeout(seconds: float) -> httpx2.Timeout:
    """Return the SDK's timeouts; waiting for a free connection is bounded by the whole call's own."""
    return httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))


async def exchange(
    send: Send,
    read: Read,
    *,
    timeout_seconds: float,
    secret: str,
    sdk_errors: tuple[type[Exception], ...],
) -> RawCompletion:
    """Return what the call gave; ``read`` turns a sound answer's JSON into its completion.

    ``secret`` is taken out wherever the answer repeats it. Raises nothing but CancelledError.
    """
    started = time.monotonic()
    failures: tuple[type[Exception], ...] = (httpx2.HTTPError, *sdk_errors)
    try:
        async with asyncio.timeout(timeout_seconds):
            response = await send()
        raw = _of_response(response, read, secret)
    except TimeoutError:
        raw = RawCompletion(
            status=CompletionStatus.TIMEOUT, error=f"no whole answer within {timeout_seconds:.1f} s"
        )
    except failures as error:
        raw = _of_error(error)
    except (httpx2.InvalidURL, httpx2.StreamError, ValueError, TypeError, OSError) as error:
        raw = RawCompletion(
            status=CompletionStatus.ERROR, error=_told(error, "not sent"), permanent=True
        )
    took = round((time.monotonic() - started) * 1000)
    return replace(_without(secret, raw), latency_ms=took)


def _without(secret: str, raw: RawCompletion) -> RawCompletion:
    """Take the key out of what was read: a body may have written it with escapes, a header may repeat it."""
    if len(secret) < SECRET_LENGTH:
        return raw
    told = ("text", "reasoning", "error", "request_id", "returned_model", "finish_reason")
    return replace(raw, **{name: getattr(raw, name).replace(secret, "[key]") for name in told})


def _of_response(response: httpx2.Response, read: Read, secret: str) -> RawCompletion:
    body = response.content
    if len(secret) >= SECRET_LENGTH:
        body = body.replace(secret.encode(), b"[key]")
    request_id = response.headers.get("request-id") or response.headers.get("x-request-id") or ""
    if len(body) > MAX_BODY:
        raw = _failed("answer larger than 256 KiB")
        body = body[:MAX_BODY]
    elif response.is_success:
        raw = _of_body(body, read)
    else:
        raw = _of_refused(response, body)
    return replace(raw, body=body, http_status=response.status_code, request_id=request_id)


def _of_body(body: bytes, read: Read) -> RawCompletion:
    try:
        answer = loads(body)
    except ValueError:
        return _failed(f"the answer is not JSON, it begins {_begin(body)}")
    if not isinstance(answer, dict):
        return _failed(f"the answer is not a JSON object, it begins {_begin(body)}")
    return read(answer)


def _of_refused(response: httpx2.Response, body: bytes) -> RawCompletion:
    code = response.status_code
    try:
        answer = loads(body)
    except ValueError:
        answer = None
    said = text_at(answer, "error", "message") or text_at(answer, "error") or _begin(body)
    if 300 <= code < 400:
        said = "redirects are not followed"
    raw = _failed(f"HTTP {code}: {said}"[:400])
    permanent = code < 500 and code not in PASSING_CODES
    return replace(raw, permanent=permanent, retry_after=_retry_after(response))


def _retry_after(response: httpx2.Response) -> float | None:
    """Return the wait that the answer asks for, in seconds, given as seconds, milliseconds or a date."""
    exact = response.headers.get("retry-after-ms", "")
    plain = response.headers.get("retry-after", "")
    try:
        if exact:
            seconds = float(exact) / 1000
        elif plain[:1].isdigit():
            seconds = float(plain)
        elif plain:
            seconds = (parsedate_to_datetime(plain) - datetime.now(UTC)).total_seconds()
        else:
            return None
    except (ValueError, TypeError):
        return None
    return max(0.0, seconds) if seconds < float("inf") else None


def _of_error(error: Exception) -> RawCompletion:
    timed_out = "Timeout" in type(error).__name__
    if timed_out:
        return RawCompletion(
            status=CompletionStatus.TIMEOUT, error=_told(error, "the connection timed out")
        )
    connection = isinstance(error, httpx2.HTTPError) or "Connection" in type(error).__name__
    return RawCompletion(
        status=CompletionStatus.ERROR,
        error=_told(error, "the connection failed" if connection else "the call failed"),
        permanent=not connection,
    )


def _told(error: Exception, what: str) -> str:
    cause = error.__cause__ or error
    return f"{what}: {type(cause).__name__} {cause}"[:400].strip()


def _failed(error: str) -> RawCompletion:
    return RawCompletion(status=CompletionStatus.ERROR, error=error)


def _begin(body: bytes) -> str:
    return ascii(body[:80].decode("utf-8", "replace")) if body else "with nothing: it is empty"
