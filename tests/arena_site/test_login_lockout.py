"""Guesses at a password: how many are looked at, from where, and what is told."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.utils import timezone

from competitions.models import AuditEvent
from tests.logins import PASSWORD, make_user, post_login, prove

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]

looked_at: list[str] = []


class CountingHasher(MD5PasswordHasher):
    """Quick, and notes each password that is compared."""

    algorithm = "counting"

    def verify(self, password: str, encoded: str) -> bool:
        looked_at.append(password)
        return super().verify(password, encoded)

    def harden_runtime(self, password: str, encoded: str) -> None:
        return


@pytest.fixture
def counted(settings):
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    looked_at.clear()
    return looked_at


@pytest.fixture
def mara():
    return make_user(role="operator")


@pytest.mark.parametrize("address", ["/login/", "/admin/login/"])
def test_the_fifth_wrong_password_locks_and_then_the_right_one_opens_nothing(client, mara, address):
    wrong = {"username": "mara", "password": "wrong"}
    codes = [client.post(address, wrong).status_code for _ in range(5)]

    refused = client.post(address, {"username": "mara", "password": PASSWORD})

    assert codes == [200, 200, 200, 200, 429]
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "900"
    assert "no-store" in refused.headers["Cache-Control"]
    assert "Too many wrong tries" in refused.content.decode()
    assert client.get("/ops/").status_code == 302


def test_a_name_that_does_not_exist_is_answered_as_one_that_does(client, mara):
    def answers(name: str) -> list[tuple[int, str]]:
        answers = [post_login(client, name, "wrong") for _ in range(6)]
        return [(a.status_code, a.content.decode().replace(name, "NAME")) for a in answers]

    known, unknown = answers("mara"), answers("nobody")

    assert [code for code, _ in known] == [code for code, _ in unknown]
    assert "do not fit together" in known[0][1]
    assert "do not fit together" in unknown[0][1]
    assert known[-1] == unknown[-1]


def test_a_deactivated_account_is_answered_as_one_that_does_not_exist(client, mara):
    mara.is_active = False
    mara.save()

    assert "do not fit together" in post_login(client).content.decode()


def test_an_unknown_name_takes_as_long_as_a_known_one(client, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    make_user()
    taken: dict[str, list[float]] = {"mara": [], "nobody": []}
    for number in range(4):
        for name, times in taken.items():
            start = time.perf_counter()
            post_login(client, name, "wrong", REMOTE_ADDR=f"10.0.0.{number + 1}")
            times.append(time.perf_counter() - start)

    known, unknown = min(taken["mara"]), min(taken["nobody"])

    # Without the hash for nobody it would be a small part; the rest is the noise of a busy machine.
    assert unknown > 0.6 * known
    assert known > 0.6 * unknown


def test_a_thousand_guesses_from_fifty_addresses_are_looked_at_twenty_times(counted):
    make_user()
    client = Client()

    for number in range(1000):
        post_login(client, "mara", f"guess {number}", REMOTE_ADDR=f"10.0.0.{number % 50 + 1}")

    assert len(counted) == 20


def test_one_address_is_looked_at_five_times_and_another_still_comes_in(client, counted):
    make_user()
    for number in range(30):
        post_login(client, "mara", f"guess {number}", REMOTE_ADDR="10.0.0.1")

    inside = post_login(client, REMOTE_ADDR="10.0.0.2")

    assert len(counted) == 5 + 1
    assert inside.status_code == 302


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="threads share no database in memory")
def test_guesses_sent_at_once_are_counted_before_the_next_is_looked_at(counted):
    make_user()

    def guess(number: int) -> int:
        try:
            return post_login(Client(), "mara", f"guess {number}").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as pool:
        codes = list(pool.map(guess, range(24)))

    assert len(counted) == 5
    assert sorted(codes) == [200] * 4 + [429] * 20


def test_a_lockout_ends_after_a_quarter_of_an_hour_and_guesses_do_not_prolong_it(client, mara):
    for _ in range(5):
        post_login(client, "mara", "wrong")
    began = timezone.now() - timedelta(minutes=14, seconds=50)
    AccessAttempt.objects.update(attempt_time=began)
    assert post_login(client).status_code == 429
    assert AccessAttempt.objects.get().attempt_time == began

    AccessAttempt.objects.update(attempt_time=began - timedelta(seconds=20))

    assert post_login(client).status_code == 302


def test_a_login_forgets_the_failures_of_its_own_address_only(client, counted):
    make_user()
    for number in range(19):
        post_login(client, "mara", "wrong", REMOTE_ADDR=f"10.0.0.{number + 1}")

    assert post_login(client, REMOTE_ADDR="10.0.0.1").status_code == 302
    Client().post("/login/", {"username": "mara", "password": "wrong"}, REMOTE_ADDR="10.0.1.1")
    last = post_login(Client(), "mara", "wrong", REMOTE_ADDR="10.0.1.2")

    # 18 of the first 19, and these two.
    assert last.status_code == 429


def test_strangers_who_guess_keep_nobody_from_an_act_who_is_signed_in(client, mara):
    client.force_login(mara)
    prove(client, seconds_ago=3600)
    for number in range(25):
        post_login(Client(), "mara", "wrong", REMOTE_ADDR=f"10.0.0.{number + 1}")
    assert post_login(Client()).status_code == 429

    answer = client.post(
        "/account/backup-codes/", {"again_password": PASSWORD, "again_reading": "1"}
    )

    assert answer.status_code == 302


def test_what_is_kept_of_an_attempt_is_no_secret(client, mara):
    client.force_login(mara)
    client.post("/account/second-factor/", {"again_password": "wr0ng", "code": "123456"})
    post_login(Client(), "mara", "wr0ng-too")

    kept = " ".join(AccessAttempt.objects.values_list("post_data", flat=True))

    assert kept
    assert "wr0ng" not in kept
    assert "123456" not in kept


def test_the_log_tells_the_address_and_not_what_was_typed_as_a_name(client, caplog):
    with caplog.at_level(logging.WARNING):
        post_login(client, "my-password-in-the-wrong-field", "wrong", REMOTE_ADDR="10.0.0.3")

    assert "address=10.0.0.3 path=/login/" in caplog.text
    assert "my-password" not in caplog.text


def lift(client: Client):
    chosen = AccessAttempt.objects.first().pk
    return client.post(
        "/admin/axes/accessattempt/", {"action": "lift", "_selected_action": [chosen]}
    )


def test_an_administrator_lifts_a_lockout_of_a_name(client, mara):
    for number in range(20):
        post_login(Client(), "mara", "wrong", REMOTE_ADDR=f"10.0.0.{number + 1}")
    client.force_login(make_user("root", "administrator"))

    lift(client)

    assert post_login(Client()).status_code == 302
    entry = AuditEvent.objects.order_by("-seq")[0]
    assert (entry.actor, entry.action, entry.subject) == ("root", "lockout lifted", "mara")


def test_who_may_only_look_at_attempts_lifts_nothing(client, mara):
    for _ in range(5):
        post_login(Client(), "mara", "wrong")
    looker = make_user("lena", "operator")
    looker.user_permissions.add(Permission.objects.get(codename="view_accessattempt"))
    client.force_login(looker)
    pk = AccessAttempt.objects.get().pk

    assert client.get("/admin/axes/accessattempt/").status_code == 200
    lift(client)
    for verb in ("delete", "change"):
        client.post(f"/admin/axes/accessattempt/{pk}/{verb}/", {"post": "yes"})

    assert AccessAttempt.objects.get().failures_since_start == 5


def test_the_admin_shows_no_secret_of_a_second_factor(client):
    client.force_login(make_user("root", "administrator"))

    assert client.get("/admin/otp_totp/totpdevice/").status_code == 404
    assert client.get("/admin/otp_static/staticdevice/").status_code == 404
