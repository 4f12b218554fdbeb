"""Secrets at rest: what is stored, who can open it, and what shows it (nothing)."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import signal
import time

import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.core.exceptions import FieldError, ValidationError
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.forms.models import model_to_dict

from agents.models import Provider
from agents.models.agents import ProviderKind
from marketdata.secrets import Sealed, Secret, SecretError, open_sealed, seal
from marketdata.services import rotate_secrets, secret_fields
from tests.arenas import open_arena

# The bytes 0 to 31 and 32 to 63.
OLD = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
NEW = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
PLACE = "agents_provider.key:00000000-0000-0000-0000-000000000001"
VALUE = "sk-test-0123456789abcdef"
# PLACE, a line break and VALUE under OLD, at 2026-03-02 12:00 UTC, with the bytes 0 to 15 as initialisation vector.
VECTOR = (
    "gAAAAABppXvAAAECAwQFBgcICQoLDA0OD_nd5G6_5kz_mS9US7VcsnqICdvOxvLMcH5N-elQkSSxPoH0oTh0rEQaGin44k9Q"
    "4-XESbegtvaG9ehXjUPjETns_ruFmf5mc_ZfXmI7MrcH6BQi-ZKWwlWUmZKeaQN6GtMV9hBgHY8XvGUIKLMo6nsuhGDL9_Zd"
    "ZgHd8jDXyQXT"
)


@pytest.fixture(autouse=True)
def _keys(settings):
    settings.ARENA_ENCRYPTION_KEYS = [OLD]


def make_provider(slug="openai", key=VALUE):
    return Provider.objects.create(
        slug=slug,
        name=slug.title(),
        kind=ProviderKind.OPENAI_COMPATIBLE,
        key=Secret(key) if key else None,
    )


def opened(provider):
    return Provider._meta.get_field("key").open(provider)


def stored_text(provider):
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM agents_provider WHERE slug = %s", [provider.slug])
        return cursor.fetchone()[0]


# --- the box ------------------------------------------------------------------------------------


def test_a_known_ciphertext_opens():
    assert open_sealed(Sealed(VECTOR), place=PLACE).reveal() == VALUE


def test_what_is_sealed_is_a_fernet_token_that_begins_with_its_place():
    token = seal(Secret(VALUE), place=PLACE).token

    assert Fernet(OLD).decrypt(token).decode() == f"{PLACE}\n{VALUE}"


def test_the_first_key_seals_and_every_key_opens(settings):
    settings.ARENA_ENCRYPTION_KEYS = [NEW, OLD]

    assert open_sealed(Sealed(VECTOR), place=PLACE).reveal() == VALUE
    assert Fernet(NEW).decrypt(seal(Secret(VALUE), place=PLACE).token)


def test_another_place_is_refused_without_the_value():
    with pytest.raises(SecretError, match="was sealed for another place") as caught:
        open_sealed(Sealed(VECTOR), place=PLACE.replace("1", "2"))

    assert VALUE not in str(caught.value)


@pytest.mark.parametrize(
    "token",
    ["", "gAAAA", "not base64 at all!", "Schlüssel", VECTOR[:-4], VECTOR[:40] + "A" + VECTOR[41:]],
)
def test_a_broken_ciphertext_is_refused_with_what_is_wanted(token):
    with pytest.raises(SecretError, match="wanted the key it was stored under") as caught:
        open_sealed(Sealed(token), place=PLACE)

    assert token == "" or token not in str(caught.value)


def test_a_wrong_key_is_told_without_the_key(settings):
    settings.ARENA_ENCRYPTION_KEYS = [NEW]

    with pytest.raises(SecretError, match="cannot be opened with the key") as caught:
        open_sealed(Sealed(VECTOR), place=PLACE)

    assert NEW not in str(caught.value)
    assert caught.value.__cause__ is None


def test_without_a_key_the_message_tells_how_to_make_one(settings):
    settings.ARENA_ENCRYPTION_KEYS = []

    with pytest.raises(
        SecretError, match=r"ARENA_ENCRYPTION_KEY is not set.*make one with python3"
    ):
        seal(Secret(VALUE), place=PLACE)
    with pytest.raises(SecretError, match="ARENA_ENCRYPTION_KEY is not set"):
        open_sealed(Sealed(VECTOR), place=PLACE)


def test_a_malformed_key_is_told_by_its_position_and_length(settings):
    settings.ARENA_ENCRYPTION_KEYS = [OLD, "hunter2"]

    with pytest.raises(
        SecretError, match=r"part 2 is not a Fernet key: .* had 7 characters"
    ) as caught:
        seal(Secret(VALUE), place=PLACE)

    assert "hunter2" not in str(caught.value)


# --- the value ----------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [Secret(VALUE), Sealed(VECTOR)])
def test_a_secret_is_neither_printed_nor_pickled(held):
    shown = f"{held} {held!r} {held:>40} {[held]}"

    assert VALUE not in shown
    assert VECTOR not in shown
    assert copy.deepcopy(held) is held
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(held)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("sk-test-0123456789abcdef", "cdef"),
        ("twelve-chars", "hars"),
        ("eleven-char", ""),
        ("x", ""),
    ],
)
def test_four_characters_are_told_of_a_secret_that_is_long_enough(value, hint):
    assert Secret(value).hint == hint


def test_an_empty_secret_is_none():
    with pytest.raises(ValueError, match="must not be empty"):
        Secret("")


# --- the field ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_database_holds_ciphertext_bound_to_table_field_and_row():
    provider = make_provider()

    text = stored_text(provider)
    assert VALUE not in text
    assert Fernet(OLD).decrypt(text).decode() == f"agents_provider.key:{provider.uuid}\n{VALUE}"
    assert opened(Provider.objects.get()).reveal() == VALUE
    assert isinstance(provider.key, Sealed), "the clear value is not kept after saving"


@pytest.mark.django_db
def test_a_ciphertext_copied_into_another_row_does_not_open():
    mine, other = make_provider("mine"), make_provider("other", "sk-other-0123456789")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE agents_provider SET key = %s WHERE slug = %s", [stored_text(other), "mine"]
        )
    mine.refresh_from_db()

    with pytest.raises(SecretError, match=rf"{mine.uuid} was sealed for another place"):
        opened(mine)


@pytest.mark.django_db
def test_a_row_keeps_its_secret_when_it_is_renamed_and_loses_it_when_it_is_removed():
    provider = make_provider()

    provider.slug = "renamed"
    provider.save()
    assert opened(Provider.objects.get()).reveal() == VALUE

    provider.key = None
    provider.save()
    assert Provider.objects.get().key is None


@pytest.mark.django_db
def test_no_dictionary_serializer_or_representation_shows_it():
    provider = make_provider()
    provider.key = Secret(VALUE)

    told = [
        repr(provider),
        str(provider.__dict__),
        str(model_to_dict(provider)),
        *(serializers.serialize(form, [provider]) for form in ("json", "python", "xml", "jsonl")),
    ]

    assert not [text for text in map(str, told) if VALUE in text or stored_text(provider) in text]
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(provider)


@pytest.mark.django_db
def test_text_is_not_taken_for_a_secret():
    with pytest.raises(ValidationError, match="a Secret is wanted"):
        Provider(slug="x", name="X", kind=ProviderKind.BOT, key=VALUE).full_clean()
    with pytest.raises(TypeError, match="on a row and save the row"), transaction.atomic():
        Provider.objects.create(slug="x", name="X", kind=ProviderKind.BOT, key=VALUE)
    make_provider()
    with pytest.raises(TypeError, match="on a row and save the row"):
        Provider.objects.update(key=Secret(VALUE))


@pytest.mark.django_db
@pytest.mark.parametrize("lookup", ["exact", "startswith", "contains", "regex", "gt", "in"])
def test_queries_ask_only_whether_there_is_one(lookup):
    make_provider()
    make_provider("empty", "")

    assert Provider.objects.filter(key__isnull=False).count() == 1
    with pytest.raises(FieldError):
        Provider.objects.filter(**{f"key__{lookup}": "gAAAA"}).count()


# --- renewing -----------------------------------------------------------------------------------


def rotate(*arguments):
    out = io.StringIO()
    try:
        call_command("rotate_keys", *arguments, stdout=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


@pytest.mark.django_db
def test_renewing_puts_all_under_the_new_key_and_the_old_one_opens_nothing(settings):
    providers = [make_provider("a"), make_provider("b"), make_provider("none", "")]
    settings.ARENA_ENCRYPTION_KEYS = [NEW, OLD]
    newer = make_provider("c")

    assert rotate("--check") == (
        "1 already current, 2 under an older key\n",
        "2 stored secrets are under an older key",
    )
    assert rotate() == ("1 already current, 2 renewed\n", "")
    assert rotate("--check") == ("3 already current, 0 under an older key\n", "")

    settings.ARENA_ENCRYPTION_KEYS = [NEW]
    for provider in (*providers[:2], newer):
        provider.refresh_from_db()
        assert opened(provider).reveal() == VALUE
    settings.ARENA_ENCRYPTION_KEYS = [OLD]
    with pytest.raises(SecretError):
        opened(newer)
    with pytest.raises(SecretError):
        opened(providers[0])


@pytest.mark.django_db
def test_what_no_key_opens_is_named_and_does_not_stop_the_others(settings):
    lost = make_provider("a-lost")
    Provider.objects.filter(pk=lost.pk).update(key=Sealed("gAAAAbroken"))
    settings.ARENA_ENCRYPTION_KEYS = [NEW, OLD]
    make_provider("new")
    settings.ARENA_ENCRYPTION_KEYS = [OLD]
    old = make_provider("old")
    settings.ARENA_ENCRYPTION_KEYS = [NEW, OLD]

    out, error = rotate("--json")

    told = json.loads(out)
    assert error == "1 stored secrets cannot be opened"
    assert (told["check"], told["current"], told["renewed"]) == (False, 1, 1)
    assert [
        f"agents_provider.key:{lost.uuid} cannot be opened" in line for line in told["failures"]
    ] == [True]
    settings.ARENA_ENCRYPTION_KEYS = [NEW]
    old.refresh_from_db()
    assert opened(old).reveal() == VALUE


@pytest.mark.django_db
def test_looking_writes_nothing(settings):
    provider = make_provider()
    before = stored_text(provider)
    settings.ARENA_ENCRYPTION_KEYS = [NEW, OLD]

    assert rotate_secrets(only_look=True).renewed == 1

    assert stored_text(provider) == before


@pytest.mark.django_db
def test_without_a_key_nothing_is_renewed(settings):
    settings.ARENA_ENCRYPTION_KEYS = []

    assert "ARENA_ENCRYPTION_KEY is not set" in rotate()[1]


def test_every_encrypted_field_is_bound_to_a_unique_field_that_is_not_edited():
    found = list(secret_fields())

    assert found
    for model, field in found:
        bound = model._meta.get_field(field.bound_to)
        assert bound.unique
        assert not bound.editable
        assert bound.has_default()


ROWS = 1000
MAKE_ROWS = f"""
import django; django.setup()
from django.db import connection, transaction
from agents.models import Provider
from marketdata.secrets import Secret
Provider.objects.bulk_create(
    Provider(slug=f"p{{place}}", name="P", kind="BOT", key=Secret(f"sk-{{place:020}}")) for place in range({ROWS})
)
connection.cursor().execute("CREATE TABLE before AS SELECT id, key FROM agents_provider")
"""
RENEWED = (
    "SELECT count(*) FROM agents_provider JOIN before ON before.id = agents_provider.id "
    "WHERE before.key <> agents_provider.key"
)


def test_a_renewal_that_was_killed_is_finished_by_the_next(tmp_path):
    with open_arena(tmp_path, os.environ.get("ARENA_TEST_POSTGRES_URL")) as arena:
        arena.environment["ARENA_ENCRYPTION_KEY"] = OLD
        arena.run("-c", MAKE_ROWS)
        arena.environment["ARENA_ENCRYPTION_KEY"] = f"{NEW},{OLD}"

        process = arena.spawn("manage.py", "rotate_keys", output=tmp_path / "rotate.log")
        while arena.count(RENEWED) == 0 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        renewed = arena.count(RENEWED)
        done = json.loads(arena.manage("rotate_keys", "--json"))

        assert 0 < renewed < ROWS
        assert done == {
            "check": False,
            "current": renewed,
            "renewed": ROWS - renewed,
            "failures": [],
        }
        arena.environment["ARENA_ENCRYPTION_KEY"] = NEW
        arena.manage("rotate_keys", "--check")
