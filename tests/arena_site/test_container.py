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
LASTING = {"web", "worker-turns", "worker-clock", "beat", "feed"}
ARENA_SERVICES = {"prepare", *LASTING}
OTHERS = {"postgres", "redis", "proxy"}


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_every_service_is_hardened(compose):
    assert set(compose["services"]) == ARENA_SERVICES | OTHERS
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


def test_capabilities_are_given_back_only_where_a_start_needs_them(compose):
    given = {name: s["cap_add"] for name, s in compose["services"].items() if "cap_add" in s}

    assert given == {
        "postgres": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"],
        "proxy": ["NET_BIND_SERVICE"],
    }


def test_only_the_proxy_is_reachable_and_only_from_this_machine(compose):
    published = {n: s["ports"] for n, s in compose["services"].items() if "ports" in s}

    assert published == {"proxy": ["127.0.0.1:${PORT:-8000}:8000"]}
    assert compose["networks"]["inside"] == {"internal": True}
    on = {network: set() for network in compose["networks"]}
    for name, service in compose["services"].items():
        assert "network_mode" not in service, name
        for network in service["networks"]:
            on[network].add(name)
    assert on["edge"] == {"proxy", "web"}
    assert on["inside"] == {"postgres", "redis", *ARENA_SERVICES}
    assert on["outside"] == ARENA_SERVICES - {"beat"}


def test_there_are_two_of_what_serves_and_plays_and_one_of_what_rings(compose):
    copies = {
        name: compose["services"][name].get("deploy", {}).get("replicas", 1) for name in LASTING
    }

    assert copies == {"web": 2, "worker-turns": 2, "worker-clock": 1, "beat": 1, "feed": 1}
    # A container of which there are several can have no name of its own.
    assert not any("container_name" in service for service in compose["services"].values())


def test_the_proxy_spreads_over_all_web_processes_and_believes_no_client(compose):
    proxy = compose["services"]["proxy"]
    assert proxy["volumes"] == ["./deploy/Caddyfile:/etc/caddy/Caddyfile:ro"]
    caddyfile = (ROOT / "deploy/Caddyfile").read_text()

    assert "\treverse_proxy {$WEB:web:8000} {" in caddyfile
    assert "\t\ttrusted_proxies {$TRUSTED_PROXIES:127.0.0.1/32}" in caddyfile
    assert "admin off" in caddyfile
    assert "header_up" not in caddyfile
    assert proxy["environment"] == {"TRUSTED_PROXIES": "${TRUSTED_PROXIES:-127.0.0.1/32}"}
    # As many as stand in front: the arena believes that many entries of X-Forwarded-For.
    web = compose["services"]["web"]["environment"]
    assert web["ARENA_PROXY_COUNT"] == "${ARENA_PROXY_COUNT:-1}"


def test_everything_that_lasts_is_asked_for_its_health(compose):
    from django.core.management import load_command_class

    for name in {*LASTING, *OTHERS}:
        check = compose["services"][name].get("healthcheck")
        if name == "web":
            # That of the image.
            assert check is None
            continue
        assert "disable" not in check, name
        assert check["test"][0] in {"CMD", "CMD-SHELL"}, name
        if "manage.py" in check["test"]:
            _, program, _, command, part = check["test"]
            assert (program, command) == ("python", "arena_health")
            parser = load_command_class("competitions", command).create_parser("manage.py", command)
            assert parser.parse_args([part]).part == name == part
    assert "/readyz" in (ROOT / "Dockerfile").read_text()


def test_every_process_names_itself_to_the_database(compose):
    for name in LASTING:
        assert compose["services"][name]["environment"]["PGAPPNAME"] == name


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


def test_no_secret_is_built_into_the_image():
    dockerfile = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()

    assert ignored[0] == "**"
    assert not any(line.startswith(("!.env", "!secrets", "!var", "!.git")) for line in ignored)
    for word in ("SECRET_KEY", "ENCRYPTION", "PASSWORD", "_TOKEN", "API_KEY", "ADD "):
        assert word not in dockerfile
    # What cannot be written as it runs is not left to be written as it runs.
    assert "PYTHONDONTWRITEBYTECODE=1" in dockerfile
    assert "ARENA_VAR_DIR=/tmp/" in dockerfile


def test_image_takes_along_every_app():
    dockerfile = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()

    for name in ("arena_site", "competitions", "agents", "trading", "marketdata", "templates"):
        assert f"COPY {name} {name}" in dockerfile
        assert f"!{name}" in ignored
    for source in re.findall(r"^COPY ((?:\S+ )+)\S+$", dockerfile, re.MULTILINE):
        for path in source.split():
            if not path.startswith(("--", "/")):
                assert f"!{path}" in ignored, path
                assert (ROOT / path).exists(), path
