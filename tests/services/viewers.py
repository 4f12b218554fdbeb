"""Viewers as browsers and programs are: they follow a season over a socket and come back when it breaks."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.services.watching import InThread

PIECE = re.compile(r'<hx-partial hx-target="#([a-z]+)" [^>]*>(.*?)</hx-partial>', re.DOTALL)
SEQ = re.compile(r'id="pulse" hidden data-seq="(\d+)"')
AGAIN_SECONDS = 0.3


class Viewer(InThread):
    """Follows one season at one web process and comes back to it from what it has on.

    ``visits`` counts the connections that were made.
    """

    def __init__(self, port: int, slug: str, query: str) -> None:
        self.visits = 0
        self.seq = 0
        self._origin = f"http://127.0.0.1:{port}"
        self._address = f"ws://127.0.0.1:{port}/ws/competitions/{slug}/?{query}"
        super().__init__()

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                self._visit()
            except (WebSocketException, OSError, EOFError):
                time.sleep(AGAIN_SECONDS)

    def _visit(self) -> None:
        # The web process looks at the origin, as a browser would send it.
        with connect(f"{self._address}{self.seq}", origin=self._origin, open_timeout=20) as socket:
            self.visits += 1
            while not self.ended.is_set():
                try:
                    frame = socket.recv(timeout=0.5)
                except TimeoutError:
                    continue
                self.take(str(frame))

    def take(self, frame: str) -> None:
        """Take what was sent."""
        raise NotImplementedError


class Listener(Viewer):
    """Listens to typed events and keeps all that it was sent."""

    def __init__(self, port: int, slug: str) -> None:
        super().__init__(port, slug, "format=json&since=")
        self.events: list[dict[str, Any]] = []

    def take(self, frame: str) -> None:
        event = json.loads(frame)
        self.events.append(event)
        self.seq = event["seq"]


class Page(Viewer):
    """An open page: keeps the newest version of each piece."""

    def __init__(self, port: int, slug: str) -> None:
        super().__init__(port, slug, "seq=")
        self.pieces: dict[str, str] = {}

    def take(self, frame: str) -> None:
        found = PIECE.findall(frame)
        assert found, frame[:200]
        self.pieces.update(found)
        self.seq = int(SEQ.findall(self.pieces["pulse"])[0])
