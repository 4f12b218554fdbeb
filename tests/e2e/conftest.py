"""A running arena, as people start it, and a browser that looks at it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.arenas import Arena, open_arena

START_SECONDS = 40
# Rounds of the demo come every few seconds, on a machine that may be busy.
expect.set_options(timeout=20_000)


@dataclass
class Server:
    """One process of ``manage.py arena`` with the demo season; may be stopped and started again."""

    arena: Arena
    output: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    words: str = field(default="")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = self.arena.spawn(
            "manage.py", "arena", "--port", str(self.port), output=self.output
        )
        self.wait_for("/readyz")

    def wait_for(self, address: str) -> None:
        """Return when the page is there."""
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.url}{address}", timeout=2).close()
            except OSError:
                assert self.process.poll() is None, self.output.read_text()
                time.sleep(0.1)
            else:
                return
        raise AssertionError(self.output.read_text())

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None

    @property
    def password(self) -> str:
        """Return the operator's password, which the first start shows once."""
        found = re.search(r"password (\S+) \(shown only now\)", self.output.read_text())
        assert found, self.output.read_text()
        return found[1]


@pytest.fixture(scope="module")
def server(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("arena")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open_arena(folder) as arena:
        running = Server(arena, folder / "output.txt", port)
        running.start()
        running.wait_for("/c/demo/r/2/")
        yield running
        running.stop()


@dataclass
class Visit:
    """A page and what its console complained about."""

    page: Page
    complaints: list[str]


@pytest.fixture
def visit(browser: Browser, server: Server):
    """Return a way to open a context: ``visit(width=390, theme="dark")``."""
    opened = []

    def open_context(width: int = 1440, theme: str = "light", *, script: bool = True) -> Visit:
        context = browser.new_context(
            base_url=server.url,
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            java_script_enabled=script,
        )
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        complaints: list[str] = []
        page.on(
            "console",
            lambda said: said.type in ("error", "warning") and complaints.append(said.text),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return Visit(page, complaints)

    yield open_context
    for context in opened:
        context.close()
