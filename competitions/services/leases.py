"""Leases and heartbeats: who is at work, told by rows that any process can read."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta
from pathlib import Path

from django.db.models import F, Q

from competitions.models import Heartbeat, Lease


def holder_name(role: str) -> str:
    """Return a name for this process in ``role``."""
    return f"{role}@{_machine()}:{os.getpid()}"


def _machine() -> str:
    """Return where this process's number means something: the host and, where there are such, its space of numbers."""
    try:
        space = f"/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        space = ""
    return f"{socket.gethostname()[:60]}{space}"


def is_gone(holder: str) -> bool:
    """Tell whether a holder was a process of this machine that lives no more; False when that cannot be known."""
    where, _, number = holder.rpartition(":")
    if os.name != "posix" or not number.isdigit() or where.partition("@")[2] != _machine():
        return False
    try:
        # Signal 0 asks without sending.
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def take_lease(name: str, holder: str, *, seconds: float, now: datetime) -> bool:
    """Take or renew a lease by conditional update; False when another holds it. One whose process died is free at once."""
    held, _ = Lease.objects.get_or_create(name=name)
    free = Q(until__isnull=True) | Q(until__lt=now) | Q(holder=holder)
    if is_gone(held.holder):
        free |= Q(holder=held.holder)
    taken = Lease.objects.filter(free, name=name).update(
        holder=holder, until=now + timedelta(seconds=seconds), fence=F("fence") + 1
    )
    return taken == 1


def release_lease(name: str, holder: str) -> None:
    """Give a lease back; nothing happens when another holds it."""
    Lease.objects.filter(name=name, holder=holder).update(until=None, holder="")


def held_by_other(name: str, holder: str, *, now: datetime) -> bool:
    """Tell whether somebody else, who is alive as far as one knows, holds the lease at ``now``."""
    lease = Lease.objects.filter(name=name, until__gte=now).exclude(holder=holder).first()
    return lease is not None and not is_gone(lease.holder)


def beat(name: str, *, now: datetime, note: str = "") -> None:
    """Write a sign of life; called at the end of the work it stands for."""
    Heartbeat.objects.update_or_create(name=name, defaults={"at": now, "note": note[:200]})


def signs_of_life(*, now: datetime, seconds: float) -> list[str]:
    """Return a sentence for each part that was heard of in the last ``seconds``, and for each lease that somebody holds."""
    beats = Heartbeat.objects.filter(at__gt=now - timedelta(seconds=seconds)).order_by("name")
    leases = Lease.objects.filter(until__gte=now).exclude(holder="").order_by("name")
    return [
        *(f"{row.name} was heard of {(now - row.at).total_seconds():.0f} s ago" for row in beats),
        *(f"{row.holder} holds {row.name}" for row in leases if not is_gone(row.holder)),
    ]
