"""A language model API on loopback that speaks both protocols; the model's name says how it behaves.

- ``trader-*``: decides out of the prompt, deterministically; some orders break limits on purpose
- ``slow-<seconds>*``, ``latency-<ms>*``, ``jitter-<min>-<max>*`` (ms): a trader that takes its time
- ``faulty-<kind>*``: always that fault (see FAULTS); ``faulty-all*``: one of them by the prompt's hash;
  any other ``faulty-*``: half the prompts get a fault, the others a trader's answer
- ``flaky-<kind>*``: that fault at every odd request with the same prompt, a trader's answer at every even one
- ``says-*``: answers with the text that ``server.say`` holds

Answers depend on model and prompt alone, so that a season played twice is equal, and a fault that fired on the first try
fires on a retry. Run it as ``python -m tests.fakes.llm_server --port N``, or in a test::

    with LlmServer() as server:
        provider.base_url = server.openai_url
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_REQUEST = 8 * 1024 * 1024
TRADER_WORDS = ("trader", "slow", "latency", "jitter")

_SYMBOL = re.compile(r"^## ([A-Z0-9.:_-]{2,32})$", re.MULTILINE)
_ANY_SYMBOL = re.compile(r"\b[A-Z0-9]{2,12}USDT\b")
_MARK = re.compile(r"^bid (\S+) \| ask (\S+) \| mark (\S+)$", re.MULTILINE)
_POSITION = re.compile(r"^- (\S+) (LONG|SHORT) quantity (\S+)", re.MULTILINE)


@dataclass
class Request:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def is_anthropic(self) -> bool:
        return self.path.endswith("/messages")

    @property
    def prompt(self) -> str:
        last = self.body["messages"][-1]["content"]
        return last if isinstance(last, str) else json.dumps(last)

    @property
    def seed(self) -> bytes:
        return hashlib.sha256(f"{self.model}\0{self.prompt}".encode("utf-8", "replace")).digest()


@dataclass
class Reply:
    """What goes back; ``finish`` is told in the words of the protocol."""

    text: str = ""
    finish: str = "stop"
    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = "application/json"


# --- what a trader says -------------------------------------------------------------------------


class Draw:
    """Numbers drawn one after another from a seed."""

    def __init__(self, seed: bytes) -> None:
        self._seed, self._count = seed, 0

    def below(self, bound: int) -> int:
        self._count += 1
        digest = hashlib.sha256(self._seed + self._count.to_bytes(4, "big")).digest()
        return int.from_bytes(digest[:8], "big") % bound

    def of(self, items: list[Any]) -> Any:
        return items[self.below(len(items))]


def trade(prompt: str, seed: bytes) -> str:
    """Return a decision on the symbols and positions that the prompt tells of."""
    draw = Draw(seed)
    symbols = sorted(set(_SYMBOL.findall(prompt)) or set(_ANY_SYMBOL.findall(prompt)))
    held = {symbol: (side, size) for symbol, side, size in _POSITION.findall(prompt)}
    if not symbols:
        return json.dumps({"summary": "No symbols in the prompt.", "instructions": []})
    orders = [_order(draw, symbols, held)]
    if draw.below(3) == 0:
        orders.append(_order(draw, symbols, held))
    if draw.below(10) == 0:
        orders.append(_overreach(draw, symbols))
    if draw.below(20) == 0:
        orders = [{"action": "hold", "symbol": symbols[0], "reasoning": "Nothing to do."}]
    summary = f"{len(held)} positions open; {len(orders)} instructions this round."
    return json.dumps({"summary": summary, "instructions": orders})


def _order(draw: Draw, symbols: list[str], held: dict[str, tuple[str, str]]) -> dict[str, Any]:
    # With many positions the limits on their number would refuse most opens.
    if held and (len(held) >= 4 or draw.below(3) == 0):
        return _shrink(draw, held)
    symbol = draw.of([name for name in symbols if name not in held] or symbols)
    side = held[symbol][0] if symbol in held else draw.of(["LONG", "LONG", "SHORT"])
    leverage = None if symbol in held else 1 + draw.below(3)
    return {
        "action": "open_long" if side == "LONG" else "open_short",
        "symbol": symbol,
        "margin_fraction": f"0.{4 + draw.below(6):02d}",
        "leverage": leverage,
        "invalidation": "the last swing breaks",
        "confidence": f"0.{50 + draw.below(45)}",
        "reasoning": f"{symbol} looks right for going {side.lower()} at this point.",
    }


def _shrink(draw: Draw, held: dict[str, tuple[str, str]]) -> dict[str, Any]:
    symbol = draw.of(sorted(held))
    if draw.below(3) == 0:
        return {
            "action": "reduce",
            "symbol": symbol,
            "quantity": held[symbol][1],
            "reasoning": "Taking what there is off the table.",
        }
    return {"action": "close", "symbol": symbol, "reasoning": "The idea has run its course."}


def _overreach(draw: Draw, symbols: list[str]) -> dict[str, Any]:
    order = {"action": "open_long", "symbol": draw.of(symbols), "margin_fraction": "0.05"}
    breach: dict[str, Any] = draw.of(
        [
            {"leverage": 500},
            {"symbol": "MOONUSDT"},
            {"margin_fraction": "0.99", "leverage": 1},
            {"margin_fraction": None, "notional": "0.01"},
            {"margin_fraction": None, "notional": "90000000"},
        ]
    )
    return {**order, **breach, "reasoning": "Fortune favours the bold."}


# --- faults -------------------------------------------------------------------------------------


def _duplicate_keys(text: str) -> str:
    return '{"instructions": [], ' + text.lstrip()[1:]


# What the model says wrong, as functions of a good answer.
TEXT_FAULTS: dict[str, Callable[[str], Reply]] = {
    "empty": lambda text: Reply(""),
    "prose": lambda text: Reply("I would rather buy some BTC here, about half of the account."),
    "truncated": lambda text: Reply(text[: len(text) * 2 // 3], finish="length"),
    "refusal": lambda text: Reply("I cannot give trading advice.", finish="refusal"),
    "badjson": lambda text: Reply(text.replace(":", "", 1)),
    "duplicates": lambda text: Reply(_duplicate_keys(text)),
    "fenced": lambda text: Reply(f"Here is my decision:\n```json\n{text}\n```\n"),
}
HTTP_FAULTS: dict[str, Reply] = {
    "401": Reply(code=401, text="invalid key"),
    "500": Reply(code=500, text="the server had an error"),
    "429": Reply(code=429, text="slow down", headers={"retry-after": "1"}),
    "529": Reply(code=529, text="overloaded"),
    "html": Reply(
        code=502,
        raw=b"<html><body><h1>502 Bad Gateway</h1></body></html>",
        content_type="text/html",
    ),
    "redirect": Reply(code=307, raw=b"", headers={"location": "http://127.0.0.1:9/elsewhere"}),
    "huge": Reply(raw=b'{"padding": "' + b"x" * 400_000 + b'"}'),
    "notjson": Reply(raw=b"<!doctype html><p>all is well</p>", content_type="text/html"),
    "list": Reply(raw=b"[1, 2, 3]"),
}
WIRE_FAULTS = ("reset", "drip")
FAULTS = (*TEXT_FAULTS, *HTTP_FAULTS, *WIRE_FAULTS)
# What an unlucky season meets: faults of the protocol itself and odd ones stay out.
CYCLE = (
    "500",
    "429",
    "529",
    "html",
    "empty",
    "prose",
    "truncated",
    "refusal",
    "badjson",
    "duplicates",
    "fenced",
    "reset",
    "drip",
)


def fault_of(request: Request, seen: int) -> str | None:
    """Return the fault that the request meets; ``seen`` counts requests with this model and prompt, this one included."""
    kind, _, rest = request.model.partition("-")
    named = rest.split("-")[0]
    number = int.from_bytes(request.seed[:8], "big")
    if kind == "flaky":
        return (named if named in FAULTS else "500") if seen % 2 else None
    if kind != "faulty":
        return None
    if named in FAULTS:
        return named
    if named == "all":
        return CYCLE[number % len(CYCLE)]
    return CYCLE[number // 2 % len(CYCLE)] if number % 2 else None


def delay_of(request: Request) -> float:
    """Return the seconds that the model thinks."""
    kind, *rest = request.model.split("-")
    if kind == "slow" and rest:
        return float(rest[0])
    if kind == "latency" and rest:
        return int(rest[0]) / 1000
    if kind == "jitter" and len(rest) >= 2:
        least, most = int(rest[0]), int(rest[1])
        return (least + int.from_bytes(request.seed[8:16], "big") % (most - least + 1)) / 1000
    return 0.0


# --- the two protocols --------------------------------------------------------------------------

_ANTHROPIC_REASON = {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal"}
_OPENAI_REASON = {"stop": "stop", "length": "length", "refusal": "content_filter"}
_ERROR_TYPES = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}


def wire_body(request: Request, reply: Reply) -> bytes:
    """Return the reply as the protocol writes it."""
    if reply.raw is not None:
        return reply.raw
    if reply.code >= 400:
        return _error(request, reply)
    answer = _anthropic(request, reply) if request.is_anthropic else _openai(request, reply)
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")


def _error(request: Request, reply: Reply) -> bytes:
    kind = _ERROR_TYPES.get(reply.code, "api_error")
    error: dict[str, Any] = {"type": kind, "message": reply.text}
    if request.is_anthropic:
        return json.dumps({"type": "error", "error": error}).encode()
    return json.dumps({"error": {**error, "param": None, "code": None}}).encode()


def _tokens(request: Request, reply: Reply) -> tuple[int, int]:
    return len(json.dumps(request.body)) // 4, max(1, len(reply.text) // 4)


def _anthropic(request: Request, reply: Reply) -> dict[str, Any]:
    asked, answered = _tokens(request, reply)
    content: list[dict[str, Any]] = []
    if "think" in request.model:
        content.append({"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"})
    if reply.text:
        content.append({"type": "text", "text": reply.text})
    return {
        "id": f"msg_{request.seed.hex()[:24]}",
        "type": "message",
        "role": "assistant",
        "model": f"{request.model}-20261101",
        "content": content,
        "stop_reason": _ANTHROPIC_REASON[reply.finish],
        "stop_sequence": None,
        "usage": {
            "input_tokens": asked,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": asked // 2,
            "output_tokens": answered,
            "service_tier": "standard",
        },
    }


def _openai(request: Request, reply: Reply) -> dict[str, Any]:
    asked, answered = _tokens(request, reply)
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    if "think" in request.model:
        message["reasoning_content"] = "Let me see."
    return {
        "id": f"chatcmpl-{request.seed.hex()[:24]}",
        "object": "chat.completion",
        "created": 1_780_000_000,
        "model": f"{request.model}-20261101",
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": _OPENAI_REASON[reply.finish],
            }
        ],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": answered,
            "total_tokens": asked + answered,
            "prompt_tokens_details": {"cached_tokens": asked // 2, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": answered // 3, "audio_tokens": 0},
        },
    }


# --- the server ---------------------------------------------------------------------------------


class LlmServer:
    """Serves in a thread of its own; a context manager.

    ``counts`` counts requests (``requests``), good answers (``ok``) and each fault by its kind; ``requests`` keeps the last
    thousand; ``say`` is what ``says-*`` models answer. ``drip_seconds`` is how long a dripping answer takes in all.
    """

    def __init__(self, port: int = 0, *, drip_seconds: float = 90.0) -> None:
        self.counts: Counter[str] = Counter()
        self.requests: deque[Request] = deque(maxlen=1000)
        self.say = '{"summary": "", "instructions": []}'
        self.drip_seconds = drip_seconds
        self.last_body = b""
        self._seen: Counter[bytes] = Counter()
        self._wanted_port = port
        self.port = 0
        self._ready = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name="fake-llm", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def anthropic_url(self) -> str:
        return self.url

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    def __enter__(self) -> LlmServer:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the fake model server did not start within 10 s")
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop()
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        server = await asyncio.start_server(
            self._connection, "127.0.0.1", self._wanted_port, backlog=1024, limit=MAX_REQUEST
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await stopped.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.strip().split("\r\n")
        method, path, _ = line.split(" ", 2)
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (entry.partition(":") for entry in fields)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if method == "GET" and path == "/counts":
            await _write(writer, Reply(), json.dumps(self.counts).encode())
            return True
        if method != "POST" or path not in ("/v1/messages", "/v1/chat/completions"):
            await _write(writer, Reply(code=404), b'{"error": {"message": "no such path"}}')
            return True
        return await self._answer(writer, Request(path, headers, json.loads(body)))

    async def _answer(self, writer: asyncio.StreamWriter, request: Request) -> bool:
        self.requests.append(request)
        self.counts["requests"] += 1
        self._seen[request.seed] += 1
        fault = fault_of(request, self._seen[request.seed])
        if not _key(request):
            fault = "401"
        self.counts[fault or "ok"] += 1
        await asyncio.sleep(delay_of(request))
        if fault == "reset":
            _reset(writer)
            return False
        reply = self._reply(request, fault)
        body = self.last_body = wire_body(request, reply)
        if fault == "drip":
            await _drip(writer, reply, body, self.drip_seconds)
            return False
        await _write(writer, reply, body, request_id=f"req_{request.seed.hex()[:20]}")
        return True

    def _reply(self, request: Request, fault: str | None) -> Reply:
        if request.model.startswith("says"):
            return Reply(self.say)
        if fault in HTTP_FAULTS:
            return HTTP_FAULTS[fault]
        text = trade(request.prompt, request.seed)
        return TEXT_FAULTS[fault](text) if fault in TEXT_FAULTS else Reply(text)


def _key(request: Request) -> str:
    bearer = request.headers.get("authorization", "").removeprefix("Bearer").strip()
    return bearer or request.headers.get("x-api-key", "")


def _head(reply: Reply, length: int, request_id: str) -> bytes:
    fields = {
        "content-type": reply.content_type,
        "content-length": str(length),
        "request-id": request_id,
        "x-request-id": request_id,
        **reply.headers,
    }
    lines = [f"HTTP/1.1 {reply.code} Said", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _write(
    writer: asyncio.StreamWriter, reply: Reply, body: bytes, request_id: str = "req_none"
) -> None:
    writer.write(_head(reply, len(body), request_id) + body)
    await writer.drain()


async def _drip(writer: asyncio.StreamWriter, reply: Reply, body: bytes, seconds: float) -> None:
    writer.write(_head(reply, len(body), "req_drip"))
    for byte in body:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(seconds / len(body))


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    # Closing with a linger of zero sends RST, as a crashed server does.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--drip-seconds", type=float, default=90.0)
    options = parser.parse_args()
    server = LlmServer(options.port, drip_seconds=options.drip_seconds)
    with server:
        print(f"fake models on {server.url} (Ctrl-C stops)", flush=True)  # noqa: T201
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
