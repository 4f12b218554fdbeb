"""The printed curl lines, run by curl against a live server, and the table of paths."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from agents import services as agents
from competitions import tasks
from competitions.models import Trial
from competitions.services.access import make_api_key
from tests.builders import (
    baselines,
    make_instruments,
    make_season,
    make_synthetic_feed,
    make_user,
)

DOCS = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def printed() -> list[str]:
    return re.findall(r"```bash\n(curl [\s\S]+?)```", DOCS.read_text(encoding="utf-8"))


@pytest.fixture
def token(transactional_db):
    agents.ensure_defaults()
    make_instruments()
    make_synthetic_feed()
    owner = make_user("mara", "administrator")
    return make_api_key(
        "curl", owner=owner, scopes=["ADMIN"], actor="mara", now=timezone.now()
    ).token


def test_the_printed_lines_work_as_printed(live_server, token):
    ids: dict[str, str] = {}

    def run(line: str) -> dict:
        next_year = timezone.now() + timedelta(days=366)
        line = line.replace("http://localhost:8000", live_server.url)
        line = line.replace("dev-api-key", token)
        line = re.sub(r"2025(-\d\d-\d\dT)", rf"{next_year.year}\1", line)
        line = re.sub(r"\{(\w+_id)\}", lambda found: ids[found[1]], line)
        done = subprocess.run(
            ["/bin/sh", "-c", line.replace("curl ", "curl --silent --fail-with-body ", 1)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return json.loads(done.stdout)

    lines = printed()
    assert len(lines) == 5
    made = run(lines[0])
    ids["competition_id"] = made["id"]
    assert (made["initial_capital"], made["rules"]["margin_model"]) == ("100000", "cfd")
    registered = run(lines[1])
    assert registered["parameters"]["requested"] == {"temperature": "0.7", "max_tokens": 4096}
    assert run(lines[2])["status"] == "RUNNING"
    ids["participant_id"] = registered["id"]
    triggered = run(lines[3])
    # Its first slot is a year ahead, and nobody has set a key.
    assert (triggered["kind"], triggered["round"]) == ("TRIAL", None)
    tasks.run_trial(triggered["trials"][0]["id"])
    tried = Trial.objects.get()
    assert tried.outcome == "SKIPPED"
    assert tried.reason.startswith("set ANTHROPIC_API_KEY in .env")
    board = run(lines[4])
    assert [row["participant"]["name"] for row in board["rows"]] == ["Claude Trader"]
    assert board["rows"][0]["equity"] == "100000"


def test_the_table_names_every_path(client, db):
    told = DOCS.read_text(encoding="utf-8")
    paths = client.get("/api/v1/openapi.json").json()["paths"]

    for path in paths:
        short = re.sub(r"\{\w+_id\}", "{id}", path.removeprefix("/api/v1"))
        last = "/" + short.rsplit("/", 1)[1]
        assert f"{short}`" in told or (f"`{last}`" in told), short


def test_the_trigger_as_printed_works_before_the_start_too(live_server, token):
    """The order of the printed lines where no start is among them: make, register, trigger."""
    draft = make_season("plain", make_synthetic_feed(), baselines("cash"))
    participant = draft.participants.get()
    line = printed()[3].replace("http://localhost:8000", live_server.url)
    line = line.replace("dev-api-key", token).replace("{participant_id}", str(participant.pk))

    done = subprocess.run(
        ["/bin/sh", "-c", line.replace("curl ", "curl --silent --fail-with-body ", 1)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["kind"] == "TRIAL"
