"""Tables of competitions, their rounds and what viewers and auditors are told."""

from __future__ import annotations

from competitions.models.access import ApiKey, ApiReply
from competitions.models.competitions import Competition
from competitions.models.events import AuditEvent, Event, Heartbeat, Lease, SeasonCheck
from competitions.models.participants import Participant
from competitions.models.rounds import Gap, Leg, Round, Turn
from competitions.models.trials import Trial

__all__ = [
    "ApiKey",
    "ApiReply",
    "AuditEvent",
    "Competition",
    "Event",
    "Gap",
    "Heartbeat",
    "Lease",
    "Leg",
    "Participant",
    "Round",
    "SeasonCheck",
    "Trial",
    "Turn",
]
