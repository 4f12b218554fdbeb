"""A model API that repeats the key it is asked with, wherever an answer has room for it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

from tests.fakes.llm_server import LlmServer, Reply, Request, _key, _write, trade, wire_body


class ParrotServer(LlmServer):
    """Also knows ``parrot-says*``, which trade and give the key as their reason, and ``parrot-refuses*``, which fail with it."""

    async def _answer(self, writer: asyncio.StreamWriter, request: Request) -> bool:
        if not request.model.startswith("parrot"):
            return await super()._answer(writer, request)
        self.requests.append(request)
        self.counts["requests"] += 1
        key = _key(request)
        reply = _refuse(key) if request.model.startswith("parrot-refuses") else _say(request, key)
        # With escapes too: what is read out of it is the key again.
        escaped = "".join(f"\\u{ord(letter):04x}" for letter in key)
        body = wire_body(request, reply).replace(b"ESCAPED", escaped.encode())
        self.counts["parrot"] += 1
        await _write(writer, reply, body, request_id=key)
        return True


def _say(request: Request, key: str) -> Reply:
    decision = json.loads(trade(request.prompt, request.seed))
    decision["summary"] = f"My key is {key}, written otherwise ESCAPED."
    for order in decision["instructions"]:
        order["reasoning"] = f"Because {key}."
    return Reply(json.dumps(decision))


def _refuse(key: str) -> Reply:
    return replace(Reply(code=401), text=f"the key {key} (ESCAPED) is not known here")
