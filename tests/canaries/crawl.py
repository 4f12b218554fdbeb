"""A visitor who follows every link of the site, and a listener at its sockets."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2
import websockets

LINK = re.compile(r'(?:href|hx-get|src)="([^"#]*)')
# Of pages that differ by their query alone, and of the many rows of one kind, some will do.
PER_PATH, PER_SHAPE = 3, 6
LEFT_OUT = ("/static/", "/logout/", "/theme/", "/admin/logout/")


@dataclass
class Visitor:
    """Follows links from page to page; ``seen`` are the answers' statuses by address."""

    client: httpx2.Client
    seen: dict[str, int] = field(default_factory=dict)
    _shapes: Counter[str] = field(default_factory=Counter)

    def walk(self, *starts: str, limit: int = 500) -> Iterator[tuple[str, str]]:
        """Yield address and text (headers and body) of each answer."""
        waiting = deque(starts)
        while waiting and len(self.seen) < limit:
            address = waiting.popleft()
            if not self._is_new(address):
                continue
            answer = self.client.get(address)
            self.seen[address] = answer.status_code
            yield address, f"{answer.headers!s}\n{answer.text}"
            if "html" in answer.headers.get("content-type", ""):
                for link in LINK.findall(answer.text):
                    target = answer.url.join(link.replace("&amp;", "&"))
                    if target.host == answer.url.host and target.port == answer.url.port:
                        waiting.append(target.raw_path.decode())

    def _is_new(self, address: str) -> bool:
        if address in self.seen or address.startswith(LEFT_OUT):
            return False
        path = address.split("?")[0]
        shape = re.sub(r"[0-9a-f-]{16,}|\d+", "*", path)
        self._shapes[path] += 1
        self._shapes[shape] += path != shape
        return self._shapes[path] <= PER_PATH and self._shapes[shape] <= PER_SHAPE * PER_PATH

    def log_in(self, name: str, password: str) -> None:
        """Sign in by the form, as a person does."""
        form = self.client.get("/login/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        assert token is not None
        answer = self.client.post(
            "/login/",
            data={"username": name, "password": password, "csrfmiddlewaretoken": token[1]},
            headers={"referer": str(self.client.base_url)},
        )
        assert answer.status_code in (200, 302), answer.text
        assert "sessionid" in self.client.cookies, answer.text


def listen(url: str, *, seconds: float, headers: dict[str, str]) -> list[str]:
    """Return the frames that a socket gives in that time."""

    async def hear() -> list[str]:
        frames: list[str] = []
        async with websockets.connect(url, additional_headers=headers, max_size=None) as socket:
            try:
                async with asyncio.timeout(seconds):
                    while True:
                        frames.append(str(await socket.recv()))
            except TimeoutError:
                return frames
        return frames

    return asyncio.run(hear())
