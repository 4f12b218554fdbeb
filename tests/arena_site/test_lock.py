"""Only one embedded arena runs on one directory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from arena_site.embedded.lock import AlreadyRunningError, instance_lock


def test_second_instance_is_told_the_first_ones_process_id(tmp_path):
    path = tmp_path / "arena.lock"

    with instance_lock(path), pytest.raises(AlreadyRunningError) as caught, instance_lock(path):
        pass

    assert f"already running as process {os.getpid()}" in str(caught.value)


def test_loser_does_not_wipe_the_winners_name(tmp_path):
    path = tmp_path / "arena.lock"

    with instance_lock(path):
        with pytest.raises(AlreadyRunningError), instance_lock(path):
            pass
        assert path.read_text() == f"{os.getpid()}\n"


def test_lock_is_free_again_after_the_block(tmp_path):
    path = tmp_path / "arena.lock"

    with instance_lock(path):
        pass
    with instance_lock(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_lock_of_a_killed_process_is_free(tmp_path):
    path = tmp_path / "arena.lock"
    code = (
        "import os, pathlib, sys; from arena_site.embedded.lock import instance_lock\n"
        "with instance_lock(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    assert killed.returncode == -9
    with instance_lock(path):
        assert path.read_text() == f"{os.getpid()}\n"
