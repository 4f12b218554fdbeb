"""The second factor: who is asked for it, what opens the door, and what does not."""

from __future__ import annotations

import re
import time
from base64 import b32decode

import pytest
from django.test import Client
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from competitions.models import AuditEvent
from competitions.services.second_factor import renew_backup_codes
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

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]

ROLES = ("viewer", "operator", "administrator")
# What each role gets at each place when no second factor is owed.
RIGHTS = {
    "viewer": {"console": 403, "admin": "/admin/login/", "act": 403},
    "operator": {"console": 200, "admin": 200, "act": 404},
    "administrator": {"console": 200, "admin": 200, "act": 404},
}
PLACES = {
    "console": lambda client: client.get("/ops/"),
    "admin": lambda client: client.get("/admin/"),
    "act": lambda client: client.post("/ops/nowhere/pause/"),
}


@pytest.fixture
def mara():
    return make_user(role="operator")


@pytest.fixture
def device(mara):
    return add_device(mara)


def send_code(client: Client, code: str, **more):
    return client.post("/login/code/", {"code": code} | more)


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


# --- who gets where -------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("shown", [False, True], ids=["", "shown"])
@pytest.mark.parametrize("has", ["none", "unconfirmed", "confirmed"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("mandatory", [False, True], ids=["optional", "mandatory"])
def test_whoever_owes_a_second_factor_gets_nowhere_before(
    client, settings, mandatory, role, has, shown, place
):
    settings.REQUIRE_TOTP = mandatory
    user = make_user(role=role)
    client.force_login(user)
    if has != "none":
        found = add_device(user, is_confirmed=has == "confirmed")
        if shown:
            show_device(client, found)
    elif shown:
        write_session(client, otp_device_id="otp_totp.totpdevice/1")
    is_shown = shown and has == "confirmed"

    answer = PLACES[place](client)

    if has == "confirmed" and not is_shown:
        wanted: int | str = "/login/code/"
    elif mandatory and role != "viewer" and not is_shown:
        wanted = "/account/second-factor/"
    else:
        wanted = RIGHTS[role][place]
    if isinstance(wanted, int):
        assert answer.status_code == wanted
    else:
        assert answer.status_code == 302
        assert answer.headers["Location"].split("?")[0] == wanted


def test_the_device_of_somebody_else_shows_nothing(client, mara, device):
    client.force_login(mara)
    show_device(client, add_device(make_user("lena")))

    assert client.get("/ops/").status_code == 302


def test_nothing_but_the_way_in_and_out_is_open_to_who_owes_a_code(client, mara, device):
    client.force_login(mara)
    prove(client)

    for address in ("/", "/account/", "/account/second-factor/remove/", "/admin/password_change/"):
        assert client.get(address).headers["Location"].startswith("/login/code/"), address
    client.post("/account/second-factor/remove/")
    assert has_confirmed(mara)
    poll = client.get("/ops/", headers={"HX-Request": "true"})
    assert (poll.status_code, poll.headers["HX-Redirect"]) == (200, "/login/code/")
    assert client.post("/logout/").status_code == 302


def has_confirmed(user) -> bool:
    return TOTPDevice.objects.filter(user=user, confirmed=True).exists()


# --- the two steps --------------------------------------------------------------------------------


def test_the_password_alone_signs_nobody_in(client, mara, device):
    first = post_login(client, follow=False)

    assert first.headers["Location"] == "/login/code/"
    assert "_auth_user_id" not in client.session
    assert not is_in(client)
    assert client.get("/ops/").headers["Location"].startswith("/login/?")


def test_password_and_code_sign_in_under_a_new_session(client, mara, device):
    client.post("/login/?next=/admin/", {"username": "mara", "password": PASSWORD})
    key = client.cookies["sessionid"].value
    page = client.get("/login/code/?next=/admin/")
    assert 'name="next" value="/admin/"' in page.content.decode()

    answer = send_code(client, code_of(device), next="/admin/")

    assert answer.headers["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200
    assert client.cookies["sessionid"].value != key


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", ""])
def test_the_second_step_leads_nowhere_else_either(client, device, wanted):
    post_login(client)

    assert send_code(client, code_of(device), next=wanted).headers["Location"] == "/ops/"


def test_a_code_without_a_password_is_asked_for_the_password(client, device):
    answer = send_code(client, code_of(device))

    assert answer.headers["Location"] == "/login/"
    assert not is_in(client)


def test_a_code_opens_once(client, device):
    code = code_of(device)
    post_login(client)
    send_code(client, code)
    assert is_in(client)

    other = Client()
    post_login(other)
    answer = send_code(other, code)

    assert "was used before" in answer.content.decode()
    assert not is_in(other)


def test_after_a_wrong_code_the_right_one_has_to_wait(client, device):
    post_login(client)

    wrong = send_code(client, wrong_code_of(device))
    early = send_code(client, code_of(device))
    assert "not right" in wrong.content.decode()
    assert "has to wait: try again in 1 s" in early.content.decode()
    assert not is_in(client)

    rest(device)
    send_code(client, code_of(device))
    assert is_in(client)


def rest(device) -> None:
    """Let the wait after a wrong code have passed."""
    type(device).objects.filter(pk=device.pk).update(throttling_failure_timestamp=None)


def test_wrong_codes_are_counted_like_wrong_passwords(client, device):
    post_login(client)
    codes = []
    for _ in range(5):
        rest(device)
        codes.append(send_code(client, wrong_code_of(device)).status_code)

    rest(device)

    assert codes == [200, 200, 200, 200, 429]
    # The half of a login that was there is gone, and no new one is to be had.
    assert send_code(client, code_of(device)).headers["Location"] == "/login/"
    assert post_login(client).status_code == 429


def test_a_password_said_right_again_gives_no_new_codes(client, device):
    for _ in range(4):
        post_login(client)
        rest(device)
        send_code(client, wrong_code_of(device))
    post_login(client)
    rest(device)

    assert send_code(client, wrong_code_of(device)).status_code == 429


def test_a_lockout_that_comes_between_the_steps_holds_for_the_second(client, device):
    post_login(client)
    for number in range(20):
        post_login(Client(), password="wrong", REMOTE_ADDR=f"10.0.0.{number + 1}")

    answer = send_code(client, code_of(device))

    assert answer.status_code == 429
    assert not is_in(client)


def test_half_a_login_is_good_for_ten_minutes(client, mara, device):
    post_login(client)
    write_session(client, half_login=client.session["half_login"] | {"at": time.time() - 600})

    assert send_code(client, code_of(device)).headers["Location"] == "/login/"


@pytest.mark.parametrize("what", ["password", "is_active"])
def test_half_a_login_is_void_when_the_account_changes(client, mara, device, what):
    post_login(client)
    if what == "password":
        mara.set_password("stapled to a tree")
    else:
        mara.is_active = False
    mara.save()

    assert send_code(client, code_of(device)).headers["Location"] == "/login/"


@pytest.mark.parametrize(
    "code",
    ["", "12345", "1234567", "+12345", "\uff11\uff12\uff13\uff14\uff15\uff16", "\x00", "a" * 9000],
)
def test_what_is_no_code_is_refused(client, mara, device, code):
    renew_backup_codes(mara, now=timezone.now())
    post_login(client)

    assert "not right" in send_code(client, code).content.decode()


# --- set-up, backup codes, removal ----------------------------------------------------------------


def set_up(client: Client, user) -> list[str]:
    """Set the second factor up by the pages and return the backup codes."""
    prove(client)
    client.get("/account/second-factor/")
    waiting = TOTPDevice.objects.get(user=user)
    answer = client.post("/account/second-factor/", {"code": code_of(waiting)})
    return re.findall(r'data-testid="backup-code">([a-z2-7]+)<', answer.content.decode())


def test_a_second_factor_is_set_up_by_a_code_of_it(client, mara):
    client.force_login(mara)
    other = Client()
    other.force_login(mara)
    key = client.cookies["sessionid"].value

    codes = set_up(client, mara)

    assert len(set(codes)) == 10
    assert has_confirmed(mara)
    assert client.get("/ops/").status_code == 200
    assert client.cookies["sessionid"].value != key
    assert other.get("/account/").headers["Location"].startswith("/login/?")
    acts = AuditEvent.objects.filter(actor="mara").order_by("seq").values_list("action", flat=True)
    assert list(acts) == ["second factor set up", "backup codes made"]


def test_the_secret_is_drawn_here_and_kept_by_no_cache(client, mara):
    client.force_login(mara)
    prove(client)

    page = client.get("/account/second-factor/")

    body = page.content.decode()
    assert 'src="data:image/svg+xml' in body
    assert "no-store" in page.headers["Cache-Control"]
    assert "img-src 'self' data:" in page.headers["Content-Security-Policy"]
    letters = re.search(r'data-testid="letters">([A-Z2-7 ]+)<', body)[1]
    assert b32decode(letters.replace(" ", "")) == TOTPDevice.objects.get(user=mara).bin_key


def test_the_same_secret_waits_until_it_is_confirmed(client, mara):
    client.force_login(mara)
    prove(client)
    client.get("/account/second-factor/")
    waiting = TOTPDevice.objects.get(user=mara)

    answer = client.post("/account/second-factor/", {"code": wrong_code_of(waiting)})

    assert "That code is not right" in answer.content.decode()
    assert not has_confirmed(mara)
    assert TOTPDevice.objects.get(user=mara).key == waiting.key


@pytest.mark.parametrize(
    "address",
    ["/account/second-factor/", "/account/second-factor/remove/", "/account/backup-codes/"],
)
def test_the_second_factor_is_touched_on_a_fresh_login_only(client, mara, address):
    if not address.endswith("second-factor/"):
        show_device_of_login(client, mara)
    else:
        client.force_login(mara)
    prove(client, seconds_ago=301)

    for answer in (client.get(address), client.post(address, {"code": "123456"})):
        body = answer.content.decode()
        assert 'name="again_password"' in body
        assert "data:image" not in body
    assert StaticToken.objects.count() == 0


def show_device_of_login(client: Client, user) -> TOTPDevice:
    client.force_login(user)
    found = add_device(user)
    show_device(client, found)
    return found


def test_a_mandatory_one_is_set_up_on_the_way_to_the_console(client, mara, settings):
    settings.REQUIRE_TOTP = True
    post_login(client)

    led = client.get("/ops/", follow=True)
    assert led.redirect_chain[-1][0] == "/account/second-factor/?next=%2Fops%2F"
    assert "Operators of this arena need one." in led.content.decode()

    set_up(client, mara)
    assert client.get("/ops/").status_code == 200


def test_a_backup_code_opens_once(client, mara):
    client.force_login(mara)
    codes = set_up(client, mara)
    first, second = Client(), Client()
    post_login(first)
    post_login(second)

    # As people type them.
    send_code(first, f" {codes[0][:4].upper()}-{codes[0][4:]} ")
    again = send_code(second, codes[0])

    assert is_in(first)
    assert "not right" in again.content.decode()
    assert not is_in(second)
    assert "9 backup codes left" in first.get("/account/").content.decode()


def test_new_backup_codes_void_the_old_ones(client, mara):
    client.force_login(mara)
    old = set_up(client, mara)

    page = client.post("/account/backup-codes/").content.decode()

    new = re.findall(r'data-testid="backup-code">([a-z2-7]+)<', page)
    assert len(new) == 10
    assert set(StaticToken.objects.values_list("token", flat=True)) == set(new)
    assert not set(old) & set(new)


def test_the_codes_of_one_account_open_no_other(client, mara):
    client.force_login(mara)
    codes = set_up(client, mara)
    lena = make_user("lena")
    add_device(lena)
    other = Client()
    post_login(other, "lena")

    send_code(other, codes[0])

    assert not is_in(other)


def test_a_second_factor_is_taken_away_after_asking(client, mara):
    client.force_login(mara)
    set_up(client, mara)

    assert (
        "Take the second factor away?"
        in client.get("/account/second-factor/remove/").content.decode()
    )
    assert has_confirmed(mara)
    client.post("/account/second-factor/remove/")

    assert not TOTPDevice.objects.exists()
    assert not StaticToken.objects.exists()
    assert post_login(Client()).headers["Location"] == "/ops/"
    assert AuditEvent.objects.order_by("-seq")[0].action == "second factor removed"
