"""The audit chain: who did what, each entry sealing the one before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import transaction

from competitions.models import AuditEvent, Lease
from marketdata.domain.canonical import canonical_json, sha256_text

HEAD = "audit-head"


def seal(previous_hash: str, content: dict[str, Any]) -> str:
    """Return the hash of one entry: sha256 of the hash before it and the entry's canonical JSON."""
    return sha256_text(previous_hash + canonical_json(content))


def _content(
    seq: int, at: datetime, actor: str, action: str, subject: str, detail: dict[str, Any]
) -> dict[str, Any]:
    return {
        "seq": seq,
        "at": at,
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": detail,
    }


@transaction.atomic
def record_act(
    action: str, subject: str, *, actor: str, now: datetime, **detail: str
) -> AuditEvent:
    """Append one entry; the head is locked until the surrounding transaction ends, so the chain never forks."""
    Lease.objects.get_or_create(name=HEAD)
    Lease.objects.select_for_update().get(name=HEAD)
    last = AuditEvent.objects.order_by("-seq").first()
    seq = last.seq + 1 if last else 1
    previous = last.hash if last else ""
    content = _content(seq, now, actor, action, subject, detail)
    return AuditEvent.objects.create(
        seq=seq,
        at=now,
        actor=actor,
        action=action,
        subject=subject,
        detail=detail,
        previous_hash=previous,
        hash=seal(previous, content),
    )


def broken_links() -> Iterator[str]:
    """Yield a sentence for each audit entry that does not fit the chain; nothing when it is whole."""
    previous, expected = "", 1
    for entry in AuditEvent.objects.order_by("seq").iterator():
        content = _content(
            entry.seq, entry.at, entry.actor, entry.action, entry.subject, entry.detail
        )
        if entry.seq != expected:
            yield f"audit entry {expected} is missing, found {entry.seq}"
        if entry.previous_hash != previous:
            yield f"audit entry {entry.seq} does not follow the one before it"
        if entry.hash != seal(entry.previous_hash, content):
            yield f"audit entry {entry.seq} was changed: its hash is {entry.hash[:12]}, its content says otherwise"
        previous, expected = entry.hash, entry.seq + 1
