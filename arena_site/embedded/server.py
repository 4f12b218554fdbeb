"""The web server of the embedded arena, with the threads that live beside it."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from arena_site.embedded.ticker import Ticker
from arena_site.embedded.worker import WorkerThread

logger = logging.getLogger(__name__)

STOP_SECONDS = 4.0
# Turns of slow models hold a thread for minutes; as many again are left to start the next rounds.
WORKER_CONCURRENCY = 16


class CannotListenError(Exception):
    """The address cannot be listened on; the message says why."""


def check_port(host: str, port: int) -> None:
    """Bind once to tell a taken port in plain words, before anything is started.

    Raises:
        CannotListenError: If it is no port, or cannot be bound.
    """
    if not 1 <= port <= 65535:
        raise CannotListenError(f"--port must be a whole number from 1 to 65535, was {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = (
                "another program listens there"
                if error.errno == errno.EADDRINUSE
                else (error.strerror or str(error))
            )
            raise CannotListenError(
                f"cannot listen on {host} port {port}: {reason}; choose another with --port"
            ) from error


def serve(host: str, port: int, *, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, with clock, sweeper, feed, checker and worker beside.

    Args:
        host: Address to listen on.
        port: Port to listen on, checked free before.
        on_ready: Called once when the port is open.
    """
    # First: it installs the reactor.
    import daphne.server

    from arena_site.asgi import application
    from competitions.live.bridge import bind_server_loop
    from competitions.tasks import take_over

    bind_server_loop(daphne.server.twisted_loop)
    worker = WorkerThread(concurrency=WORKER_CONCURRENCY)
    tickers = _make_tickers()
    escaped = host.replace(":", r"\:")
    server = daphne.server.Server(
        application=application,
        endpoints=[f"tcp:port={port}:interface={escaped}"],
        signal_handlers=True,
        application_close_timeout=2,
        ready_callable=on_ready,
        server_name="arena",
    )
    take_over()
    worker.start_and_wait()
    for ticker in tickers:
        ticker.start()
    try:
        server.run()
    finally:
        _stop(worker, tickers)


def _make_tickers() -> list[Ticker]:
    """One thread each: a slow feed must not delay the clock by a second."""
    from arena_site.celery import CHECK_SECONDS, CLOCK_SECONDS, SWEEP_SECONDS
    from competitions import tasks

    return [
        Ticker("clock", tasks.open_due_rounds, seconds=CLOCK_SECONDS),
        Ticker("sweeper", tasks.sweep, seconds=SWEEP_SECONDS),
        Ticker("feed", tasks.advance_feeds, seconds=CLOCK_SECONDS),
        Ticker("checker", tasks.check_seasons, seconds=CHECK_SECONDS),
    ]


def _stop(worker: WorkerThread, tickers: list[Ticker]) -> None:
    # A second Ctrl-C ends at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    deadline = time.monotonic() + STOP_SECONDS
    for ticker in tickers:
        ticker.stop()
    worker.stop()
    for thread in (*tickers, worker):
        thread.join(max(0.0, deadline - time.monotonic()))


def leave() -> None:
    """End the process now, though a turn may still wait for its model.

    Python would wait for such a thread. Nothing is lost: the turn's lease passes, and the next
    start takes it up from its rows.
    """
    left = [
        thread.name for thread in threading.enumerate() if thread is not threading.main_thread()
    ]
    if left:
        logger.info("leaving with threads at work: %s", ", ".join(left))
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
