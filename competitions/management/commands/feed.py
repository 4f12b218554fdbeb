"""Move the market on between rounds, for the split shape; the one-process arena does it in a thread."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

from django.db import close_old_connections
from django.utils import timezone

from competitions.services.advancing import advance_live
from competitions.services.feeding import WATCH_SECONDS, watch_feeds
from competitions.services.leases import beat, holder_name, release_lease, take_lease
from marketdata.management.base import ArenaCommand

logger = logging.getLogger(__name__)

LEASE = "feed"
LEASE_SECONDS = 15


class Command(ArenaCommand):
    help = (
        "Watch market feeds and let stops, targets, liquidation and funding act between rounds, until told to stop; "
        "of several processes one leads by a lease."
    )
    exit_codes = {0: "told to stop by SIGTERM or Ctrl+C"}
    examples = ("feed",)

    def handle(self, *args: Any, **options: Any) -> None:
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        holder = holder_name("feed")
        self.stdout.write("watching feeds; Ctrl+C stops")
        while not stopped.wait(WATCH_SECONDS / 5):
            self._turn(holder)
        release_lease(LEASE, holder)

    def _turn(self, holder: str) -> None:
        close_old_connections()
        try:
            if take_lease(LEASE, holder, seconds=LEASE_SECONDS, now=timezone.now()):
                advance_live(now=timezone.now())
                watch_feeds(now=timezone.now())
                beat("feed", now=timezone.now())
        except Exception:
            logger.exception("watching feeds failed, trying again")
