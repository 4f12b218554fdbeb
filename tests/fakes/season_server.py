"""The fake model server as seasons need it: faults by round, and answers in another order each time."""

from __future__ import annotations

import asyncio
import random
import re

from tests.fakes.llm_server import CYCLE, LlmServer, Request

_ROUND = re.compile(r"^Round (\d+)\b", re.MULTILINE)


class SeasonServer(LlmServer):
    """Also knows ``cycle-*`` models: a trader in odd rounds, in each even one the next fault of CYCLE.

    So 26 rounds meet every kind once. With ``shuffle_seconds`` every answer waits a random time of up to that, other than by
    model and prompt, so that answers come in another order each time.
    """

    def __init__(
        self, port: int = 0, *, drip_seconds: float = 90.0, shuffle_seconds: float = 0.0
    ) -> None:
        super().__init__(port, drip_seconds=drip_seconds)
        self.shuffle_seconds = shuffle_seconds

    async def _answer(self, writer: asyncio.StreamWriter, request: Request) -> bool:
        if self.shuffle_seconds:
            await asyncio.sleep(random.SystemRandom().uniform(0, self.shuffle_seconds))
        if request.model.startswith("cycle"):
            request.body["model"] = _model_of_round(request.prompt)
        return await super()._answer(writer, request)


def _model_of_round(prompt: str) -> str:
    found = _ROUND.search(prompt)
    number = int(found[1]) if found else 1
    return "trader-c" if number % 2 else f"faulty-{CYCLE[number // 2 % len(CYCLE)]}"
