"""The second factor as the services see it."""

from __future__ import annotations

import pytest
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from competitions.models import AuditEvent
from competitions.selectors.second_factor import backup_codes_left, has_second_factor
from competitions.services.second_factor import (
    begin_second_factor,
    check_code,
    confirm_second_factor,
    remove_second_factor,
    renew_backup_codes,
)
from tests.logins import add_device, code_of, make_user, wrong_code_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("quick_passwords")]


@pytest.fixture
def mara():
    return make_user()


def test_a_code_of_the_app_is_good_once(mara):
    device = add_device(mara)
    code = code_of(device)

    first, second = check_code(mara, code), check_code(mara, code)

    assert (first.device, first.refusal) == (device, "")
    assert second.device is None
    assert second.was_looked_at


def test_a_code_that_comes_too_early_after_a_wrong_one_is_not_looked_at(mara):
    device = add_device(mara)
    check_code(mara, wrong_code_of(device))

    early = check_code(mara, code_of(device))

    assert early.device is None
    assert not early.was_looked_at
    assert early.refusal == "After a wrong code the next one has to wait: try again in 1 s."


def test_a_backup_code_is_good_once_and_counted_down(mara):
    codes = renew_backup_codes(mara, now=timezone.now())

    assert check_code(mara, codes[3]).device == StaticDevice.objects.get()
    assert backup_codes_left(mara) == 9
    assert check_code(mara, codes[3]).device is None
    assert backup_codes_left(mara) == 9


def test_a_secret_that_was_not_confirmed_opens_nothing(mara):
    device = begin_second_factor(mara)

    assert not has_second_factor(mara)
    assert check_code(mara, code_of(device)).device is None


def test_confirming_keeps_the_one_secret_that_the_code_is_of(mara):
    older = add_device(mara)
    waiting = begin_second_factor(mara)
    assert begin_second_factor(mara) == waiting

    refused = confirm_second_factor(mara, wrong_code_of(waiting), now=timezone.now())
    waiting.refresh_from_db()
    waiting.throttle_reset()
    confirmed = confirm_second_factor(mara, code_of(waiting), now=timezone.now())

    assert refused is None
    assert confirmed == waiting
    assert list(TOTPDevice.objects.all()) == [waiting]
    assert older not in TOTPDevice.objects.all()
    assert AuditEvent.objects.get().action == "second factor set up"


def test_the_code_that_confirmed_opens_nothing_more(mara):
    waiting = begin_second_factor(mara)
    code = code_of(waiting)
    confirm_second_factor(mara, code, now=timezone.now())

    assert check_code(mara, code).device is None


def test_removing_takes_the_backup_codes_along_and_is_logged_once(mara):
    add_device(mara)
    renew_backup_codes(mara, now=timezone.now())

    removed = [remove_second_factor(mara, actor="root", now=timezone.now()) for _ in range(2)]

    assert removed == [True, False]
    assert not has_second_factor(mara)
    assert backup_codes_left(mara) == 0
    logged = AuditEvent.objects.filter(action="second factor removed")
    assert list(logged.values_list("actor", "subject")) == [("root", "mara")]
