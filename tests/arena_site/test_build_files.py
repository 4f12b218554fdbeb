"""A bare checkout can be built from what the repository says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith(("#", "-r "))]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in wanted)
    return dict(line.split("==") for line in wanted)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_to_what_is_installed(name):
    for package, pinned in pins(name).items():
        try:
            assert version(package) == pinned, package
        except PackageNotFoundError:
            pytest.fail(f"{package} is pinned in {name} but not installed")


def test_runtime_brings_all_that_it_needs_along():
    """Every requirement of a pinned package is pinned too."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    runtime = {canonicalize_name(name) for name in pins("requirements.txt")}
    lacking = set()
    for package in runtime:
        for line in requires(package) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                name = canonicalize_name(requirement.name)
                if name not in runtime:
                    lacking.add(f"{package} needs {name}")
    assert lacking == set()


def test_nothing_but_the_standard_library_is_imported_by_the_set_up_scripts():
    for script in ("setup_env.py", "setup_secrets.py"):
        modules = re.findall(
            r"^(?:from|import) (\w+)", (ROOT / "scripts" / script).read_text(), re.MULTILINE
        )
        assert set(modules) <= set(sys.stdlib_module_names)


def test_make_names_the_python_that_is_too_old(tmp_path):
    """With no Python 3.11 in sight, make says what was found and what is wanted."""
    old = tmp_path / "python3"
    old.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo "Python 3.9.2"; else exit 1; fi\n'
    )
    old.chmod(0o755)
    for tool in ("sh", "sed", "touch"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}")
    make = subprocess.run(
        ["sh", "-c", "command -v make"], capture_output=True, text=True, check=True
    )

    failed = subprocess.run(
        [make.stdout.strip(), "run", f"VENV={tmp_path}/venv"],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert failed.returncode != 0
    assert "The arena needs Python 3.11 or newer; found: Python 3.9.2." in failed.stderr


def test_production_settings_pass_the_deployment_checks(tmp_path):
    """What ``make check`` asks, with the environment that the Makefile gives."""
    production = {
        "DEBUG": "0",
        "ARENA_HTTPS": "1",
        "ALLOWED_HOSTS": "arena.example.org",
        "SECRET_KEY": "only-for-the-check-EEtBm3Xw9v7nQhKc5RzTgYp2LsDj8UfA4iGo6qVb",
        "ARENA_ENCRYPTION_KEY": "A" * 43 + "=",
        "ARENA_VAR_DIR": str(tmp_path),
        "PATH": os.environ["PATH"],
    }

    checked = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=production,
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout
