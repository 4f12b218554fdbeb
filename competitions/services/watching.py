"""Holding running seasons against their records, each about once a minute, and raising the alarm when one disagrees.

Two depths. The brief check looks at every standing invariant of the book, and recomputes from their rows the digests of the rounds that
were closed since the last one. The full check is :func:`verify_season`. A season is checked briefly every minute and in full every ten,
and never more often than so that a check takes a twentieth of the time between two.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from competitions.domain.contract import contract_hash
from competitions.domain.digests import round_digest
from competitions.models import Competition, Round, SeasonCheck
from competitions.models.competitions import CompetitionStatus
from competitions.models.events import EventKind
from competitions.services.audit import record_act
from competitions.services.checking import extra_problems, missing_rounds, order_problems
from competitions.services.control import SYSTEM, halt_competition
from competitions.services.events import record_events
from competitions.services.leases import holder_name, release_lease, take_lease
from competitions.services.records import round_record
from competitions.services.verifying import verify_season
from trading.models.books import Venue
from trading.selectors import check_invariants, one_view

logger = logging.getLogger(__name__)

BRIEF = timedelta(minutes=1)
FULL = timedelta(minutes=10)
# A check may take this part of the time until the next one.
SHARE = 20
# No further season is begun after this long in one go.
BUDGET_SECONDS = 20.0
LEASE, LEASE_SECONDS = "checker", 900


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and how long it took; ``rounds`` is the number of the last round looked at."""

    problems: tuple[str, ...]
    rounds: int
    is_full: bool
    seconds: float


def check_due_seasons(*, now: datetime) -> str:
    """Check the seasons whose time has come, the longest waiting first; return in words what was found.

    Of several callers one works, the others return at once. What is left when the time is used up waits for the next call.
    """
    holder = holder_name("checker")
    if not take_lease(LEASE, holder, seconds=LEASE_SECONDS, now=now):
        return "another one is at it"
    begun = time.monotonic()
    checked = failing = 0
    try:
        for competition in _due(now=now):
            if checked and time.monotonic() - begun > BUDGET_SECONDS:
                break
            checked += 1
            failing += bool(check_season(competition, now=timezone.now()).problems)
    finally:
        release_lease(LEASE, holder)
    return f"{checked} checked, {failing} disagree" if checked else "nothing was due"


def _due(*, now: datetime) -> list[Competition]:
    """Return running seasons, and those that failed: their alarm ends when they are mended."""
    found = Competition.objects.filter(
        Q(status=CompetitionStatus.RUNNING) | Q(check_state__problems__gt=0)
    )
    due = found.filter(Q(check_state=None) | Q(check_state__due_at__lte=now))
    return list(due.order_by(F("check_state__due_at").asc(nulls_first=True), "started_at"))


def check_season(competition: Competition, *, now: datetime) -> Finding:
    """Check one started season, keep the outcome, and raise or end its alarm.

    A season on paper that fails goes on, with an error among its events and on the operators' page. One that trades at a real venue is
    halted.
    """
    before = SeasonCheck.objects.filter(competition=competition).first()
    is_full = before is None or before.is_full or now >= before.full_due_at
    begun = time.monotonic()
    with one_view():
        fresh = Competition.objects.select_related("book").get(pk=competition.pk)
        closed = Round.objects.closed().filter(competition=fresh).order_by("-number")
        last = closed.values_list("number", flat=True).first() or 0
        if is_full and fresh.venue == Venue.PAPER:
            problems = tuple(verify_season(fresh).problems)
        else:
            # What a real venue filled cannot be filled again.
            problems = tuple(_brief_problems(fresh, since=before.rounds if before else 0))
    finding = Finding(problems, last, is_full, time.monotonic() - begun)
    _keep(competition, before, finding, now=now)
    return finding


def _brief_problems(competition: Competition, *, since: int) -> Iterator[str]:
    if contract_hash(competition.contract) != competition.contract_hash:
        yield f"season {competition.slug}: its contract does not hash to {competition.contract_hash}"
    yield from missing_rounds(competition)
    yield from extra_problems(competition)
    rounds = Round.objects.closed().filter(competition=competition, number__gt=since)
    for round_ in rounds.select_related("snapshot", "competition__book").order_by("number"):
        digest = round_digest(round_record(round_))
        if digest != round_.digest:
            yield f"round {round_.number}: digest stored {round_.digest[:16]}, its rows make {digest[:16]}"
        yield from order_problems(round_)
    yield from check_invariants(competition.opened_book)


def _keep(
    competition: Competition, before: SeasonCheck | None, finding: Finding, *, now: datetime
) -> None:
    failed = bool(finding.problems)
    was_failing = before is not None and before.problems > 0
    pause = timedelta(seconds=finding.seconds * SHARE)
    kept = before.full_due_at if before else now
    # A difference stays in view: rounds are looked at again until all agrees.
    rounds = (before.rounds if before else 0) if failed else finding.rounds
    with transaction.atomic():
        SeasonCheck.objects.update_or_create(
            competition=competition,
            defaults={
                "checked_at": now,
                "due_at": now + max(BRIEF, pause),
                "full_due_at": now + max(FULL, pause) if finding.is_full else kept,
                "rounds": rounds,
                "problems": len(finding.problems),
                "first_problem": finding.problems[0][:300] if failed else "",
                "is_full": failed and finding.is_full,
                "failing_since": (before.failing_since if was_failing and before else now)
                if failed
                else None,
            },
        )
        if failed and not was_failing:
            _raise_alarm(competition, finding, now=now)
        elif was_failing and not failed:
            record_act("check passed", competition.slug, actor=SYSTEM, now=now)
    if failed:
        _halt_if_real(competition, finding, now=now)


def _raise_alarm(competition: Competition, finding: Finding, *, now: datetime) -> None:
    first, count = finding.problems[0][:300], len(finding.problems)
    logger.error(
        "season disagrees with its records slug=%s count=%s first=%s",
        competition.slug,
        count,
        first,
    )
    told = {"reason": "the season disagrees with its records", "first": first, "count": count}
    record_events(competition, (EventKind.ERROR, told), now=now)
    record_act("check failed", competition.slug, actor=SYSTEM, now=now, first=first)


def _halt_if_real(competition: Competition, finding: Finding, *, now: datetime) -> None:
    """Halt a running season whose book trades at a real venue, as long as it fails: also one that was resumed meanwhile."""
    fresh = Competition.objects.get(pk=competition.pk)
    if fresh.venue != Venue.PAPER and fresh.status == CompetitionStatus.RUNNING:
        reason = f"its check failed: {finding.problems[0]}"
        halt_competition(fresh, reason=reason[:300], now=now)
