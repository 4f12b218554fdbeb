"""Keys of providers: stored in the admin or found in the environment, used where they are sent and shown nowhere."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from agents.models import Completion, Provider
from agents.models.agents import ProviderKind
from agents.providers import api_key_for, key_in_use
from agents.services import key_hint
from marketdata.models import Blob
from marketdata.secrets import Sealed, Secret
from tests.builders import Model, make_model
from tests.competitions.played import play
from tests.fakes.season_server import SeasonServer

pytestmark = pytest.mark.django_db

FERNET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_FERNET = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
KEY = "sk-canary-0123456789"
ADD = "/admin/agents/provider/add/"
NOT_SET = b"not set, SOME_API_KEY is empty"


@pytest.fixture(autouse=True)
def _encryption_key(settings):
    settings.ARENA_ENCRYPTION_KEYS = [FERNET]


def make_provider(key=None, **fields):
    defaults = {
        "slug": "mine",
        "name": "Mine",
        "kind": ProviderKind.OPENAI_COMPATIBLE,
        "base_url": "https://api.example.org/v1",
        "key_variable": "SOME_API_KEY",
    }
    return Provider.objects.create(**{**defaults, **fields}, key=Secret(key) if key else None)


def form(**changes):
    """Return a filled-in form that is right, but for ``changes``."""
    return {
        "slug": "mine",
        "name": "Mine",
        "kind": "OPENAI_COMPATIBLE",
        "base_url": "https://api.example.org/v1",
        "key_variable": "SOME_API_KEY",
        "new_key": "",
        "capabilities": "{}",
        "max_concurrency": "8",
        "is_enabled": "on",
        **changes,
    }


def page_of(provider):
    return reverse("admin:agents_provider_change", args=[provider.pk])


# --- which one is used --------------------------------------------------------------------------


def test_a_stored_key_goes_before_the_variable(monkeypatch):
    provider = make_provider(KEY)
    monkeypatch.setenv("SOME_API_KEY", "sk-from-the-variable")

    assert api_key_for(Provider.objects.get()) == KEY
    assert key_in_use(provider).origin == "stored"

    provider.key = None
    assert api_key_for(provider) == "sk-from-the-variable"
    assert key_in_use(provider).origin == "SOME_API_KEY"


def test_a_stored_key_is_enough_without_a_variable():
    assert api_key_for(make_provider(KEY, key_variable="")) == KEY


def test_a_stored_key_that_does_not_open_is_missing_though_the_variable_is_set(
    monkeypatch, settings, caplog
):
    provider = make_provider(KEY)
    monkeypatch.setenv("SOME_API_KEY", "sk-from-the-variable")
    settings.ARENA_ENCRYPTION_KEYS = [OTHER_FERNET]

    assert api_key_for(provider) is None
    assert key_in_use(provider).is_missing
    assert key_hint(provider) == (
        "enter Mine's key again in the admin to let Mine's models in: the stored one cannot be opened"
    )
    assert "stored key not usable provider=mine" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_a_stored_key_that_the_answer_repeats_is_in_no_record(protocol):
    with SeasonServer() as server:
        agent = make_model(Model("parrot", "says-a", protocol), server.url)
        agent.provider.key = Secret(KEY)
        agent.provider.save()
        server.say = f"your key is {KEY}"
        play(rounds=1, roster=[agent])

    texts = [blob.raw().decode() for blob in Blob.objects.all()]
    assert Completion.objects.get().status == "OK"
    # Only the key that calls carry is taken out, so it was this one.
    assert "your key is [key]" in texts
    assert not [text for text in texts if KEY in text]


# --- the page -----------------------------------------------------------------------------------


def test_a_key_that_is_entered_is_stored_encrypted_and_never_shown_again(admin_client):
    answer = admin_client.post(ADD, form(new_key=f" {KEY} "), follow=True)
    provider = Provider.objects.get()
    pages = [
        answer,
        admin_client.get(page_of(provider)),
        admin_client.get("/admin/agents/provider/"),
    ]

    assert api_key_for(provider) == KEY
    assert not [page for page in pages if KEY.encode() in page.content]
    assert not [page for page in pages if provider.key.token.encode() in page.content]
    assert b"set, ends in 6789" in pages[1].content
    assert b'type="password" name="new_key" autocomplete="off"' in pages[1].content


def test_what_was_entered_is_not_shown_beside_another_mistake(admin_client):
    page = admin_client.post(ADD, form(new_key=KEY, base_url="ftp://example.org"))

    assert page.status_code == 200
    assert KEY.encode() not in page.content
    assert not Provider.objects.exists()


def test_an_empty_field_keeps_the_key_and_the_box_removes_it(admin_client):
    provider = make_provider(KEY)

    admin_client.post(page_of(provider), form(name="Renamed"))
    provider.refresh_from_db()
    assert (provider.name, api_key_for(provider)) == ("Renamed", KEY)

    admin_client.post(page_of(provider), form(remove_key="on"))
    provider.refresh_from_db()
    assert provider.key is None
    assert NOT_SET in admin_client.get(page_of(provider)).content


def test_the_page_tells_which_key_is_in_use(admin_client, monkeypatch, settings):
    provider = make_provider()
    assert NOT_SET in admin_client.get(page_of(provider)).content

    monkeypatch.setenv("SOME_API_KEY", "sk-variable-3f2a")
    assert b"from SOME_API_KEY, ends in 3f2a" in admin_client.get(page_of(provider)).content

    provider.key = Secret("short-key")
    provider.save()
    page = admin_client.get(page_of(provider)).content
    assert b">set<" in page
    assert b"-key<" not in page

    settings.ARENA_ENCRYPTION_KEYS = [OTHER_FERNET]
    assert b"stored, but not usable: " in admin_client.get(page_of(provider)).content


def test_the_log_names_the_field_and_not_the_value(admin_client):
    provider = make_provider()

    admin_client.post(page_of(provider), form(new_key=KEY, max_concurrency="128"))
    admin_client.post(page_of(provider), form(remove_key="on", max_concurrency="128"))

    assert [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")] == [
        "Changed Key.",
        "Changed Remove the stored key.",
    ]


def test_without_an_encryption_key_the_field_refuses_and_tells_how_to_set_one(
    admin_client, settings
):
    settings.ARENA_ENCRYPTION_KEYS = []

    page = admin_client.post(ADD, form(new_key=KEY)).content.decode()

    assert "ARENA_ENCRYPTION_KEY is not set" in page
    assert "make one with python3 -c" in page
    assert not Provider.objects.exists()
    assert admin_client.post(ADD, form()).status_code == 302


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"new_key": "short"}, "a key has at least 8 characters, this one had 5"),
        ({"new_key": "sk-with a blank"}, "character 8 is none"),
        ({"new_key": "sk-ümlaut-0123"}, "character 4 is none"),
        ({"new_key": KEY, "remove_key": "on"}, "wanted one of both"),
        ({"new_key": KEY, "kind": "BASELINE"}, "a BASELINE provider asks no model"),
        ({"key_variable": "SECRET_KEY"}, "SECRET_KEY belongs to the arena"),
        ({"key_variable": "ARENA_ENCRYPTION_KEY"}, "ARENA_ENCRYPTION_KEY belongs to the arena"),
        ({"key_variable": "BINANCE_LIVE_API_SECRET"}, "belongs to the arena"),
        ({"base_url": "https://user:pw-canary@example.org"}, "must hold no user or password"),
        ({"base_url": "example.org/v1"}, "must start with https:// or http://"),
        ({"base_url": "https:///v1"}, "must name a host"),
        ({"base_url": "https://example.org/v1?key=1"}, "without ? or #"),
        ({"base_url": "https://example.org:port"}, "must be an address such as"),
        ({"capabilities": '{"seed": maybe}'}, "not JSON at line 1, column 10: Expecting value"),
        ({"capabilities": '{"seed": true,\n "top_p" 1}'}, "not JSON at line 2, column 10"),
        ({"capabilities": "[1]"}, "must be a JSON object, was list"),
        ({"capabilities": '{"sed": true}'}, "&#x27;sed&#x27; is no known entry; known: effort"),
        ({"capabilities": '{"seed": 1}'}, "seed must be true or false, was 1"),
        ({"capabilities": '{"effort": ["huge"]}'}, "or a list of none, minimal, low"),
        ({"capabilities": '{"token_limit": "n"}'}, "&quot;max_completion_tokens&quot;, was"),
        ({"max_concurrency": "0"}, "greater than or equal to 1"),
    ],
)
def test_mistakes_are_told_where_they_are_made(admin_client, changes, words):
    page = admin_client.post(ADD, form(**changes))

    assert page.status_code == 200
    assert words in page.content.decode()
    assert b"pw-canary" not in page.content.replace(b'value="https://user:pw-canary', b"")
    assert not Provider.objects.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"seed": false, "effort": ["low", "high"]}',
        '{"effort": true, "structured_output": "object", "token_limit": "max_completion_tokens"}',
    ],
)
def test_right_capabilities_are_taken(admin_client, text):
    assert admin_client.post(ADD, form(capabilities=text)).status_code == 302


def test_a_stored_key_is_not_sent_to_another_address(admin_client):
    provider = make_provider(KEY)
    elsewhere = form(base_url="https://evil.example.org/v1")

    page = admin_client.post(page_of(provider), elsewhere)
    provider.refresh_from_db()
    assert b"the stored key was entered for another address" in page.content
    assert provider.base_url == "https://api.example.org/v1"

    answer = admin_client.post(page_of(provider), {**elsewhere, "new_key": "sk-another-01234"})
    provider.refresh_from_db()
    assert answer.status_code == 302
    assert api_key_for(provider) == "sk-another-01234"


@pytest.mark.parametrize("lookup", ["key__startswith", "key", "key__regex", "key__isnull"])
def test_lists_are_not_filtered_by_keys(admin_client, lookup):
    make_provider(KEY)

    assert admin_client.get("/admin/agents/provider/", {lookup: "g"}).status_code == 400
    assert admin_client.get("/admin/agents/agent/", {f"provider__{lookup}": "g"}).status_code == 400


def test_a_sealed_key_of_another_row_is_told_on_the_page(admin_client):
    mine, other = make_provider(KEY), make_provider(KEY, slug="other")
    Provider.objects.filter(pk=mine.pk).update(key=Sealed(other.key.token))

    assert b"was sealed for another place" in admin_client.get(page_of(mine)).content
