"""The shipped container files keep their posture: no root, no writing, no secret in sight."""

from __future__ import annotations

import importlib.util
import re
import stat
from pathlib import Path

import pytest
import yaml

from arena_site import env

ROOT = Path(__file__).resolve().parents[2]
ARENA_SERVICES = {"prepare", "web", "worker-turns", "worker-clock", "beat", "feed"}


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_every_service_is_hardened(compose):
    assert set(compose["services"]) == ARENA_SERVICES | {"postgres", "redis"}
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("privileged") is None, name
        assert "docker.sock" not in str(service.get("volumes", "")), name


def test_the_arena_does_not_run_as_root(compose):
    for name in ARENA_SERVICES:
        assert compose["services"][name]["user"] == "10001:10001"
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in dockerfile


def test_only_the_web_is_reachable_and_only_from_this_machine(compose):
    published = {n: s["ports"] for n, s in compose["services"].items() if "ports" in s}

    assert published == {"web": ["127.0.0.1:${PORT:-8000}:8000"]}
    assert compose["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "redis"):
        assert compose["services"][name]["networks"] == ["inside"]


def test_secrets_come_from_files(compose):
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"KEY|PASSWORD|SECRET|_URL", variable):
                assert variable.endswith("_FILE"), (name, variable)
                assert value.startswith("/run/secrets/"), (name, variable)
    declared = compose["secrets"]
    used = {secret for s in compose["services"].values() for secret in s.get("secrets", [])}
    assert used == set(declared)


def test_settings_of_the_services_are_known(compose):
    for name in ARENA_SERVICES:
        env.refuse_unknown(dict.fromkeys(compose["services"][name]["environment"], ""))


def test_everything_the_services_run_exists(compose):
    from django.core.management import get_commands

    for name in ARENA_SERVICES:
        command = compose["services"][name].get("command", [])
        if command[:2] == ["python", "manage.py"]:
            assert command[2] in get_commands(), name


def test_both_queues_have_a_worker(compose):
    queues = [
        service["command"][service["command"].index("-Q") + 1]
        for service in compose["services"].values()
        if "-Q" in service.get("command", [])
    ]

    assert sorted(queues) == ["clock", "turns"]


def test_secret_files_are_made_once_and_kept_private(compose, tmp_path):
    spec = importlib.util.spec_from_file_location(
        "setup_secrets", ROOT / "scripts/setup_secrets.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path / "secrets"

    assert module.setup_secrets(folder) is True
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert module.setup_secrets(folder) is False

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    wanted = {Path(secret["file"]).name for secret in compose["secrets"].values()}
    assert set(before) == wanted | {"providers.env"}
    assert before["postgres_password"] in before["database_url"]
    assert before["redis_password"] in before["redis_url"]


def test_image_takes_along_every_app():
    dockerfile = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()

    for name in ("arena_site", "competitions", "agents", "trading", "marketdata", "templates"):
        assert f"COPY {name} {name}" in dockerfile
        assert f"!{name}" in ignored
    for source in re.findall(r"^COPY ((?:\S+ )+)\S+$", dockerfile, re.MULTILINE):
        for path in source.split():
            if not path.startswith("--"):
                assert path.startswith("/") or f"!{path}" in ignored, path
