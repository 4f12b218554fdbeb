"""Verifying a season: everything recomputed from its records, and compared with what is stored."""

from __future__ import annotations

from competitions.services.verifying.report import VerifyReport
from competitions.services.verifying.season import verify_season

__all__ = ["VerifyReport", "verify_season"]
