"""What is shown before a start, and that nothing else is started."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from competitions.domain.agreement import Change
from competitions.models import AuditEvent, Competition
from competitions.models.competitions import CompetitionStatus
from competitions.services import control
from competitions.services.errors import ContractChanged
from competitions.services.proposing import propose
from tests.builders import baselines, make_season, make_synthetic_feed, store_market
from tests.competitions.played import make_draft, play

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def wall_draft(slug="wall", **fields) -> Competition:
    """Return a draft on a synthetic market on the wall clock, to start at the next slot."""
    chosen = {"clock": "WALL", "fill_rule": "arrival", "starts_at": None, **fields}
    return make_season(slug, make_synthetic_feed(), baselines("cash"), **chosen)


def differing(proposal):
    return {line.name for line in proposal.lines if line.change != Change.SAME}


def test_the_first_season_is_shown_beside_the_defaults():
    proposal = propose(wall_draft(interval_seconds=60), now=NOW)

    assert proposal.problems == ()
    assert proposal.beside == "the arena's defaults"
    new = {"BTCUSDT", "ETHUSDT", "SOLUSDT", "Cash"}
    # What make_season chooses and what was chosen here; the defaults are 15 minutes, 60 candles, no end.
    chosen = {"A round every", "Candles of each", "Rounds"}
    # A form offers both; a draft that is made by program has neither.
    chosen |= {"Positions are watched", "Orders and exits rest in the book"}
    assert differing(proposal) == {*new, *chosen}


def test_what_a_form_offers_is_no_difference_to_the_defaults():
    proposal = propose(wall_draft(acts_between_rounds=True, resting_orders=True), now=NOW)

    assert not differing(proposal) & {
        "Positions are watched",
        "Orders and exits rest in the book",
        "Margin tiers, BTCUSDT",
    }


def test_a_later_season_is_shown_beside_the_last_one_with_its_feed():
    play(rounds=1, name="First")
    later = make_draft("later", max_leverage=5)

    proposal = propose(later, now=NOW)

    assert proposal.beside == "the last season that started with this feed, First"
    assert differing(proposal) == {"Leverage"}


def test_problems_are_told_beside_the_terms():
    draft = wall_draft(deadline_seconds=301)

    proposal = propose(draft, now=NOW)

    assert not proposal.can_start
    assert (
        "the deadline must not be longer than the interval (300 s), was 301 s" in proposal.problems
    )
    assert proposal.lines


def test_a_season_of_which_no_contract_can_be_drawn_has_problems_and_no_lines():
    draft = wall_draft(timeframes=[])

    proposal = propose(draft, now=NOW)

    assert (proposal.lines, proposal.agreed, proposal.can_start) == ((), "", False)
    assert proposal.problems


def test_a_replay_of_a_time_that_nothing_is_stored_of_is_a_problem():
    draft = make_draft(starts_at=NOW, ends_at=None)

    (problem,) = propose(draft, now=NOW).problems

    assert "does not fit" in problem


def test_a_replay_of_candles_longer_than_the_asked_ones_is_a_problem():
    feed = store_market(120, symbols=("BTCUSDT",))
    feed.source = "empty"
    feed.save()
    draft = make_season("empty", feed, baselines("cash"), symbols=("BTCUSDT",), starts_at=None)

    assert "has no BTCUSDT" in propose(draft, now=NOW).problems[0]


def test_what_was_agreed_to_is_started_though_time_has_passed():
    draft = wall_draft()
    agreed = propose(draft, now=NOW).agreed
    later = NOW + timedelta(minutes=7)

    started = control.start_competition(draft, actor="mara", now=later, agreed=agreed)

    assert started.status == CompetitionStatus.RUNNING
    assert started.starts_at >= later


@pytest.mark.parametrize(
    "changes", [{"max_leverage": 9}, {"initial_capital": 1}, {"max_rounds": 7}, {"seed": 2}]
)
def test_nothing_is_started_when_a_term_was_changed_meanwhile(changes):
    draft = wall_draft()
    agreed = propose(draft, now=NOW).agreed
    Competition.objects.update(**changes)

    with pytest.raises(ContractChanged, match="another contract now"):
        control.start_competition(draft, actor="mara", now=NOW, agreed=agreed)

    assert Competition.objects.get().status == CompetitionStatus.DRAFT
    assert not AuditEvent.objects.exists()


def test_nothing_is_started_when_somebody_joined_meanwhile():
    draft = wall_draft()
    agreed = propose(draft, now=NOW).agreed
    (trend,) = baselines("trend")
    draft.participants.create(ordinal=2, slug="trend", name="Trend", agent=trend)

    with pytest.raises(ContractChanged):
        control.start_competition(draft, actor="mara", now=NOW, agreed=agreed)


def test_nothing_is_started_late_that_was_agreed_to_for_a_fixed_time():
    draft = wall_draft(starts_at=NOW + timedelta(minutes=1))
    agreed = propose(draft, now=NOW).agreed

    # Its time has passed: it would begin at another slot than the one that was confirmed.
    with pytest.raises(ContractChanged):
        control.start_competition(
            draft, actor="mara", now=NOW + timedelta(minutes=2), agreed=agreed
        )

    late = NOW + timedelta(minutes=2)
    control.start_competition(draft, actor="mara", now=late, agreed=propose(draft, now=late).agreed)


def test_the_hash_agreed_to_is_that_of_the_contract_where_the_start_is_fixed():
    draft = make_draft()
    agreed = propose(draft, now=NOW).agreed

    started = control.start_competition(draft, actor="mara", now=NOW, agreed=agreed)

    assert started.contract_hash == agreed


def test_a_schedule_is_agreed_to_as_well():
    draft = wall_draft(starts_at=NOW + timedelta(hours=1))
    agreed = propose(draft, now=NOW).agreed
    Competition.objects.update(seed=2)

    with pytest.raises(ContractChanged):
        control.schedule_competition(draft, actor="mara", now=NOW, agreed=agreed)

    agreed = propose(Competition.objects.get(), now=NOW).agreed
    scheduled = control.schedule_competition(draft, actor="mara", now=NOW, agreed=agreed)
    assert scheduled.status == CompetitionStatus.SCHEDULED


def test_proposing_writes_nothing():
    draft = make_draft()

    propose(draft, now=NOW)

    assert not AuditEvent.objects.exists()
    assert Competition.objects.get().contract == ""
