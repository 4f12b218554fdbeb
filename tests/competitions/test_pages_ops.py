"""The operator's console: who may act, what an act does, what is shown."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from competitions.models import AuditEvent, Competition, Heartbeat
from competitions.models.competitions import CompetitionStatus
from competitions.services import control
from tests.builders import make_user
from tests.competitions.played import make_draft, play
from tests.competitions.test_pages_season import text_of
from tests.logins import prove
from trading.models import Book, Position

pytestmark = pytest.mark.django_db

ACTS = ("start", "pause", "pause-after-round", "resume", "stop", "emergency-close")


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_user("mara", "operator"))
    prove(client)
    return client


def status_of(slug: str) -> str:
    return Competition.objects.get(slug=slug).status


@pytest.mark.parametrize("act", ACTS)
def test_strangers_are_sent_to_the_login(client, act):
    play(rounds=1)

    for response in (client.get("/ops/"), client.post(f"/ops/small/{act}/")):
        assert response.status_code == 302
        assert response.headers["location"].startswith("/login/?next=/ops/")
    assert status_of("small") == CompetitionStatus.RUNNING


@pytest.mark.parametrize("act", ACTS)
def test_an_account_without_rights_is_refused(client, act):
    client.force_login(get_user_model().objects.create_user("lena"))
    play(rounds=1)

    assert client.get("/ops/").status_code == 403
    assert client.post(f"/ops/small/{act}/").status_code == 403
    assert status_of("small") == CompetitionStatus.RUNNING
    assert "/ops/" not in client.get("/").content.decode()


@pytest.mark.parametrize("act", ACTS)
def test_an_act_without_the_forms_token_is_refused(act):
    play(rounds=1)
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user("mara", "operator"))

    assert client.post(f"/ops/small/{act}/").status_code == 403
    assert status_of("small") == CompetitionStatus.RUNNING


def test_reading_an_acts_address_does_nothing(staff):
    play(rounds=1)

    for act in ACTS:
        staff.get(f"/ops/small/{act}/")

    assert status_of("small") == CompetitionStatus.RUNNING


def test_an_unknown_act_is_not_found(staff):
    play(rounds=1)

    assert staff.post("/ops/small/explode/").status_code == 404
    assert staff.post("/ops/nobody/pause/").status_code == 404


START = "/ops/small/start/"


def carried(page) -> dict[str, str]:
    """Return what the page's button sends."""
    proposal = page.context["proposal"]
    return {"agreed": proposal.agreed, "shown": proposal.shown}


def test_a_start_shows_the_contract_first(staff):
    make_draft()

    page = staff.get(START)

    assert "The contract that will be frozen" in text_of(page)
    assert "Beside the arena&#x27;s defaults:" in text_of(page)
    assert page.context["proposal"].agreed in page.content.decode()
    assert status_of("small") == CompetitionStatus.DRAFT


def test_start_runs_a_draft_once(staff):
    make_draft()
    agreed = carried(staff.get(START))

    first = staff.post(START, agreed, follow=True)
    second = staff.post(START, agreed, follow=True)

    assert "Small season was started." in text_of(first)
    assert status_of("small") == CompetitionStatus.RUNNING
    assert 'role="alert"' in second.content.decode()
    assert AuditEvent.objects.filter(action="started").count() == 1


def test_nothing_is_started_that_was_not_shown(staff):
    make_draft()

    page = staff.post(START)

    assert page.status_code == 200
    assert "Nothing was started" not in text_of(page)
    assert status_of("small") == CompetitionStatus.DRAFT


def test_a_contract_that_was_changed_meanwhile_is_shown_again(staff):
    make_draft()
    agreed = carried(staff.get(START))
    Competition.objects.update(max_leverage=3)

    page = staff.post(START, agreed)

    assert status_of("small") == CompetitionStatus.DRAFT
    assert "Nothing was started." in text_of(page)
    changed = [line for line in page.context["proposal"].lines if line.change != "same"]
    assert [(line.name, line.before, line.after) for line in changed] == [
        ("Leverage", "at most 10x", "at most 3x")
    ]
    assert 'data-change="changed"' in page.content.decode()
    assert "Beside what you were shown before: 1 of" in text_of(page)

    staff.post(START, carried(page))
    assert status_of("small") == CompetitionStatus.RUNNING


@pytest.mark.parametrize("shown", ["", "{", "[1]", '[["a", "b", "c"]]', '[["a", "b", "c", "d"]]'])
def test_what_a_page_cannot_have_carried_is_taken_for_nothing(staff, shown):
    make_draft()

    page = staff.post(START, {"agreed": "x", "shown": shown})

    assert "Beside the arena&#x27;s defaults:" in text_of(page)
    assert status_of("small") == CompetitionStatus.DRAFT


def test_a_start_that_cannot_be_says_why(staff):
    draft = make_draft()
    draft.participants.all().delete()

    page = staff.get(START)

    assert "at least one participant, found none" in text_of(page)
    assert "Start under this contract" not in text_of(page)
    refused = staff.post(START, carried(page), follow=True)
    assert "at least one participant, found none" in text_of(refused)
    assert status_of("small") == CompetitionStatus.DRAFT


def test_pause_and_resume(staff):
    play(rounds=1)

    paused = staff.post("/ops/small/pause/", {"reason": "check"}, follow=True)
    assert status_of("small") == CompetitionStatus.PAUSED
    assert "Small season is paused." in text_of(paused)
    assert "by mara" in text_of(paused)

    staff.post("/ops/small/resume/")
    assert status_of("small") == CompetitionStatus.RUNNING
    assert list(AuditEvent.objects.order_by("-seq").values_list("actor", "action")[:2]) == [
        ("mara", "resumed"),
        ("mara", "paused"),
    ]


def test_stop_asks_first(staff):
    play(rounds=1)

    question = staff.get("/ops/small/stop/")
    assert "Stop Small season for good?" in text_of(question)

    staff.post("/ops/small/stop/", {"reason": "enough"})
    assert status_of("small") == CompetitionStatus.STOPPED
    assert Competition.objects.get(slug="small").stop_reason == "enough"


def test_emergency_close_lists_what_will_be_closed_and_then_closes_it(staff):
    play(rounds=1)
    count = Position.objects.open().count()
    assert count > 0

    question = text_of(staff.get("/ops/small/emergency-close/"))
    assert f"Close {count} position" in question
    assert Position.objects.open().count() == count

    report = staff.post("/ops/small/emergency-close/", {"reason": "drill"})

    assert Position.objects.open().count() == 0
    assert report.content.decode().count('data-testid="close-line"') == count
    assert "Nothing is open any more." in text_of(report)
    assert 'data-mode="simulated"' in report.content.decode()
    assert AuditEvent.objects.filter(action="emergency close", actor="mara").count() == 1


def test_emergency_close_of_a_draft_says_that_there_is_nothing(staff):
    make_draft()

    response = staff.post("/ops/small/emergency-close/", follow=True)

    assert "nothing to close" in text_of(response)


def test_a_close_that_would_be_refused_is_not_offered(staff):
    competition = play(rounds=1)
    control.stop_competition(competition, actor="mara", reason="", now=timezone.now())

    answer = text_of(staff.get("/ops/small/emergency-close/", follow=True))

    assert "nothing can be traded in it any more" in answer
    assert "and halt" not in answer


def test_an_ended_paper_season_needs_nobody_though_it_holds_positions(staff):
    competition = play(rounds=1)
    control.stop_competition(competition, actor="mara", reason="", now=timezone.now())

    assert Position.objects.open().exists()
    assert "Small season" not in text_of(staff.get("/ops/"))


def test_a_halted_season_with_open_positions_stays_in_sight(staff):
    competition = play(rounds=1)
    control.stop_competition(competition, actor="mara", reason="", now=timezone.now())
    Book.objects.update(state="HALTED")

    words = text_of(staff.get("/ops/"))

    assert "Over, with open positions" in words
    assert "Emergency close" in words


def test_the_console_asks_as_often_for_many_drafts_as_for_one(staff):
    make_draft("one")
    staff.get("/ops/")
    with CaptureQueriesContext(connection) as few:
        staff.get("/ops/")
    for number in range(5):
        make_draft(f"more-{number}")
    with CaptureQueriesContext(connection) as many:
        staff.get("/ops/")

    assert len(many) == len(few) <= 20


def test_health_tiles_turn_with_age(staff):
    now = timezone.now()
    Heartbeat.objects.create(name="clock", at=now)
    Heartbeat.objects.create(name="sweeper", at=now - timedelta(seconds=20))
    Heartbeat.objects.create(name="feed", at=now - timedelta(seconds=90))

    body = staff.get("/ops/").content.decode()

    states = {
        piece.split("<span>")[1].split("</span>")[0]: piece.split('"')[0]
        for piece in body.split('class="tile" data-h="')[1:]
    }
    assert states["Clock"] == "ok"
    assert states["Sweeper"] == "warn"
    assert states["Feeds"] == "bad"


def test_an_unheard_part_is_trouble_and_not_zero(staff):
    body = text_of(staff.get("/ops/"))

    assert "never heard of" in body
    assert "Clock: unknown." in body


def test_keys_are_told_as_set_or_not_and_never_shown(staff, monkeypatch):
    from agents.models import Agent
    from tests.builders import baselines

    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-very-secret")
    agents = [*baselines("cash"), Agent.objects.filter(provider__slug="anthropic").first()]
    make_draft(roster=agents)

    body = staff.get("/ops/").content.decode()

    assert "ANTHROPIC_API_KEY" in body
    assert "sk-ant" not in body


def test_a_stored_key_is_told_as_stored(staff, settings):
    from agents.models import Agent
    from marketdata.secrets import Secret
    from tests.builders import baselines

    settings.ARENA_ENCRYPTION_KEYS = ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]
    baselines("cash")
    agent = Agent.objects.filter(provider__slug="anthropic").first()
    agent.provider.key = Secret("sk-ant-very-secret")
    agent.provider.save()
    make_draft(roster=[agent])

    page = staff.get("/ops/")

    assert page.context["console"].keys == (("Anthropic", "stored", True),)
    assert "sk-ant" not in page.content.decode()


def test_the_console_is_never_kept_by_a_cache(staff):
    assert "no-store" in staff.get("/ops/").headers["cache-control"]
