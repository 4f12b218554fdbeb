"""The admin's front page tells what needs somebody, and says so when nothing does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, PromptTemplate, Provider
from competitions.models import ApiKey, Competition, Heartbeat, Turn
from competitions.models.competitions import CompetitionStatus
from competitions.selectors.attention import attention
from competitions.services import control
from competitions.services.access import make_api_key
from marketdata.models import Feed, FeedHealth
from tests.builders import baselines, make_season, make_synthetic_feed, make_user
from tests.competitions.played import make_draft, play
from tests.competitions.test_pages_season import text_of
from trading.models import Book

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture(autouse=True)
def _all_is_well(settings) -> None:
    """Let every part be alive and an encryption key be set."""
    settings.ARENA_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    for name in ("clock", "sweeper", "feed"):
        Heartbeat.objects.create(name=name, at=NOW)


def told(now=NOW) -> dict[str, str]:
    """Return what is told, with its state."""
    return {concern.what: concern.state for concern in attention(now=now).concerns}


def detail(what: str) -> str:
    return next(item.detail for item in attention(now=NOW).concerns if item.what == what)


def wall_season(slug="wall", **fields) -> Competition:
    chosen = {"clock": "WALL", "fill_rule": "arrival", "starts_at": None, **fields}
    return make_season(slug, make_synthetic_feed(), baselines("cash"), **chosen)


def test_nothing_needs_anybody():
    play(rounds=1)

    assert told() == {}


def test_a_draft_that_cannot_start_and_why():
    draft = make_draft(name="Autumn", fill_rule="arrival")
    Agent.objects.filter(slug="cash").update(is_enabled=False)
    draft.instruments.update(is_enabled=False)

    assert told() == {"Autumn cannot start": "warn"}
    words = detail("Autumn cannot start")
    assert "Cash uses the agent cash, which is disabled" in words
    assert "at least one enabled instrument" in words
    assert "arrival needs the wall clock" in words


def test_a_draft_without_participants():
    make_draft(roster=[])

    assert "at least one participant, found none" in detail("Small season cannot start")


def test_a_scheduled_season_that_cannot_start_is_worse():
    row = wall_season(starts_at=NOW + timedelta(hours=30))
    control.schedule_competition(row, actor="x", now=NOW)
    row.participants.all().delete()

    assert told() == {"Small season cannot start": "bad"}


def test_a_season_that_starts_soon_and_one_that_should_have():
    row = wall_season(starts_at=NOW + timedelta(hours=5))
    control.schedule_competition(row, actor="x", now=NOW)

    assert told() == {"Small season starts soon": "note"}
    # A part is silent by then, too.
    assert told(NOW + timedelta(hours=6))["Small season should have started"] == "bad"
    assert told(NOW - timedelta(days=2)) == {}


def test_a_paused_season():
    season = play(rounds=1)
    control.pause_competition(season, actor="x", reason="", after_round=False, now=NOW)

    assert told() == {"Small season is paused": "warn"}


def test_a_halted_season_with_open_positions():
    season = play(rounds=1)
    control.stop_competition(season, actor="x", reason="", now=NOW)
    assert told() == {}

    Book.objects.update(state="HALTED")
    assert told() == {"Small season is over and holds open positions": "bad"}
    control.emergency_close(season, actor="x", reason="", now=NOW)
    assert told() == {}


def test_a_part_that_is_silent():
    Heartbeat.objects.filter(name="clock").update(at=NOW - timedelta(minutes=2))
    Heartbeat.objects.filter(name="feed").delete()

    assert told() == {"Clock: silent": "bad", "Feeds: unknown": "bad"}


def test_a_feed_that_fails_and_one_that_is_stale():
    season = play(rounds=1)
    FeedHealth.objects.get_or_create(feed=season.feed)
    FeedHealth.objects.update(last_error="refused", last_error_at=NOW, last_ok_at=None)
    assert told() == {f"{season.feed.name}: failing": "bad"}

    silent = NOW - timedelta(minutes=16)
    FeedHealth.objects.update(last_error="", last_error_at=None, last_ok_at=silent)
    assert told() == {}
    Feed.objects.update(kind="BINANCE")
    assert told() == {f"The feed {season.feed.name} is stale": "warn"}
    Competition.objects.update(status=CompetitionStatus.FINISHED)
    assert told() == {}


def test_a_provider_without_a_key_that_a_running_season_uses(monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    season = play(rounds=1)
    assert told() == {}

    model = Agent.objects.filter(provider__slug="anthropic").first()
    season.participants.create(ordinal=9, slug="model", name="Model", agent=model)
    assert told() == {"Anthropic has no key": "warn"}
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    assert told() == {}


@pytest.mark.parametrize(("failed", "is_told"), [(1, False), (2, True), (3, True)])
def test_a_participant_whose_turns_fail(failed, is_told):
    season = play(rounds=3)
    turns = Turn.objects.filter(round__competition=season, participant__slug="random")
    for number, outcome in zip(range(1, failed + 1), ("ERROR", "TIMEOUT", "INVALID"), strict=False):
        turns.filter(round__number=number).update(outcome=outcome)

    wanted = {"Random in Small season fails": "warn"} if is_told else {}
    assert told() == wanted
    if is_told:
        assert f"{failed} of its last 3 turns" in detail("Random in Small season fails")


def test_failures_of_long_ago_are_forgotten():
    season = play(rounds=3)
    Turn.objects.filter(participant__slug="random").update(outcome="ERROR")
    Competition.objects.filter(pk=season.pk).update(round_count=13)

    assert told() == {}


def test_a_key_that_ends_soon():
    owner = make_user("mara", "operator")

    def make(name, days):
        at = NOW + timedelta(days=days)
        return make_api_key(name, owner=owner, scopes=["READ"], expires_at=at, actor="x", now=NOW)

    make("late", 15)
    row = make("export", 13).row
    make_api_key("forever", owner=owner, scopes=["READ"], actor="x", now=NOW)

    assert list(told().values()) == ["note"]
    assert next(iter(told())).startswith("The API key export ends in 13")
    ApiKey.objects.filter(pk=row.pk).update(revoked_at=NOW)
    assert told() == {}


def test_accounts_without_a_role():
    make_user("vera", "viewer")
    User.objects.create_superuser("root")
    make_user("gone", is_active=False)
    player = make_user("player")
    make_draft().participants.filter(slug="cash").update(owner=player)
    assert told() == {}

    make_user("nemo")
    assert (told(), detail("Accounts without a role")) == (
        {"Accounts without a role": "note"},
        "nemo",
    )


def test_a_missing_encryption_key(settings):
    settings.ARENA_ENCRYPTION_KEYS = []

    assert told() == {"No encryption key is set": "warn"}


def test_worst_comes_first(settings):
    settings.ARENA_ENCRYPTION_KEYS = []
    make_user("nemo")
    Heartbeat.objects.filter(name="clock").delete()

    assert list(told().values()) == ["bad", "warn", "note"]


def test_the_steps_to_a_first_season_are_ticked_off_and_end():
    # A migrated database holds nothing of these.
    names = [(step.name, step.is_done) for step in attention(now=NOW).steps]
    assert names == [
        ("A provider", False),
        ("A prompt", False),
        ("An agent", False),
        ("Instruments", False),
        ("A feed", False),
        ("A competition", False),
    ]

    provider = Provider.objects.create(slug="own", name="Own", kind="OPENAI_COMPATIBLE")
    PromptTemplate.objects.create(slug="own", system="Decide.", market="x", account="x")
    done = [step.name for step in attention(now=NOW).steps if step.is_done]
    assert done == ["A provider", "A prompt"]
    provider.delete()

    make_draft()
    assert attention(now=NOW).steps == ()


def test_queries_do_not_grow_with_seasons_and_participants():
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            attention(now=NOW)
        return len(queries)

    play("one", rounds=1)
    make_draft("draft-0", roster=[])
    few = count()
    for number in range(4):
        make_draft(f"draft-{number + 1}", roster=[])
        season = play(f"more-{number}", rounds=1, roster=baselines())
        control.pause_competition(season, actor="x", reason="", after_round=False, now=NOW)
        make_user(f"nemo-{number}")

    assert count() == few <= 22


# --- on the page ---------------------------------------------------------------------------------


def front_page(client: Client, role: str) -> str:
    client.force_login(make_user(f"some-{role}", role))
    return text_of(client.get("/admin/"))


def test_the_front_page_is_calm(client):
    play(rounds=1)
    Heartbeat.objects.update(at=timezone.now())

    assert "Nothing needs you." in front_page(client, "administrator")


def test_the_front_page_of_an_empty_arena_shows_the_way(client):
    page = front_page(client, "administrator")

    assert "The way to a first season" in page
    assert "Step 1 A provider" in " ".join(page.split())


def test_an_operator_is_told_what_operators_mend(client):
    season = play(rounds=1, name="Running")
    control.pause_competition(season, actor="x", reason="", after_round=False, now=NOW)
    make_draft("empty", roster=[], name="Empty")

    page = front_page(client, "operator")

    assert "Running is paused" in page
    assert "Empty cannot start" not in page
    assert "The way to a first season" not in page


def test_the_page_of_an_app_does_not_repeat_it(client):
    client.force_login(make_user("ada", "administrator"))

    assert "What needs attention" not in text_of(client.get("/admin/competitions/"))


def test_names_are_text_and_no_markup(client):
    make_draft("evil", roster=[], name="<script>alert(1)</script>")

    client.force_login(make_user("ada", "administrator"))
    assert "<script>alert" not in client.get("/admin/").content.decode()
