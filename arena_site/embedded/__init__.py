"""The whole arena in one process: server, clock and worker as threads of one another."""

from __future__ import annotations
