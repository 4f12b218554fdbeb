"""Invocations by trigger: an extra round in a season that runs, a trial before its first round."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from competitions import tasks
from competitions.models import Competition, Round, Trial, Turn
from competitions.services import control
from competitions.services.access import make_api_key
from competitions.services.driving import drive
from competitions.services.rounds import open_due_round
from competitions.services.verifying import verify_season
from tests.builders import make_user
from tests.competitions.played import make_draft, play

pytestmark = pytest.mark.django_db

ROOT = "/api/v1/internal"


@pytest.fixture
def token():
    return key("CONTROL")


def key(*scopes, owner=None):
    owner = owner or make_user(f"user-{uuid.uuid4().hex[:8]}", "operator")
    return make_api_key("test", owner=owner, scopes=scopes, actor="x", now=timezone.now()).token


def send(path, body=None, *, token="", again="", raw=None):
    headers = {"X-API-Key": token} if token else {}
    if again:
        headers["Idempotency-Key"] = again
    content = raw if raw is not None else ("" if body is None else json.dumps(body))
    client = Client(enforce_csrf_checks=True)
    return client.post(f"{ROOT}{path}", content, content_type="application/json", headers=headers)


def look(path, token):
    return Client().get(f"{ROOT}{path}", headers={"X-API-Key": token} if token else {})


def seat(season: Competition, slug="random"):
    return season.participants.get(slug=slug)


def finish(round_number: int, season: Competition) -> Round:
    """Play an extra round as the workers do."""
    round_ = Round.objects.get(competition=season, number=round_number)
    list(drive(season, rounds=1))
    round_.refresh_from_db()
    return round_


# --- a season that runs -------------------------------------------------------------------------


def test_a_trigger_opens_an_extra_round_for_the_participant(token):
    season = play()

    answer = send(f"/trigger-invocation/{seat(season).pk}", token=token)

    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert (told["kind"], told["round"]["number"], told["round"]["kind"]) == ("EXTRA", 3, "EXTRA")
    assert told["round"]["asked_by"].endswith(f"by key {token.split('_')[1]}")
    assert [(turn["participant"], turn["state"]) for turn in told["turns"]] == [
        ("random", "PENDING")
    ]
    assert told["trials"] == []
    assert finish(3, season).state == "CLOSED"
    assert verify_season(season).problems == []


def test_the_round_is_handed_to_a_worker_once_it_is_committed(
    token, monkeypatch, django_capture_on_commit_callbacks
):
    season = play()
    sent = []
    monkeypatch.setattr(tasks.start_round, "delay", sent.append)

    with django_capture_on_commit_callbacks(execute=True):
        send(f"/trigger-invocation/{seat(season).pk}", token=token, again="one")
        assert sent == []
        send(f"/trigger-invocation/{seat(season).pk}", token=token, again="one")

    assert sent == [str(Round.objects.get(number=3).pk)]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", None),
        ("", {}),
        ("?competition=small", None),
        ("", {"competition_id": "small"}),
        ("", {"competition_id": "ID"}),
    ],
)
def test_all_participants_are_asked_of_the_one_season_that_runs_or_the_one_named(
    token, query, body
):
    season = play()
    if body and body.get("competition_id") == "ID":
        body = {"competition_id": str(season.pk)}

    answer = send(f"/invoke-participants{query}", body, token=token)

    assert answer.status_code == 202, answer.content
    assert [turn["participant"] for turn in answer.json()["turns"]] == [
        "buy-and-hold",
        "cash",
        "random",
    ]


def test_those_who_play_no_more_are_not_asked_with_all(token):
    season = play()
    season.participants.filter(slug="cash").update(state="SUSPENDED")

    told = send("/invoke-participants", token=token).json()

    assert [turn["participant"] for turn in told["turns"]] == ["buy-and-hold", "random"]


def test_without_a_name_it_is_clear_which_season_is_meant(token):
    none = send("/invoke-participants", token=token)
    assert (none.status_code, none.json()["code"]) == (404, "NO_COMPETITION")
    play("one")
    play("two")

    several = send("/invoke-participants", token=token)

    assert (several.status_code, several.json()["code"]) == (409, "WHICH_COMPETITION")
    assert several.json()["detail"].endswith("name one of two, one")
    assert not Round.objects.filter(kind="EXTRA").exists()


def test_what_is_not_possible_now_is_a_conflict_that_says_why(token):
    season = play()
    path = f"/trigger-invocation/{seat(season).pk}"
    open_due_round(season.pk, now=timezone.now())

    running = send(path, token=token)
    list(drive(season, rounds=1))
    send(path, token=token)
    list(drive(season, rounds=1))
    control.pause_competition(
        season, actor="mara", reason="", after_round=False, now=timezone.now()
    )
    paused = send(path, token=token)

    assert [answer.status_code for answer in (running, paused)] == [409, 409]
    assert running.json()["code"] == "NOT_POSSIBLE_NOW"
    assert "round 3 of small is being played" in running.json()["detail"]
    assert "small is PAUSED" in paused.json()["detail"]


def test_a_request_sent_twice_opens_one_round(token):
    season = play()
    path = f"/trigger-invocation/{seat(season).pk}"

    first = send(path, token=token, again="k-1")
    again = send(path, token=token, again="k-1")

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again["Idempotency-Replayed"] == "true"
    assert Round.objects.filter(kind="EXTRA").count() == 1


def test_a_name_used_for_another_competition_is_refused(token):
    play("one")
    play("two")

    first = send("/invoke-participants?competition=one", token=token, again="k-1")
    other = send("/invoke-participants?competition=two", token=token, again="k-1")

    assert (first.status_code, other.status_code) == (202, 422)
    assert other.json()["code"] == "IDEMPOTENCY_MISMATCH"


# --- before the first round ---------------------------------------------------------------------


def test_before_the_start_a_trigger_is_a_trial_that_can_be_looked_at(token):
    draft = make_draft()

    answer = send(f"/trigger-invocation/{seat(draft, 'buy-and-hold').pk}", token=token)

    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert (told["kind"], told["round"], told["turns"]) == ("TRIAL", None, [])
    (trial,) = told["trials"]
    assert (trial["state"], trial["outcome"], trial["market"]) == ("PENDING", None, None)
    tasks.run_trial(trial["id"])
    done = look(f"/trials/{trial['id']}", token).json()
    assert (done["state"], done["outcome"], done["status"]) == ("DONE", "READ", "VALID")
    assert [item["verdict"] for item in done["instructions"]] == ["ACCEPTED"] * 3
    assert isinstance(done["instructions"][0]["price"], str)
    assert "Round 1 of 6" in done["market"] + done["account"]
    assert json.loads(done["answer"])["instructions"]
    draft.refresh_from_db()
    assert draft.status == "DRAFT"
    assert not Turn.objects.exists()


def test_all_of_a_draft_are_tried_when_it_is_named(token):
    make_draft()

    told = send("/invoke-participants?competition=small", token=token).json()

    assert told["kind"] == "TRIAL"
    assert Trial.objects.count() == len(told["trials"]) == 3


def test_a_draft_without_participants_has_nobody_to_try(token):
    make_draft(roster=[])

    answer = send("/invoke-participants?competition=small", token=token)

    assert (answer.status_code, answer.json()["code"]) == (409, "NOT_POSSIBLE_NOW")


def test_a_trial_too_many_tells_when_to_come_again(token):
    draft = make_draft()
    path = f"/trigger-invocation/{seat(draft).pk}"
    send(path, token=token)

    under_way = send(path, token=token)
    Trial.objects.update(state="DONE", outcome="READ")
    for _ in range(9):
        assert send(path, token=token).status_code == 202
        Trial.objects.update(state="DONE", outcome="READ")
    too_many = send(path, token=token)

    assert (under_way.status_code, under_way["Retry-After"]) == (429, "10")
    assert (too_many.status_code, too_many.json()["code"]) == (429, "TOO_OFTEN")
    assert 3500 < int(too_many["Retry-After"]) <= 3601
    assert Trial.objects.count() == 10


def test_a_trial_whose_message_was_lost_is_handed_out_by_the_sweeper(token, monkeypatch):
    draft = make_draft()
    send(f"/trigger-invocation/{seat(draft).pk}", token=token)
    Trial.objects.update(requested_at=timezone.now() - timedelta(seconds=20))
    sent = []
    monkeypatch.setattr(tasks.run_trial, "delay", sent.append)

    tasks.sweep()

    assert sent == [str(Trial.objects.get().pk)]


# --- who may, and bad input ---------------------------------------------------------------------


def test_a_trigger_wants_a_key_that_controls(token):
    season = play()
    paths = ["/invoke-participants", f"/trigger-invocation/{seat(season).pk}"]

    for path in paths:
        assert send(path).status_code == 401
        assert send(path, token="arena_00000000_wrong").status_code == 401
        assert send(path, token=key("READ")).json()["code"] == "SCOPE_MISSING"
    assert not Round.objects.filter(kind="EXTRA").exists()
    assert look(f"/trials/{uuid.uuid4()}", "").status_code == 401
    assert look(f"/trials/{uuid.uuid4()}", key("READ")).status_code == 403


def test_an_owner_tries_an_own_participant_until_the_first_round_and_no_other():
    draft, owner = make_draft(), make_user("otto")
    draft.participants.filter(slug="random").update(owner=owner)
    token = key("PARTICIPANT", owner=owner)
    own, other = (f"/trigger-invocation/{seat(draft, slug).pk}" for slug in ("random", "cash"))

    tried = send(own, token=token)

    assert tried.status_code == 202, tried.content
    (trial,) = tried.json()["trials"]
    assert look(f"/trials/{trial['id']}", token).status_code == 200
    assert send(other, token=token).json()["code"] == "NOT_YOURS"
    assert send("/invoke-participants?competition=small", token=token).status_code == 403
    others = send(other, token=key("CONTROL")).json()["trials"][0]["id"]
    assert look(f"/trials/{others}", token).status_code == 403
    season = control.start_competition(draft, actor="mara", now=timezone.now())
    list(drive(season, rounds=1))
    begun = send(own, token=token)
    assert (begun.status_code, begun.json()["code"]) == (403, "SCOPE_MISSING")
    assert look(f"/trials/{trial['id']}", token).status_code == 200
    assert not Round.objects.filter(kind="EXTRA").exists()


@pytest.mark.parametrize(
    ("path", "raw", "status"),
    [
        ("/trigger-invocation/7", "", 422),
        (f"/trigger-invocation/{uuid.UUID(int=7)}", "", 404),
        ("/invoke-participants", "[]", 422),
        ("/invoke-participants", "{", 400),
        ("/invoke-participants", '{"competition": "small"}', 422),
        ("/invoke-participants", '{"competition_id": 7}', 422),
        ("/invoke-participants", '{"competition_id": "\\u0000"}', 422),
        ("/invoke-participants?competition=none", "", 404),
        ("/invoke-participants?competition=%00", "", 404),
    ],
)
def test_bad_input_is_told_where(token, path, raw, status):
    play()

    answer = send(path, raw=raw, token=token)

    assert answer.status_code == status, answer.content
    assert set(answer.json()) >= {"detail", "code", "request_id"}
    assert not Round.objects.filter(kind="EXTRA").exists()


def test_a_trial_that_is_not_there_is_not_found(token):
    assert look(f"/trials/{uuid.uuid4()}", token).json()["code"] == "NO_TRIAL"
    assert look("/trials/7", token).status_code == 422
