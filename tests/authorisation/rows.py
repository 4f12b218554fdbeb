"""Rows of the models that a played season has none of, so that the admin's pages of each model can be asked for."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from axes.models import AccessAttempt, AccessLog
from django.utils import timezone

from agents.models import Agent
from competitions.models import Competition, Gap, Trial
from competitions.services.control import pause_competition
from competitions.services.leases import beat
from competitions.services.trials import request_agent_trial
from marketdata.models import FundingRate, Instrument, MarginTier


def make_missing_rows(season: Competition) -> None:
    """Make a margin tier, a funding rate, a gap, a sign of life, an operator's act, a login and a wrong one."""
    now = timezone.now()
    MarginTier.objects.create(
        instrument=Instrument.objects.order_by("pk")[0],
        version="2026-01-01",
        maintenance_rate=Decimal("0.004"),
        max_leverage=125,
    )
    FundingRate.objects.create(source="walk", symbol="BTCUSDT", at=now, rate=Decimal("0.0001"))
    Gap.objects.create(
        competition=season,
        from_at=now,
        to_at=now + timedelta(minutes=5),
        missed_slots=1,
        reason="test",
    )
    make_trial(season)
    beat("clock", now=now)
    AccessLog.objects.create(username="viewer")
    AccessAttempt.objects.create(username="nobody", failures_since_start=1)
    pause_competition(season, actor="test", reason="", after_round=False, now=now)


def make_trial(season: Competition) -> Trial:
    """Make a trial of an agent at a season, which waits to be run."""
    agent = Agent.objects.baselines().order_by("pk")[0]
    return request_agent_trial(agent, season, symbols=[], actor="test", now=timezone.now())
