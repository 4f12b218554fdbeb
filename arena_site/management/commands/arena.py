from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections
from django.utils import timezone

from arena_site.embedded import server
from arena_site.embedded.lock import AlreadyRunningError, instance_lock
from arena_site.embedded.welcome import print_welcome
from arena_site.embedded.worker import SilentWorkerError
from arena_site.preparation import prepare
from marketdata.management.base import SHOWN, ArenaCommand


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or not 0 < int(text) < 65536:
        raise ArgumentTypeError(f"a port from 1 to 65535 is wanted, was {text[:SHOWN]!r}")
    return int(text)


class Command(ArenaCommand):
    """Run the whole arena in one process: pages, clock, feed and turns."""

    help = "Run the whole arena in one process, with a demo season if there is none."
    exit_codes = {
        0: "stopped by SIGTERM or Ctrl+C",
        1: "not opened: another one runs, or the port is taken",
        130: "stopped before it was open",
    }
    examples = ("arena", "arena --host 0.0.0.0 --port 8080")

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add where to listen."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=_port, default=settings.PORT, help="port to listen on")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, serve until stopped, leave."""
        host, port = options["host"], options["port"]
        try:
            with instance_lock(settings.VAR_DIR / "arena.lock"):
                server.check_port(host, port)
                self._open(host, port)
        except (AlreadyRunningError, server.CannotListenError, SilentWorkerError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("stopped before the arena was open", returncode=130) from None
        server.leave()

    def _open(self, host: str, port: int) -> None:
        ready = prepare(now=timezone.now())
        # The threads open their own.
        connections.close_all()
        address = _address(host, port)
        server.serve(host, port, on_ready=lambda: print_welcome(ready, address))
        self.stdout.write("The arena has stopped.")


def _address(host: str, port: int) -> str:
    # 0.0.0.0 is where one listens, not where one goes.
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}/"
