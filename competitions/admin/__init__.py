"""What can be set up and looked at in the admin."""

from __future__ import annotations

from competitions.admin import access, competitions, records, roster, trials, users

__all__ = ["access", "competitions", "records", "roster", "trials", "users"]
