"""A container's health check: one part's last sign of life, in time or not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from competitions.services.leases import beat

pytestmark = pytest.mark.django_db


def test_a_part_that_works_is_healthy(capsys):
    beat("feed", now=timezone.now())

    call_command("arena_health", "feed")

    assert capsys.readouterr().out == "feed gave a sign of life 0 s ago\n"


def test_beat_is_judged_by_the_clock_that_it_rings():
    beat("clock", now=timezone.now())

    call_command("arena_health", "beat")

    with pytest.raises(CommandError, match="feed has never given a sign of life"):
        call_command("arena_health", "feed")


def test_a_silent_part_is_not_healthy():
    beat("sweeper", now=timezone.now() - timedelta(seconds=40))

    with pytest.raises(
        CommandError, match="sweeper gave its last sign of life 40 s ago, wanted one in 30 s"
    ):
        call_command("arena_health", "sweeper")
    call_command("arena_health", "sweeper", "--seconds", "60")
