"""The embedded arena over whatever its database holds, without a demo season: ``python -m tests.e2e.empty_arena PORT PASSWORD``."""

from __future__ import annotations

import sys

import django


def main(port: int, password: str) -> None:
    django.setup()
    from django.contrib.auth.models import User
    from django.db import connections

    from arena_site.embedded import server

    if not User.objects.exists():
        User.objects.create_superuser("root", "", password)
    # The threads open their own.
    connections.close_all()
    server.serve("127.0.0.1", port, on_ready=lambda: None)
    server.leave()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
