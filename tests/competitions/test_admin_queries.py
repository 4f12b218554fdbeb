"""Pages of the admin ask the database as often for many rows as for few."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from competitions.models import Competition, Participant
from competitions.services.access import make_api_key
from tests.builders import baselines, make_season, make_synthetic_feed, make_user
from tests.competitions.played import play

pytestmark = pytest.mark.django_db

MODELS = (
    "competition",
    "participant",
    "round",
    "turn",
    "leg",
    "gap",
    "event",
    "auditevent",
    "lease",
    "heartbeat",
    "apikey",
)
MOST = 14


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(get_user_model().objects.create_superuser("root", "", "x"))
    return client


def count(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def make_rows(label: str) -> None:
    """Make some of everything that the lists show."""
    season = play(label, rounds=1)
    season.gaps.create(
        from_at=timezone.now(), to_at=timezone.now(), missed_slots=1, reason="a test"
    )
    make_api_key(
        label, owner=make_user(label, "operator"), scopes=["READ"], actor="x", now=timezone.now()
    )


def test_lists(root):
    make_rows("first")
    # What a process asks once, such as the types of content, is not the list's.
    for model in MODELS:
        count(root, f"/admin/competitions/{model}/")
    few = {model: count(root, f"/admin/competitions/{model}/") for model in MODELS}
    for number in range(10):
        make_rows(f"more-{number}")

    many = {model: count(root, f"/admin/competitions/{model}/") for model in MODELS}

    assert many == few
    assert max(many.values()) <= MOST


def entered(slug: str, size: int, **fields) -> Competition:
    """Return a draft with that many participants, each with an owner."""
    (agent,) = baselines("cash")
    season = make_season(slug, make_synthetic_feed(), [], **fields)
    owner = make_user(f"owner-of-{slug}")
    Participant.objects.bulk_create(
        Participant(
            competition=season,
            ordinal=place,
            slug=f"p{place}",
            name=f"P{place}",
            agent=agent,
            owner=owner,
        )
        for place in range(1, size + 1)
    )
    return season


@pytest.mark.parametrize("is_started", [False, True])
def test_the_page_of_a_competition(root, is_started):
    small, large = entered("small", 5), entered("large", 50)
    if is_started:
        Competition.objects.update(started_at=timezone.now(), status="STOPPED")

    def page(season):
        return f"/admin/competitions/competition/{season.pk}/change/"

    count(root, page(small))
    assert count(root, page(large)) == count(root, page(small)) <= 25
    body = root.get(page(large)).content.decode()
    assert body.count("cash") >= 50


def test_the_page_that_shows_a_contract(root):
    def page(season):
        return f"/admin/competitions/competition/act/start/?season={season.pk}"

    small, large = entered("small", 5), entered("large", 50)

    count(root, page(small))
    assert count(root, page(large)) == count(root, page(small)) <= 30
