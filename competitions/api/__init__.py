"""The JSON door: one router per noun, all reads bounded, all writes by services."""

from __future__ import annotations

from competitions.api import competitions, control, internal, overview, participants

competitions_router = competitions.router
control_router = control.router
internal_router = internal.router
overview_router = overview.router
participants_router = participants.router

__all__ = [
    "competitions_router",
    "control_router",
    "internal_router",
    "overview_router",
    "participants_router",
]
