"""What needs somebody: the first thing that the admin's front page tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Count, Exists, F, OuterRef, Q
from django.urls import reverse

from agents.models import Agent, PromptTemplate, Provider
from agents.providers import api_key_for
from competitions.models import ApiKey, Competition, SeasonCheck, Turn
from competitions.models.competitions import CompetitionStatus
from competitions.models.roles import Role
from competitions.models.rounds import TurnOutcome, TurnState
from competitions.selectors.operations import BAD, OK, WARN, tiles_of
from competitions.selectors.readiness import unready_seasons
from competitions.selectors.seasons import LIVE_STATES
from competitions.templatetags.arena_format import duration, long_stamp
from marketdata.models import Feed, FeedHealth, Instrument
from marketdata.models.feeds import FeedKind
from trading.models import Position
from trading.models.books import BookState, Venue

NOTE = "note"
LENGTH = 20
NAMED = 5
SOON = timedelta(hours=24)
OVERDUE = timedelta(minutes=1)
KEY_ENDS_SOON = timedelta(days=14)
STALE_AFTER = timedelta(minutes=15)
UNCHECKED_AFTER = timedelta(minutes=30)
# A participant is told of when of its last rounds, at least so many turns, this share failed.
LAST_ROUNDS, LEAST_TURNS, FAILING_SHARE = 10, 3, 0.5
FAILURES = (TurnOutcome.ERROR, TurnOutcome.TIMEOUT, TurnOutcome.INVALID)
OVER = (CompetitionStatus.FINISHED, CompetitionStatus.STOPPED, CompetitionStatus.FAILED)


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing to look at, and where it is mended: ``url`` is empty where no page mends it.

    ``is_for_administrators`` says that operators can do nothing about it.
    """

    state: str
    what: str
    detail: str
    url: str = ""
    link: str = ""
    is_for_administrators: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step from an empty database to a season."""

    name: str
    says: str
    is_done: bool
    url: str


@dataclass(frozen=True, slots=True)
class Attention:
    """The front page: what needs somebody, worst first; ``steps`` until a first season has been set up."""

    concerns: tuple[Concern, ...]
    steps: tuple[Step, ...]


def attention(*, now: datetime) -> Attention:
    """Return what needs somebody now; a constant number of queries, and nothing is asked outside."""
    found = [
        *_parts(now=now),
        *_left_open(),
        *_disagreeing(),
        *_unchecked(now=now),
        *_paused(),
        *_unready(),
        *_scheduled(now=now),
        *_stale_feeds(now=now),
        *_missing_keys(),
        *_failing(),
        *_ending_keys(now=now),
        *_without_role(),
        *_encryption(),
    ]
    order = (BAD, WARN, NOTE)
    return Attention(tuple(sorted(found, key=lambda concern: order.index(concern.state))), _steps())


def _page(row: Competition) -> str:
    return reverse("admin:competitions_competition_change", args=[row.pk])


def _parts(*, now: datetime) -> Iterator[Concern]:
    for tile in tiles_of(now=now):
        if tile.state != OK:
            told = f"{tile.value} · {tile.note}"
            yield Concern(
                tile.state, f"{tile.name}: {tile.word.lower()}", told, reverse("ops"), "Console"
            )


def _left_open() -> Iterator[Concern]:
    """Tell of ended seasons whose positions are somebody's business: the book was halted, or the venue is a real one."""
    unsettled = Q(book__state=BookState.HALTED) | ~Q(venue=Venue.PAPER)
    held = Exists(Position.objects.open().filter(account__book=OuterRef("book")))
    for row in Competition.objects.filter(unsettled, held, status__in=OVER)[:LENGTH]:
        yield Concern(
            BAD,
            f"{row.name} is over and holds open positions",
            row.stop_reason or "its book was halted before all were closed",
            reverse("ops-act", args=[row.slug, "emergency-close"]),
            "Close them",
        )


def _disagreeing() -> Iterator[Concern]:
    """Tell of seasons whose latest check found them to disagree with their records."""
    rows = SeasonCheck.objects.filter(problems__gt=0).select_related("competition")
    for row in rows.order_by("failing_since")[:LENGTH]:
        more = f"; {row.problems} differences in all" if row.problems > 1 else ""
        yield Concern(
            BAD,
            f"{row.competition.name} disagrees with its records",
            f"{row.first_problem}{more}",
            _page(row.competition),
            "Look",
        )


def _unchecked(*, now: datetime) -> Iterator[Concern]:
    """Tell of running seasons that nobody has held against their records for long."""
    long_ago = now - UNCHECKED_AFTER
    lately = SeasonCheck.objects.filter(competition=OuterRef("pk"), checked_at__gte=long_ago)
    rows = Competition.objects.running().filter(~Exists(lately), started_at__lt=long_ago)
    for row in rows[:LENGTH]:
        told = (
            f"not held against its records for {duration(UNCHECKED_AFTER)}: is the checker at work?"
        )
        yield Concern(WARN, f"{row.name} is not checked", told, _page(row), "Look")


def _paused() -> Iterator[Concern]:
    for row in Competition.objects.filter(status=CompetitionStatus.PAUSED)[:LENGTH]:
        told = f"after round {row.round_count}; no round is played until it is resumed"
        yield Concern(WARN, f"{row.name} is paused", told, _page(row), "Resume or stop")


def _unready() -> Iterator[Concern]:
    for row, problems in unready_seasons(limit=LENGTH):
        is_due = row.status == CompetitionStatus.SCHEDULED
        yield Concern(
            BAD if is_due else WARN,
            f"{row.name} cannot start",
            "; ".join(problems),
            _page(row),
            "Mend it",
            is_for_administrators=True,
        )


def _scheduled(*, now: datetime) -> Iterator[Concern]:
    rows = Competition.objects.filter(
        status=CompetitionStatus.SCHEDULED, starts_at__lte=now + SOON
    ).order_by("starts_at")
    for row in rows[:LENGTH]:
        assert row.starts_at is not None
        if row.starts_at < now - OVERDUE:
            told = f"its time was {long_stamp(row.starts_at)} UTC; the clock has not started it"
            yield Concern(BAD, f"{row.name} should have started", told, _page(row), "Look")
        else:
            left = duration(max(row.starts_at - now, timedelta(0)))
            told = f"in {left}, at {long_stamp(row.starts_at)} UTC"
            yield Concern(NOTE, f"{row.name} starts soon", told, _page(row), "Look")


def _stale_feeds(*, now: datetime) -> Iterator[Concern]:
    """Tell of feeds of the outside world that a running season needs and that were silent without failing."""
    rows = FeedHealth.objects.select_related("feed").filter(
        feed__kind=FeedKind.BINANCE,
        feed__competitions__status=CompetitionStatus.RUNNING,
        last_ok_at__lt=now - STALE_AFTER,
    )
    for row in rows.distinct():
        assert row.last_ok_at is not None
        told = f"last good answer {duration(now - row.last_ok_at)} ago"
        url = reverse("admin:marketdata_feed_change", args=[row.feed_id])
        yield Concern(WARN, f"The feed {row.feed.name} is stale", told, url, "Feed")


def _missing_keys() -> Iterator[Concern]:
    used = Provider.objects.filter(agents__participants__competition__status__in=LIVE_STATES)
    for row in used.distinct().order_by("slug"):
        if api_key_for(row) is None:
            yield Concern(
                WARN,
                f"{row.name} has no key",
                "its models skip every round of a season that runs",
                reverse("admin:agents_provider_change", args=[row.pk]),
                "Set the key",
                is_for_administrators=True,
            )


def _failing() -> Iterator[Concern]:
    lately = F("round__competition__round_count") - LAST_ROUNDS
    rows = (
        Turn.objects.filter(
            state=TurnState.SETTLED,
            round__competition__status__in=LIVE_STATES,
            round__number__gt=lately,
        )
        .order_by()
        .values(
            "participant__name",
            "participant__slug",
            "round__competition__name",
            "round__competition__slug",
        )
        .annotate(
            total=Count("pk"),
            failed=Count("pk", filter=Q(outcome__in=FAILURES)),
        )
        .filter(total__gte=LEAST_TURNS, failed__gte=F("total") * FAILING_SHARE)
        .order_by("-failed", "participant__slug")[:LENGTH]
    )
    for row in rows:
        season = row["round__competition__slug"]
        yield Concern(
            WARN,
            f"{row['participant__name']} in {row['round__competition__name']} fails",
            f"{row['failed']} of its last {row['total']} turns had an error, no answer in time or no decision",
            reverse("participant", args=[season, row["participant__slug"]]),
            "Its turns",
        )


def _ending_keys(*, now: datetime) -> Iterator[Concern]:
    rows = ApiKey.objects.filter(
        revoked_at=None, expires_at__gt=now, expires_at__lte=now + KEY_ENDS_SOON
    )
    for row in rows.select_related("owner").order_by("expires_at")[:LENGTH]:
        assert row.expires_at is not None
        yield Concern(
            NOTE,
            f"The API key {row.name} ends in {duration(row.expires_at - now)}",
            f"of {row.owner.get_username()}; make another one before its programs stop",
            reverse("admin:competitions_apikey_changelist"),
            "Keys",
            is_for_administrators=True,
        )


def _without_role() -> Iterator[Concern]:
    rows = User.objects.filter(is_active=True, is_superuser=False).exclude(
        groups__name__in=Role.values
    )
    # Who plays needs no role to do so.
    names = list(
        rows.filter(participants=None)
        .order_by("username")
        .values_list("username", flat=True)[: NAMED + 1]
    )
    if names:
        told = ", ".join(names[:NAMED]) + (" and more" if len(names) > NAMED else "")
        url = f"{reverse('admin:auth_user_changelist')}?role=none"
        yield Concern(
            NOTE, "Accounts without a role", told, url, "Give one", is_for_administrators=True
        )


def _encryption() -> Iterator[Concern]:
    if not settings.ARENA_ENCRYPTION_KEYS:
        yield Concern(
            WARN,
            "No encryption key is set",
            "secrets cannot be stored: set ARENA_ENCRYPTION_KEY in .env and start again (make run writes one)",
            is_for_administrators=True,
        )


def _steps() -> tuple[Step, ...]:
    """Return the way to a first season; empty once all of it has been done."""
    asked = (
        (
            "agents_provider",
            "A provider",
            "whose models are asked; baselines need none",
            Provider.objects.exists(),
        ),
        (
            "agents_prompttemplate",
            "A prompt",
            "the texts that models are sent",
            PromptTemplate.objects.exists(),
        ),
        ("agents_agent", "An agent", "a model with its prompt", Agent.objects.exists()),
        (
            "marketdata_instrument",
            "Instruments",
            "what may be traded",
            Instrument.objects.enabled().exists(),
        ),
        ("marketdata_feed", "A feed", "where prices come from", Feed.objects.exists()),
        (
            "competitions_competition",
            "A competition",
            "rules and participants; its page then has the button that starts it",
            Competition.objects.exists(),
        ),
    )
    steps = tuple(
        Step(name, says, is_done, reverse(f"admin:{model}_{'changelist' if is_done else 'add'}"))
        for model, name, says, is_done in asked
    )
    return () if all(step.is_done for step in steps) else steps
