"""Asking again for the password: before an emergency close, and before anything about real money."""

from __future__ import annotations

import html
import re
import time

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from competitions.models import AuditEvent, Competition
from competitions.models.competitions import CompetitionStatus
from competitions.services import control
from tests.competitions.played import make_draft, play
from tests.competitions.test_pages_season import text_of
from tests.logins import (
    PASSWORD,
    add_device,
    code_of,
    make_user,
    post_login,
    prove,
    show_device,
    write_session,
    wrong_code_of,
)
from trading.models import Position

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]

CLOSE = "/ops/small/emergency-close/"


@pytest.fixture
def mara():
    return make_user(role="operator")


@pytest.fixture
def staff(client: Client, mara) -> Client:
    client.force_login(mara)
    return client


@pytest.fixture
def season(db) -> Competition:
    return play(rounds=1)


def is_closed() -> bool:
    return not Position.objects.open().exists()


def hidden_fields(body: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', body)
    return {name: html.unescape(value) for name, value in found}


# --- emergency close ------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["nothing", "wrong", "password", "password and code"])
@pytest.mark.parametrize("has_device", [False, True], ids=["", "device"])
@pytest.mark.parametrize("proved", [None, 0, 299, 300, -60], ids=str)
def test_an_emergency_close_wants_a_proof_of_the_last_five_minutes(
    staff, mara, season, proved, has_device, given
):
    if has_device:
        device = add_device(mara)
        show_device(staff, device)
    if proved is not None:
        prove(staff, seconds_ago=proved)
    fields = {
        "nothing": {},
        "wrong": {"again_password": "wrong"},
        "password": {"again_password": PASSWORD},
        "password and code": {
            "again_password": PASSWORD,
            "again_code": code_of(device) if has_device else "",
        },
    }[given]

    answer = staff.post(CLOSE, {"reason": "drill"} | fields)

    is_fresh = proved in (0, 299)
    is_given = given == "password and code" or (given == "password" and not has_device)
    assert is_closed() is (is_fresh or is_given)
    assert answer.status_code == (200 if is_closed() else 403)


def test_the_confirmation_asks_for_the_password_on_the_same_page(staff, season):
    prove(staff)
    assert "again_password" not in staff.get(CLOSE).content.decode()

    prove(staff, seconds_ago=400)
    page = staff.get(CLOSE)

    assert page.status_code == 200
    assert 'name="again_password"' in page.content.decode()
    assert 'name="again_code"' not in page.content.decode()


def test_a_wrong_password_keeps_the_reason_and_is_told_and_logged(staff, season):
    answer = staff.post(CLOSE, {"reason": 'drill "7"', "again_password": "wrong"})

    assert "not the password of this account" in text_of(answer)
    assert 'value="drill &quot;7&quot;"' in answer.content.decode()
    assert "wrong" not in re.findall(r'value="([^"]*)"', answer.content.decode())
    entry = AuditEvent.objects.order_by("-seq")[0]
    assert entry.action == "password asked again, answer wrong"
    assert (entry.actor, entry.subject) == ("mara", CLOSE)


def test_a_right_password_counts_for_the_next_five_minutes(staff, season):
    staff.post(CLOSE, {"again_password": PASSWORD})

    assert time.time() - staff.session["proved_at"] < 60
    assert "again_password" not in staff.get(CLOSE).content.decode()


def test_a_fresh_login_counts(client, mara, season):
    post_login(client)

    client.post(CLOSE)

    assert is_closed()


def test_the_password_of_somebody_else_proves_nothing(staff, season):
    other = make_user("lena", "operator")
    other.set_password("stapled to a tree")
    other.save()

    answer = staff.post(CLOSE, {"again_password": "stapled to a tree", "username": "lena"})

    assert answer.status_code == 403
    assert not is_closed()


def test_five_wrong_passwords_end_the_session(staff, season):
    codes = [staff.post(CLOSE, {"again_password": "wrong"}).status_code for _ in range(5)]

    assert codes == [403, 403, 403, 403, 429]
    assert staff.post(CLOSE, {"again_password": PASSWORD}).status_code == 302
    assert not is_closed()


def test_wrong_codes_are_counted_too(staff, mara, season):
    device = add_device(mara)
    show_device(staff, device)
    fields = {"again_password": PASSWORD, "again_code": wrong_code_of(device)}
    codes = []
    for _ in range(5):
        device.refresh_from_db()
        device.throttle_reset()
        codes.append(staff.post(CLOSE, fields).status_code)

    assert codes == [403, 403, 403, 403, 429]
    assert not is_closed()


def test_a_code_that_opened_the_door_does_not_open_the_next(client, mara, season):
    device = add_device(mara)
    post_login(client)
    code = code_of(device)
    client.post("/login/code/", {"code": code})
    write_session(client, proved_at=0)

    client.post(CLOSE, {"again_password": PASSWORD, "again_code": code})

    assert not is_closed()


def test_an_emergency_close_that_cannot_be_asks_for_nothing(staff):
    make_draft()

    for answer in (staff.get(CLOSE, follow=True), staff.post(CLOSE, follow=True)):
        assert "nothing to close" in text_of(answer)


# --- real money -----------------------------------------------------------------------------------


@pytest.mark.parametrize("venue", ["paper", "binance-live"])
@pytest.mark.parametrize("act", ["start", "pause", "pause-after-round", "resume", "stop"])
def test_acts_on_real_money_want_a_fresh_proof_and_a_pause_never_does(staff, season, act, venue):
    Competition.objects.update(venue=venue)
    before = Competition.objects.values_list("status", flat=True).get()
    prove(staff, seconds_ago=301)

    answer = staff.post(f"/ops/small/{act}/", {"reason": "because"})

    is_asked = venue == "binance-live" and not act.startswith("pause")
    assert answer.status_code == (403 if is_asked else 302)
    assert ('name="again_password"' in answer.content.decode()) is is_asked
    if is_asked:
        assert Competition.objects.values_list("status", flat=True).get() == before
        assert AuditEvent.objects.filter(actor="mara").count() == 0


def test_what_was_posted_is_done_when_the_password_was_given(staff, season):
    staff.post("/ops/small/pause/")
    Competition.objects.update(venue="binance-live")
    asked = staff.post("/ops/small/resume/", {"reason": "<all> & well"})
    fields = hidden_fields(asked.content.decode())
    assert fields["reason"] == "<all> & well"
    assert "Nothing was done yet." in text_of(asked)

    done = staff.post("/ops/small/resume/", fields | {"again_password": PASSWORD})

    assert done.status_code == 302
    assert Competition.objects.get().status == CompetitionStatus.RUNNING


def test_a_live_season_is_stopped_on_one_page_too(staff, season):
    Competition.objects.update(venue="binance-live")

    asked = staff.post("/ops/small/stop/", {"reason": "enough"})
    assert "for good?" in text_of(asked)
    staff.post("/ops/small/stop/", {"reason": "enough", "again_password": PASSWORD})

    assert Competition.objects.get().stop_reason == "enough"


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(make_user("root", "administrator"))
    return client


@pytest.mark.parametrize("proved", [0, 301])
@pytest.mark.parametrize(("kept", "wanted"), [("paper", "binance-live"), ("binance-live", "paper")])
def test_the_admin_saves_nothing_live_on_an_old_proof(root, kept, wanted, proved):
    draft = make_draft()
    Competition.objects.update(venue=kept)
    prove(root, seconds_ago=proved)
    address = reverse("admin:competitions_competition_change", args=[draft.pk])

    answer = root.post(address, {"venue": wanted, "name": "Renamed", "_save": "Save"})

    body = answer.content.decode()
    assert ('name="again_password"' in body) is (proved == 301)
    if proved == 301:
        assert answer.status_code == 403
        assert hidden_fields(body)["name"] == "Renamed"
    assert Competition.objects.get().name == "Small season"


def test_the_admin_saves_paper_without_asking(root):
    draft = make_draft()
    prove(root, seconds_ago=301)
    address = reverse("admin:competitions_competition_change", args=[draft.pk])

    answer = root.post(address, {"venue": "paper", "name": "", "_save": "Save"})

    assert answer.status_code == 200
    assert "again_password" not in answer.content.decode()


@pytest.mark.parametrize("across", ["0", "1"])
@pytest.mark.parametrize("act", ["resume", "pause"])
def test_an_action_of_the_list_on_real_money_wants_a_fresh_proof(root, season, act, across):
    Competition.objects.update(venue="binance-live")
    if act == "resume":
        pause(season)
    before = Competition.objects.values_list("status", flat=True).get()
    fields = {"action": act, "select_across": across, "_selected_action": [str(season.pk)]}
    address = reverse("admin:competitions_competition_changelist")

    asked = root.post(address, fields)

    if act == "pause":
        assert Competition.objects.get().status == CompetitionStatus.PAUSED
        return
    assert asked.status_code == 403
    assert Competition.objects.values_list("status", flat=True).get() == before
    again = hidden_fields(asked.content.decode()) | {"again_password": PASSWORD}
    assert root.post(address, again).status_code == 302
    assert Competition.objects.get().status == CompetitionStatus.RUNNING


@pytest.mark.parametrize("act", ["start", "schedule", "resume", "stop", "pause"])
def test_an_act_of_the_admin_on_real_money_wants_a_fresh_proof(root, season, act):
    Competition.objects.update(venue="binance-live")
    if act == "resume":
        pause(season)
    before = Competition.objects.values_list("status", flat=True).get()
    address = reverse("admin:competitions_competition_act", args=[act])
    fields = {"season": [str(season.pk)], "reason": "enough"}

    asked = root.post(address, fields)

    if act == "pause":
        assert Competition.objects.get().status == CompetitionStatus.PAUSED
        return
    assert asked.status_code == 403
    assert Competition.objects.values_list("status", flat=True).get() == before
    again = hidden_fields(asked.content.decode()) | {"again_password": PASSWORD}
    # A start shows its contract first.
    assert root.post(address, again).status_code == (200 if act in ("start", "schedule") else 302)
    after = {"stop": CompetitionStatus.STOPPED, "resume": CompetitionStatus.RUNNING}
    assert Competition.objects.get().status == after.get(act, before)


def pause(season: Competition) -> None:
    control.pause_competition(
        season, actor="mara", reason="", after_round=False, now=timezone.now()
    )
