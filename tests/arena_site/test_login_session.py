"""How a session begins, and what ends it."""

from __future__ import annotations

import time

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from competitions.models import AuditEvent
from competitions.models.access import Scope
from competitions.services.roles import give_role
from tests.logins import PASSWORD, make_key, make_user, post_login, prove, write_session

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]

HOUR = 3600
# As the settings have them.
HASHERS = list(settings.PASSWORD_HASHERS)


@pytest.fixture
def mara():
    return make_user(role="operator")


def is_in(client: Client, **headers) -> bool:
    return client.get("/account/", headers=headers).status_code == 200


def age(client: Client, *, started: float = 0, seen: float = 0) -> None:
    now = time.time()
    write_session(client, started_at=now - started, seen_at=now - seen)


def test_a_session_that_was_foisted_on_a_visitor_is_worth_nothing_after_the_login(client, mara):
    foisted = Client()
    write_session(foisted, note="planted")
    key = foisted.cookies["sessionid"].value
    client.cookies["sessionid"] = key

    post_login(client)

    assert is_in(client)
    assert client.cookies["sessionid"].value != key
    assert "note" not in client.session
    assert not is_in(foisted)
    assert not Session.objects.filter(pk=key).exists()


def test_a_second_login_in_the_same_browser_gets_a_new_session_too(client, mara):
    post_login(client)
    key = client.cookies["sessionid"].value
    age(client, started=11 * HOUR)

    post_login(client)

    assert client.cookies["sessionid"].value != key
    assert time.time() - client.session["started_at"] < 60


@pytest.mark.parametrize("is_staff", [True, False])
def test_a_session_ends_twelve_hours_after_its_login_however_busy(client, is_staff):
    make_user(role="operator" if is_staff else None)
    post_login(client)
    age(client, started=12 * HOUR - 60)
    assert is_in(client)

    age(client, started=12 * HOUR)

    assert not is_in(client)
    assert Session.objects.count() == 0


def test_staff_is_signed_out_after_thirty_idle_minutes_and_viewers_are_not(client, mara):
    make_user("lena")
    viewer = Client()
    post_login(client)
    post_login(viewer, "lena")
    age(client, seen=29 * 60)
    assert is_in(client)
    # That was being at work.
    assert time.time() - client.session["seen_at"] < 60

    age(client, seen=30 * 60)
    age(viewer, seen=30 * 60)

    assert not is_in(client)
    assert is_in(viewer)


def test_a_page_that_asks_by_itself_keeps_nobody_signed_in(client, mara):
    post_login(client)
    age(client, seen=29 * 60)
    client.get("/ops/", headers={"HX-Request": "true"})
    assert time.time() - client.session["seen_at"] > 28 * 60

    age(client, seen=31 * 60)
    poll = client.get("/ops/", headers={"HX-Request": "true"})

    # Led there as a whole: the login is not swapped into the middle of the console.
    assert poll.status_code == 200
    assert poll.headers["HX-Redirect"] == "/login/?next=/ops/"


def test_a_session_without_times_gets_them_when_it_is_first_seen(client, mara):
    client.force_login(mara)

    client.get("/ops/")

    assert {"started_at", "seen_at"} <= set(client.session.keys())


def test_strangers_get_no_session(client):
    for address in ("/", "/login/", "/healthz", "/ops/"):
        answer = client.get(address)
        assert "sessionid" not in answer.cookies, address
    assert Session.objects.count() == 0


def test_a_deactivated_account_is_out_at_the_next_request(client, mara):
    post_login(client)
    assert client.get("/ops/").status_code == 200

    mara.is_active = False
    mara.save()

    assert client.get("/ops/").status_code == 302
    assert not is_in(client)


def test_who_is_no_operator_any_more_is_refused_at_the_next_request(client, mara):
    post_login(client)
    give_role(mara, None, actor="root", now=timezone.now())

    assert client.get("/ops/").status_code == 403


def change(client: Client, **fields):
    wanted = {
        "again_password": PASSWORD,
        "new_password1": "stapled to a tree",
        "new_password2": "stapled to a tree",
    }
    return client.post("/account/password/", wanted | fields, follow=True)


def test_a_new_password_ends_every_other_session(client, mara):
    other, key = Client(), ""
    post_login(client)
    post_login(other)
    key = client.cookies["sessionid"].value

    answer = change(client)

    assert "every other session has ended" in answer.content.decode()
    assert is_in(client)
    assert client.cookies["sessionid"].value != key
    assert not is_in(other)
    assert post_login(Client()).status_code == 200
    assert post_login(Client(), password="stapled to a tree").status_code == 302
    assert AuditEvent.objects.order_by("-seq")[0].action == "password changed"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"again_password": "wrong"}, "not the password of this account"),
        ({"new_password2": "something else entirely"}, "match"),
        ({"new_password1": "short", "new_password2": "short"}, "too short"),
    ],
)
def test_a_password_that_may_not_be_is_not_taken(client, mara, fields, told):
    post_login(client)

    answer = change(client, **fields)

    assert told in answer.content.decode()
    mara.refresh_from_db()
    assert mara.check_password(PASSWORD)


def test_a_new_password_wants_the_old_one_however_fresh_the_login(client, mara):
    client.force_login(mara)
    prove(client)
    wanted = {"new_password1": "stapled to a tree", "new_password2": "stapled to a tree"}

    client.post("/account/password/", wanted)

    mara.refresh_from_db()
    assert mara.check_password(PASSWORD)


def test_wrong_old_passwords_are_counted_and_end_the_session(client, mara):
    post_login(client)

    codes = [change(client, again_password="wrong").status_code for _ in range(5)]

    assert codes == [403, 403, 403, 403, 429]
    assert not is_in(client)
    assert AuditEvent.objects.order_by("-seq")[0].action == "signed out after wrong passwords"


def test_signing_out_everywhere_ends_all_sessions_of_the_account_alone(client, mara):
    make_user("lena")
    here, there, other = client, Client(), Client()
    post_login(here)
    post_login(there)
    post_login(other, "lena")

    assert here.get("/account/sign-out-everywhere/").status_code == 405
    here.post("/account/sign-out-everywhere/")

    assert (is_in(here), is_in(there), is_in(other)) == (False, False, True)


def test_an_api_key_asks_for_no_session_and_no_second_factor(client, mara, settings):
    settings.REQUIRE_TOTP = True
    token = make_key(mara, Scope.READ)
    post_login(client)
    age(client, seen=HOUR)

    answer = client.get("/api/v1/status", headers={"X-API-Key": token})

    assert answer.status_code == 200


def test_an_old_hash_is_renewed_at_the_login(client, mara, settings):
    settings.PASSWORD_HASHERS = HASHERS
    mara.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1000)
    mara.save()

    assert post_login(client).status_code == 302

    mara.refresh_from_db()
    assert mara.password.startswith("argon2$argon2id$")
    assert is_in(client)


@pytest.mark.parametrize(
    ("is_staff", "wanted", "landed"),
    [
        (True, "", "/ops/"),
        (False, "", "/"),
        (False, "/c/demo/", "/c/demo/"),
        (True, "//evil.example/", "/ops/"),
        (True, "javascript:alert(1)", "/ops/"),
        (True, "https://testserver.evil.example/", "/ops/"),
    ],
)
def test_a_login_ends_where_the_visitor_wanted_to_go(client, is_staff, wanted, landed):
    make_user(role="operator" if is_staff else None)

    answer = client.post(
        f"/login/?next={wanted}", {"username": "mara", "password": PASSWORD, "next": wanted}
    )

    assert (answer.status_code, answer.headers["Location"]) == (302, landed)


@pytest.mark.parametrize("wanted", ["/admin/auth/user/", "https://evil.example/", ""])
def test_the_admin_has_no_login_of_its_own(client, wanted):
    answer = client.get(f"/admin/login/?next={wanted}")

    target = "/admin/auth/user/" if wanted.startswith("/admin/auth") else "/admin/"
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/login/?next={target.replace('/', '%2F')}"
