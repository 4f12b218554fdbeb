"""Leases and heartbeats: who is at work, told by rows that any process can read."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta

from django.db.models import F, Q

from competitions.models import Heartbeat, Lease


def holder_name(role: str) -> str:
    """Return a name for this process in ``role``."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"[:120]


def take_lease(name: str, holder: str, *, seconds: float, now: datetime) -> bool:
    """Take or renew a lease by conditional update; False when another holds it."""
    Lease.objects.get_or_create(name=name)
    free = Q(until__isnull=True) | Q(until__lt=now) | Q(holder=holder)
    taken = Lease.objects.filter(free, name=name).update(
        holder=holder, until=now + timedelta(seconds=seconds), fence=F("fence") + 1
    )
    return taken == 1


def release_lease(name: str, holder: str) -> None:
    """Give a lease back; nothing happens when another holds it."""
    Lease.objects.filter(name=name, holder=holder).update(until=None, holder="")


def held_by_other(name: str, holder: str, *, now: datetime) -> bool:
    """Tell whether somebody else holds the lease at ``now``."""
    return Lease.objects.filter(name=name, until__gte=now).exclude(holder=holder).exists()


def beat(name: str, *, now: datetime, note: str = "") -> None:
    """Write a sign of life; called at the end of the work it stands for."""
    Heartbeat.objects.update_or_create(name=name, defaults={"at": now, "note": note[:200]})
