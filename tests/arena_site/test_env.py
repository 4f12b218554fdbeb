"""Wrong values are refused with the variable, what was found and what is wanted."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from arena_site import env


def refusal(call, *args, **kwargs) -> str:
    with pytest.raises(ImproperlyConfigured) as caught:
        call(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("Yes", True), (" on ", True), ("0", False), ("FALSE", False), ("", False)],
)
def test_flag_reads_words_for_yes_and_no(monkeypatch, value, expected):
    monkeypatch.setenv("DEBUG", value)

    assert env.flag("DEBUG") is expected


def test_flag_refuses_another_word(monkeypatch):
    monkeypatch.setenv("DEBUG", "maybe")

    assert refusal(env.flag, "DEBUG") == "DEBUG must be 1 or 0, was 'maybe'"


@pytest.mark.parametrize("value", ["0", "65536", "-1"])
def test_integer_refuses_what_is_out_of_range(monkeypatch, value):
    monkeypatch.setenv("PORT", value)

    message = refusal(env.integer, "PORT", 8000, minimum=1, maximum=65535)

    assert message == f"PORT must be a whole number from 1 to 65535, was {value}"


@pytest.mark.parametrize("value", ["eighty", "80.5", "8e3"])
def test_integer_refuses_what_is_no_whole_number(monkeypatch, value):
    monkeypatch.setenv("PORT", value)

    message = refusal(env.integer, "PORT", 8000, minimum=1, maximum=65535)

    assert message == f"PORT must be a whole number from 1 to 65535, was {value!r}"


def test_integer_falls_back_when_empty(monkeypatch):
    monkeypatch.setenv("PORT", "  ")

    assert env.integer("PORT", 8000, minimum=1, maximum=65535) == 8000


def test_choice_ignores_case_and_names_the_options(monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "warning")
    assert env.choice("LOG_LEVEL", "INFO", options=("INFO", "WARNING")) == "WARNING"

    monkeypatch.setenv("LOG_LEVEL", "loud")
    message = refusal(env.choice, "LOG_LEVEL", "INFO", options=("INFO", "WARNING"))
    assert message == "LOG_LEVEL must be one of INFO, WARNING, was 'LOUD'"


def test_names_splits_at_commas_and_drops_blanks(monkeypatch):
    monkeypatch.setenv("ALLOWED_HOSTS", " a.example , ,b.example,")

    assert env.names("ALLOWED_HOSTS") == ["a.example", "b.example"]


def test_address_shows_only_the_scheme_of_a_wrong_one(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "http://user:hidden@host/0")

    message = refusal(env.address, "REDIS_URL", schemes=("redis", "rediss"))

    assert message == "REDIS_URL must look like redis://host or rediss://host, was http://…"


def test_no_database_url_means_sqlite_with_queued_writers(monkeypatch, tmp_path):
    monkeypatch.delenv("DATABASE_URL", raising=False)

    database = env.database("DATABASE_URL", default=tmp_path / "arena.sqlite3")

    assert database["NAME"] == str(tmp_path / "arena.sqlite3")
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in database["OPTIONS"]["init_command"]


def test_postgres_url_is_taken_apart(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", "postgres://me:p%40ss@db:5433/arena?sslmode=require")

    database = env.database("DATABASE_URL", default=tmp_path)

    parts = [database[key] for key in ("USER", "PASSWORD", "HOST", "PORT", "NAME")]
    assert parts == ["me", "p@ss", "db", "5433", "arena"]
    assert database["CONN_MAX_AGE"] == 0
    assert database["OPTIONS"]["sslmode"] == "require"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://db/arena", "DATABASE_URL must start with postgres:// or sqlite:///, was mysql"),
        ("arena.db", "DATABASE_URL must start with postgres:// or sqlite:///, was no scheme"),
        ("postgres://db:port/arena", "DATABASE_URL must have a port from 1 to 65535"),
        ("postgres://db", "DATABASE_URL must end in /database-name, named none"),
        ("sqlite:///", "DATABASE_URL must name a file as sqlite:///path, named none"),
    ],
)
def test_database_url_is_refused_by_name(monkeypatch, url, message):
    monkeypatch.setenv("DATABASE_URL", url)

    assert refusal(env.database, "DATABASE_URL", default=Path("x")) == message


def test_env_file_does_not_override_the_environment(tmp_path):
    file = tmp_path / ".env"
    file.write_text("# comment\n\nexport PORT=9000\nSECRET_KEY='a # b'\nLOG_LEVEL=INFO # quiet\n")
    environ = {"PORT": "8001"}

    env.load_env_file(file, environ)

    assert environ == {"PORT": "8001", "SECRET_KEY": "a # b", "LOG_LEVEL": "INFO"}


def test_env_file_may_be_missing(tmp_path):
    environ: dict[str, str] = {}

    env.load_env_file(tmp_path / ".env", environ)

    assert environ == {}


def test_env_file_names_the_bad_line_but_not_its_text(tmp_path):
    file = tmp_path / ".env"
    file.write_text("PORT=8000\nhidden value\n")

    message = refusal(env.load_env_file, file, {})

    assert message == ".env line 2 is not of the form NAME=value"


def test_secret_is_read_from_its_file(tmp_path):
    file = tmp_path / "key"
    file.write_text("hidden\n")
    environ = {"OPENAI_API_KEY_FILE": str(file), "LOG_FILE": "/somewhere"}

    env.load_secret_files(environ)

    assert environ["OPENAI_API_KEY"] == "hidden"
    assert "LOG" not in environ


def test_secret_given_twice_is_refused(tmp_path):
    environ = {"SECRET_KEY_FILE": str(tmp_path / "key"), "SECRET_KEY": "hidden"}

    message = refusal(env.load_secret_files, environ)

    assert message == "both SECRET_KEY and SECRET_KEY_FILE are set, wanted only one"


def test_secret_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "none"

    message = refusal(env.load_secret_files, {"SECRET_KEY_FILE": str(path)})

    assert message.startswith(f"SECRET_KEY_FILE must name a readable file, was '{path}'")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ARENA_PROT", ", did you mean PORT?"),
        ("ARENA_HTTP", ", did you mean ARENA_HTTPS?"),
        ("ARENA_ENCRYPTON_KEY", ", did you mean ARENA_ENCRYPTION_KEY?"),
        ("ARENA_FOO", ""),
    ],
)
def test_unknown_setting_is_refused_with_the_nearest_name(name, hint):
    assert refusal(env.refuse_unknown, {name: "1"}) == f"unknown setting {name}{hint}"


def test_known_settings_and_those_of_tests_pass():
    env.refuse_unknown(
        {"ARENA_HTTPS": "1", "ARENA_ENCRYPTION_KEY_FILE": "/x", "ARENA_TEST_DATA": "/y", "PATH": ""}
    )


def test_example_file_lists_every_variable_that_the_settings_read():
    root = Path(__file__).resolve().parents[2]
    source = (root / "arena_site" / "settings.py").read_text()
    example = (root / ".env.example").read_text()

    import re

    read = set(re.findall(r"env\.\w+\(\s*\"([A-Z_]+)\"", source)) | env.ARENA_NAMES
    listed = set(re.findall(r"^#?\s?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE))

    assert len(read) >= 15
    assert read - listed == set()
