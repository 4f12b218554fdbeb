"""Each system check speaks when its setting is wrong, and only then."""

from __future__ import annotations

import pytest

from arena_site import checks

GOOD_FERNET = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def ids(messages) -> list[str]:
    return [message.id for message in messages]


@pytest.fixture
def on_postgres(monkeypatch):
    monkeypatch.setattr(checks, "_is_sqlite", lambda: False)


@pytest.fixture
def on_sqlite(monkeypatch):
    monkeypatch.setattr(checks, "_is_sqlite", lambda: True)


def test_key_of_the_moment_is_fine_in_one_process(settings, on_sqlite):
    settings.SECRET_KEY_IS_SET = False

    assert ids(checks.check_secret_key(None)) == []
    assert ids(checks.check_deployed_secret_key(None)) == ["arena.E001"]


def test_several_processes_need_a_secret_key(settings, on_postgres):
    settings.SECRET_KEY_IS_SET = False

    assert ids(checks.check_secret_key(None)) == ["arena.E001"]
    assert ids(checks.check_deployed_secret_key(None)) == []


def test_short_secret_key_is_refused_without_being_shown(settings):
    settings.SECRET_KEY_IS_SET = True
    settings.SECRET_KEY = "hunter2"

    (message,) = checks.check_secret_key(None)

    assert message.id == "arena.E002"
    assert message.msg == "SECRET_KEY must have at least 32 characters, had 7."


def test_debug_is_refused_on_a_public_host(settings):
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["localhost", "arena.example.org"]
    assert ids(checks.check_debug(None)) == ["arena.E003"]

    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
    assert ids(checks.check_debug(None)) == []


@pytest.mark.parametrize("key", ["short", GOOD_FERNET[:-2], "ü" * 44])
def test_malformed_encryption_key_is_refused(settings, key):
    settings.ARENA_ENCRYPTION_KEYS = [GOOD_FERNET, key]

    (message,) = checks.check_encryption_key(None)

    assert message.id == "arena.E004"
    assert message.msg.startswith("ARENA_ENCRYPTION_KEY part 2 is not a Fernet key")
    assert key not in message.msg


def test_several_encryption_keys_are_fine(settings):
    settings.ARENA_ENCRYPTION_KEYS = [GOOD_FERNET, GOOD_FERNET]

    assert ids(checks.check_encryption_key(None)) == []
    assert ids(checks.check_encryption_key_is_set(None)) == []


def test_deployment_needs_an_encryption_key(settings):
    settings.ARENA_ENCRYPTION_KEYS = []

    assert ids(checks.check_encryption_key_is_set(None)) == ["arena.E008"]


def test_sqlite_needs_a_directory(settings, on_sqlite, tmp_path):
    settings.VAR_DIR = tmp_path
    assert ids(checks.check_var_dir(None)) == []

    settings.VAR_DIR = tmp_path / "none"
    assert ids(checks.check_var_dir(None)) == ["arena.E005"]


def test_postgres_needs_no_directory(settings, on_postgres, tmp_path):
    settings.VAR_DIR = tmp_path / "none"

    assert ids(checks.check_var_dir(None)) == []


def test_real_money_is_refused_on_sqlite(settings, on_sqlite):
    settings.ARENA_ALLOW_LIVE = True

    assert ids(checks.check_live_needs_postgres(None)) == ["arena.E006"]


def test_real_money_is_refused_with_debug(settings, on_postgres):
    settings.ARENA_ALLOW_LIVE = True
    settings.DEBUG = True

    assert ids(checks.check_live_needs_postgres(None)) == ["arena.E007"]


def test_paper_is_fine_on_sqlite(settings, on_sqlite):
    settings.ARENA_ALLOW_LIVE = False

    assert ids(checks.check_live_needs_postgres(None)) == []


def test_allowed_hosts_may_not_be_everything(settings):
    settings.ALLOWED_HOSTS = ["*"]

    assert ids(checks.check_allowed_hosts(None)) == ["arena.E009"]


def test_static_root_must_have_been_filled(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path
    assert ids(checks.check_static_files(None)) == ["arena.E010"]

    (tmp_path / "staticfiles.json").write_text("{}")
    assert ids(checks.check_static_files(None)) == []


def test_no_static_root_means_the_source_tree(settings):
    settings.STATIC_ROOT = None

    assert ids(checks.check_static_files(None)) == []
