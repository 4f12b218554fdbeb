"""manage.py reset_password: the way back into an account."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from axes.models import AccessAttempt
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from competitions.models import AuditEvent
from competitions.services.second_factor import renew_backup_codes
from tests.arenas import open_arena
from tests.logins import add_device, code_of, make_user, post_login

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]


@pytest.fixture
def mara():
    return make_user(role="operator")


def reset(*arguments: str) -> dict[str, object]:
    said = StringIO()
    call_command("reset_password", *arguments, "--json", stdout=said)
    return json.loads(said.getvalue())


def test_the_new_password_opens_and_the_old_one_does_not(client, mara):
    made = reset("mara")

    assert post_login(client).status_code == 200
    assert len(made["password"]) == 16
    assert post_login(client, password=made["password"]).headers["Location"] == "/ops/"
    assert reset("mara")["password"] != made["password"]


def test_it_is_told_in_words_once(mara):
    said = StringIO()

    call_command("reset_password", "mara", stdout=said)

    words = said.getvalue()
    assert words.startswith("Password of mara: ")
    assert "(shown only now)" in words
    assert "Second factor: as it was." in words
    password = words.split()[3]
    mara.refresh_from_db()
    assert mara.check_password(password)
    assert password not in str(list(AuditEvent.objects.values()))


def test_sessions_end_lockouts_are_lifted_and_the_second_factor_goes(client, mara):
    make_user("lena")
    other = Client()
    post_login(client)
    post_login(other, "lena")
    for number in range(20):
        post_login(Client(), password="wrong", REMOTE_ADDR=f"10.0.0.{number + 1}")
    post_login(Client(), "lena", "wrong")
    add_device(mara)
    renew_backup_codes(mara, now=timezone.now())

    made = reset("mara")

    assert made["sessions_ended"] == 1
    assert made["lockouts_lifted"] == 20
    assert made["second_factor_removed"] is True
    assert client.get("/ops/").status_code == 302
    assert other.get("/account/").status_code == 200
    assert list(AccessAttempt.objects.values_list("username", flat=True)) == ["lena"]
    assert not TOTPDevice.objects.exists()
    assert not StaticDevice.objects.exists()
    assert post_login(Client(), password=made["password"]).headers["Location"] == "/ops/"
    entry = AuditEvent.objects.order_by("-seq")[0]
    assert (entry.action, entry.subject) == ("password reset", "mara")
    assert entry.actor.endswith("(command)")


def test_a_second_factor_that_is_kept_goes_on_being_asked_for_without_a_wait(client, mara):
    device = add_device(mara)
    device.throttle_increment()

    made = reset("mara", "--keep-totp")

    assert made["second_factor_removed"] is False
    assert post_login(client, password=made["password"]).headers["Location"] == "/login/code/"
    assert client.post("/login/code/", {"code": code_of(device)}).headers["Location"] == "/ops/"


def test_a_name_that_nobody_has_is_told_with_those_that_operators_have(mara):
    make_user("root", "administrator")
    make_user("viewer")

    with pytest.raises(CommandError) as failed:
        reset("maria")

    assert str(failed.value) == "there is no account 'maria'; operators are: mara, root"
    assert failed.value.returncode == 2


def test_it_needs_neither_redis_nor_a_worker(tmp_path):
    with open_arena(tmp_path) as arena:
        arena.environment["DJANGO_SUPERUSER_PASSWORD"] = "correct horse battery"
        arena.manage("createsuperuser", "--noinput", "--username", "mara", "--email", "")
        # Nobody listens there.
        arena.environment["REDIS_URL"] = "redis://127.0.0.1:9/0"
        made = json.loads(arena.manage("reset_password", "mara", "--json"))
        failed = arena.try_run("manage.py", "reset_password", "nobody", "--json")
        helped = arena.manage("reset_password", "--help")

    assert (made["username"], len(made["password"])) == ("mara", 16)
    assert failed.returncode == 2
    assert "there is no account 'nobody'; operators are: mara" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "0  the account has the password that is shown, and no other" in helped
