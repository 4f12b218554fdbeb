"""What the admin does to seasons: asked about first, told where it cannot be."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from competitions.models import AuditEvent, Competition
from competitions.models.competitions import CompetitionStatus
from competitions.services import control
from tests.builders import baselines, make_season, make_synthetic_feed, make_user
from tests.competitions.played import make_draft, play
from tests.competitions.test_pages_season import text_of
from trading.models import Position

pytestmark = pytest.mark.django_db

LIST = "/admin/competitions/competition/"
ACT = "/admin/competitions/competition/act/"


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(get_user_model().objects.create_superuser("root", "", "x"))
    return client


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_user("otto", "operator"))
    return client


def page_of(act: str, *rows) -> str:
    return f"{ACT}{act}/?" + "&".join(f"season={row.pk}" for row in rows)


def choose(client, action, *rows, follow=True):
    """Choose an action in the list of seasons."""
    chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return client.post(LIST, chosen, follow=follow)


def press(client, page, **typed):
    """Press the button of a page that asks: send what its form holds."""
    sent = {"season": []}
    for item in page.context["asked"]:
        if item.can_be_done:
            sent["season"].append(str(item.row.pk))
        if item.proposal:
            sent[f"agreed-{item.row.pk}"] = item.proposal.agreed
            sent[f"shown-{item.row.pk}"] = item.proposal.shown
    return client.post(page.request["PATH_INFO"], {**sent, **typed}, follow=True)


def status_of(row) -> str:
    return Competition.objects.get(pk=row.pk).status


def test_start_shows_the_contract_and_starts_on_the_press(root):
    draft = make_draft()

    page = choose(root, "start", draft)
    assert status_of(draft) == CompetitionStatus.DRAFT
    assert 'data-testid="contract"' in page.content.decode()
    assert "Beside the arena" in text_of(page)

    done = press(root, page)
    assert status_of(draft) == CompetitionStatus.RUNNING
    assert "Small season was started." in text_of(done)
    assert AuditEvent.objects.get().actor == "root"
    assert "small was started" in LogEntry.objects.get().change_message


def test_a_contract_that_was_changed_meanwhile_is_not_started(root):
    draft = make_draft()
    page = choose(root, "start", draft)
    Competition.objects.update(initial_capital=5000)

    again = press(root, page)

    assert status_of(draft) == CompetitionStatus.DRAFT
    assert "Nothing was started." in text_of(again)
    (item,) = again.context["asked"]
    changed = [line for line in item.proposal.lines if line.change != "same"]
    assert [(line.name, line.after) for line in changed] == [("Start capital", "5000 each")]
    press(root, again)
    assert status_of(draft) == CompetitionStatus.RUNNING


def test_several_seasons_start_but_for_the_one_that_cannot(root):
    good, other, empty = make_draft("good"), make_draft("other"), make_draft("empty")
    empty.participants.all().delete()

    page = choose(root, "start", good, other, empty)
    assert "at least one participant, found none" in text_of(page)
    press(root, page)

    assert [status_of(row) for row in (good, other, empty)] == ["RUNNING", "RUNNING", "DRAFT"]


def test_the_clock_may_start_a_season_at_its_time(root):
    now = timezone.now()
    draft = make_draft()

    page = choose(root, "schedule", draft)
    refused = press(root, page)
    assert "a start in the future, on the wall clock, is wanted" in text_of(refused)

    at = now + timezone.timedelta(hours=1)
    wall = make_season(
        "wall",
        make_synthetic_feed(),
        baselines("cash"),
        clock="WALL",
        fill_rule="arrival",
        starts_at=at,
    )
    press(root, choose(root, "schedule", wall))
    assert status_of(wall) == CompetitionStatus.SCHEDULED


def test_pause_and_resume_act_at_once_from_the_list(root):
    season = play(rounds=1)

    paused = choose(root, "pause", season)
    assert "Small season was paused." in text_of(paused)
    assert status_of(season) == CompetitionStatus.PAUSED

    choose(root, "resume", season)
    assert status_of(season) == CompetitionStatus.RUNNING
    choose(root, "pause_after_round", season)
    # No round is open, so there is nothing to wait for.
    assert status_of(season) == CompetitionStatus.PAUSED


def test_stop_asks_first_and_keeps_the_reason(root):
    season = play(rounds=1)
    count = Position.objects.open().count()

    page = choose(root, "stop", season)
    assert "Positions are not closed" in text_of(page)
    assert f"{count} open position" in text_of(page)
    assert status_of(season) == CompetitionStatus.RUNNING

    press(root, page, reason="enough")
    season.refresh_from_db()
    assert (season.status, season.stop_reason) == (CompetitionStatus.STOPPED, "enough")


@pytest.mark.parametrize(
    ("act", "wanted"),
    [
        ("start", "DRAFT or SCHEDULED is wanted"),
        ("schedule", "DRAFT is wanted"),
        ("pause", "RUNNING is wanted"),
        ("pause-after-round", "RUNNING is wanted"),
        ("resume", "PAUSED is wanted"),
        ("stop", "PAUSED or RUNNING is wanted"),
    ],
)
def test_an_act_that_the_state_does_not_allow_says_why(root, act, wanted):
    season = play(rounds=1)
    control.stop_competition(season, actor="x", reason="", now=timezone.now())
    before = Competition.objects.values().get()

    page = root.get(page_of(act, season))
    assert f"it is STOPPED, {wanted}" in text_of(page)
    assert 'type="submit" class=' not in page.content.decode()

    done = root.post(f"{ACT}{act}/", {"season": str(season.pk)}, follow=True)
    assert wanted in text_of(done) or "Nothing was started" in text_of(done)
    assert Competition.objects.values().get() == before


def test_a_duplicate_opens_as_a_new_draft(root):
    season = play(rounds=1)

    page = choose(root, "duplicate", season)
    done = press(root, page, **{f"name-{season.pk}": "Winter"})

    made = Competition.objects.get(slug="winter")
    assert done.redirect_chain[-1][0] == f"/admin/competitions/competition/{made.pk}/change/"
    assert (made.status, made.participants.count()) == (CompetitionStatus.DRAFT, 3)
    empty = root.post(f"{ACT}duplicate/", {"season": str(season.pk)}, follow=True)
    assert "was not duplicated: the name must have 1 to 120 characters" in text_of(empty)


def test_emergency_close_goes_to_the_console_for_one_and_nowhere_for_several(root):
    one, two = play("one", rounds=1), play("two", rounds=1)

    there = choose(root, "emergency_close", one, follow=False)
    several = choose(root, "emergency_close", one, two)

    assert there["location"] == "/ops/one/emergency-close/"
    assert "Nothing was closed" in text_of(several)
    assert "manage.py emergency_close --all" in text_of(several)
    assert [status_of(row) for row in (one, two)] == ["RUNNING", "RUNNING"]


def test_the_page_of_a_season_offers_what_its_state_allows(root):
    draft, season = make_draft("draft"), play("played", rounds=1)

    def offers(row):
        page = root.get(f"{LIST}{row.pk}/change/")
        titles = [act.title for act, _ in page.context["acts"]]
        return titles, page.context["can_close"]

    assert offers(draft) == (["Start", "Let the clock start it", "Duplicate"], False)
    assert offers(season) == (
        ["Pause now", "Pause after the round", "Stop for good", "Duplicate"],
        True,
    )


def test_a_started_season_shows_its_contract_in_words(root):
    season = play(rounds=1)

    body = text_of(root.get(f"{LIST}{season.pk}/change/"))

    assert season.contract_hash in body
    assert "at most 10x" in body
    assert "the open of the bar that starts at the slot" in body


def test_an_operator_controls_seasons_and_makes_none(operator):
    draft = make_draft()

    press(operator, choose(operator, "start", draft))
    assert status_of(draft) == CompetitionStatus.RUNNING
    page = operator.get(f"{LIST}{draft.pk}/change/")
    assert "Duplicate" not in [act.title for act, _ in page.context["acts"]]
    assert operator.get(page_of("duplicate", draft)).status_code == 403
    assert operator.post(f"{ACT}duplicate/", {"season": str(draft.pk)}).status_code == 403
    choose(operator, "duplicate", draft)
    assert Competition.objects.count() == 1


@pytest.mark.parametrize("role", [None, "viewer"])
@pytest.mark.parametrize("act", ["start", "pause", "stop", "resume", "duplicate", "schedule"])
def test_who_has_no_right_to_it_does_nothing(client, act, role):
    client.force_login(make_user("vera", role))
    season = make_draft()

    for answer in (
        client.get(page_of(act, season)),
        client.post(f"{ACT}{act}/", {"season": str(season.pk)}),
        choose(client, act, season, follow=False),
    ):
        assert (answer.status_code, answer["location"].split("?")[0]) == (302, "/admin/login/")
    assert Competition.objects.count() == 1
    assert status_of(season) == CompetitionStatus.DRAFT


@pytest.mark.parametrize(
    "query", ["", "?season=", "?season=junk", "?season=00000000-0000-0000-0000-000000000000"]
)
def test_a_season_that_there_is_none_of(root, query):
    make_draft()

    assert root.get(f"{ACT}start/{query}").status_code == 404


def test_an_act_that_there_is_none_of(root):
    assert root.get(page_of("explode", make_draft())).status_code == 404


def test_strangers_are_sent_to_the_login(client):
    assert client.get(page_of("start", make_draft())).status_code == 302
