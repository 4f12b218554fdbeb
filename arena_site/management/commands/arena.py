from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from arena_site.embedded import server
from arena_site.embedded.account import ensure_operator
from arena_site.embedded.lock import AlreadyRunningError, instance_lock
from arena_site.embedded.welcome import Welcome, print_welcome


class Command(BaseCommand):
    """Run the whole arena in one process: pages, clock, feed and turns."""

    help = "Run the whole arena in one process, with a demo season if there is none."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add where to listen."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=settings.PORT, help="port to listen on")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, serve until stopped, leave."""
        host, port = options["host"], options["port"]
        try:
            with instance_lock(settings.VAR_DIR / "arena.lock"):
                server.check_port(host, port)
                welcome = _prepare(host, port)
                server.serve(host, port, on_ready=lambda: print_welcome(welcome))
                self.stdout.write("The arena has stopped.")
        except (AlreadyRunningError, server.PortTakenError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("stopped before the server was up", returncode=130) from None
        server.leave()


def _prepare(host: str, port: int) -> Welcome:
    """Bring database, season and account up to date; harmless when they are."""
    from competitions.services.demo import ensure_demo_season

    _migrate_if_needed()
    demo = ensure_demo_season(now=timezone.now())
    username, password = ensure_operator()
    # The threads open their own.
    connections.close_all()
    address = _address(host, port)
    return Welcome(
        address=address,
        username=username,
        password=password,
        season=demo.competition.name,
        season_address=f"{address}c/{demo.competition.slug}/",
        feed_note=demo.feed_note,
        is_new_season=demo.created,
    )


def _migrate_if_needed() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0, interactive=False)


def _address(host: str, port: int) -> str:
    # 0.0.0.0 is where one listens, not where one goes.
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}/"
