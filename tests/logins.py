"""Accounts, proofs and second factors, as tests need them."""

from __future__ import annotations

import time

from django.test import Client
from django.utils import timezone
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from competitions.services.access import make_api_key
from tests.builders import make_user as make_account

PASSWORD = "correct horse battery"


def make_user(name: str = "mara", role: str | None = None):
    """Return an account with a password, and that role if one is named."""
    return make_account(name, role, password=PASSWORD)


def make_key(owner, *scopes: str) -> str:
    made = make_api_key("test", owner=owner, scopes=scopes, actor="mara", now=timezone.now())
    return made.token


def post_login(client: Client, name: str = "mara", password: str = PASSWORD, **more):
    return client.post("/login/", {"username": name, "password": password}, **more)


def write_session(client: Client, **values) -> None:
    session = client.session
    session.update(values)
    session.save()


def prove(client: Client, *, seconds_ago: float = 0) -> None:
    """Let the session have given its password so long ago."""
    write_session(client, proved_at=time.time() - seconds_ago)


def add_device(user, *, is_confirmed: bool = True) -> TOTPDevice:
    return TOTPDevice.objects.create(user=user, name="app", confirmed=is_confirmed)


def show_device(client: Client, device: TOTPDevice) -> None:
    """Let the session have shown the second factor."""
    write_session(client, **{DEVICE_ID_SESSION_KEY: device.persistent_id})


def code_of(device: TOTPDevice, *, steps: int = 0) -> str:
    """Return the code that the app shows now, or so many steps later."""
    return f"{totp(device.bin_key, drift=steps):06d}"


def wrong_code_of(device: TOTPDevice) -> str:
    near = {code_of(device, steps=step) for step in range(-3, 4)}
    return next(code for code in map("{:06d}".format, range(10)) if code not in near)
