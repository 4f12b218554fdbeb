"""A fresh arena gets its own keys, in a file that only its owner reads."""

from __future__ import annotations

import importlib.util
import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from arena_site import env

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "setup_env.py"


@pytest.fixture(scope="module")
def setup_env():
    spec = importlib.util.spec_from_file_location("setup_env", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.setup_env


def values_of(path: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    env.load_env_file(path, values)
    return values


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_generated_into_a_private_file(setup_env, tmp_path):
    path = tmp_path / ".env"

    added = setup_env(path)

    assert added == ["SECRET_KEY", "ARENA_ENCRYPTION_KEY"]
    assert mode_of(path) == 0o600
    values = values_of(path)
    assert len(values["SECRET_KEY"]) >= 60
    Fernet(values["ARENA_ENCRYPTION_KEY"])


def test_second_run_changes_nothing(setup_env, tmp_path):
    path = tmp_path / ".env"
    setup_env(path)
    before = path.read_text()

    assert setup_env(path) == []
    assert path.read_text() == before


def test_only_what_lacks_is_added_and_others_are_shut_out(setup_env, tmp_path):
    path = tmp_path / ".env"
    path.write_text("SECRET_KEY_FILE=/run/secrets/key\nPORT=9000")
    path.chmod(0o644)

    assert setup_env(path) == ["ARENA_ENCRYPTION_KEY"]
    assert path.read_text().startswith("SECRET_KEY_FILE=/run/secrets/key\nPORT=9000\nARENA_")
    assert mode_of(path) == 0o600


def test_two_arenas_have_different_keys(setup_env, tmp_path):
    setup_env(tmp_path / "a")
    setup_env(tmp_path / "b")

    assert values_of(tmp_path / "a") != values_of(tmp_path / "b")
