"""What can be set up and looked at in the admin."""

from __future__ import annotations

from competitions.admin import access, seasons, trials

__all__ = ["access", "seasons", "trials"]
