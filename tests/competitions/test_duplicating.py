"""A season once more: the same rules and roster, a new draft."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from competitions.models import AuditEvent, Competition
from competitions.models.competitions import CompetitionStatus
from competitions.services import control
from competitions.services.duplicating import duplicate_season
from competitions.services.errors import InvalidWish
from competitions.services.proposing import propose
from tests.builders import baselines, make_season, make_synthetic_feed
from tests.competitions.played import make_draft, play

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def duplicate(competition, name="Again", now=NOW) -> Competition:
    return duplicate_season(competition, name=name, actor="mara", now=now)


def test_a_played_season_becomes_a_draft_with_the_same_terms():
    played = play(rounds=1, max_leverage=7, description="A replay.", pace_seconds="1.5")

    made = Competition.objects.get(pk=duplicate(played).pk)

    assert (made.status, made.slug, made.name) == (CompetitionStatus.DRAFT, "again", "Again")
    assert (made.book, made.contract, made.started_at, made.round_count) == (None, "", None, 0)
    assert made.description == "A replay."
    assert f"{made.pace_seconds}" == "1.5"
    rows = [
        list(
            season.participants.order_by("ordinal").values_list("ordinal", "slug", "name", "agent")
        )
        for season in (made, played)
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 3
    assert made.participants.exclude(account=None).count() == 0
    proposal = propose(made, now=NOW)
    assert proposal.problems == ()
    assert proposal.changed == 0
    assert proposal.beside == "the season it was duplicated from, Small season"
    # A replay of the same time under the same rules is the same contract.
    assert proposal.agreed == played.contract_hash


@pytest.mark.parametrize("status", CompetitionStatus.values)
def test_it_works_from_any_state(status):
    draft = make_draft()
    Competition.objects.update(status=status)
    draft.refresh_from_db()

    assert duplicate(draft).status == CompetitionStatus.DRAFT


def test_times_that_have_passed_on_the_wall_clock_are_left_out():
    draft = make_season(
        "wall",
        make_synthetic_feed(),
        baselines("cash"),
        clock="WALL",
        fill_rule="arrival",
        starts_at=NOW - timedelta(hours=1),
        ends_at=NOW + timedelta(hours=1),
    )

    soon, late = duplicate(draft), duplicate(draft, now=NOW + timedelta(hours=2))

    assert (soon.starts_at, soon.ends_at) == (None, NOW + timedelta(hours=1))
    assert (late.starts_at, late.ends_at) == (None, None)


def test_addresses_are_free_and_the_act_is_on_record():
    draft = make_draft()

    first, second = duplicate(draft), duplicate(draft)

    assert (first.slug, second.slug) == ("again", "again-2")
    acts = AuditEvent.objects.order_by("seq").values_list("actor", "action", "subject", "detail")
    assert list(acts) == [
        ("mara", "duplicated", "again", {"of": "small"}),
        ("mara", "duplicated", "again-2", {"of": "small"}),
    ]


@pytest.mark.parametrize("name", ["", "   ", "x" * 121])
def test_a_name_is_wanted(name):
    draft = make_draft()

    with pytest.raises(InvalidWish, match="1 to 120 characters"):
        duplicate(draft, name=name)

    assert Competition.objects.count() == 1


def test_the_other_one_is_left_alone():
    played = play(rounds=1)
    before = Competition.objects.values().get()

    control.start_competition(duplicate(played), actor="mara", now=NOW)

    assert Competition.objects.values().get(pk=played.pk) == before
