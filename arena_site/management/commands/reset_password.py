from __future__ import annotations

import getpass
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.utils import timezone

from arena_site.account import PasswordReset, reset_password
from marketdata.management.base import SHOWN, ArenaCommand, wrong_use


class Command(ArenaCommand):
    """Give an account a new password and a way back in; needs neither Redis nor Celery."""

    help = (
        "Give an account a new random password, which is shown once. Ends all its sessions, lifts "
        "its lockout and takes its second factor away."
    )
    exit_codes = {0: "the account has the password that is shown, and no other"}
    examples = ("reset_password operator", "reset_password operator --keep-totp --json")
    has_json = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add whose password, and what of it stays."""
        parser.add_argument("username", metavar="USERNAME")
        parser.add_argument(
            "--keep-totp", action="store_true", help="logins go on asking for the second factor"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Reset, and show the new password this once."""
        done = reset_password(
            _account(options["username"]),
            keep_totp=options["keep_totp"],
            actor=f"{getpass.getuser()} (command)",
            now=timezone.now(),
        )
        if options["json"]:
            self.write_json(asdict(done))
        else:
            self.stdout.write("\n".join(_told(done)))


def _account(username: str) -> AbstractUser:
    users = get_user_model().objects
    found = users.filter(username=username).first()
    if found is None:
        known = users.filter(is_staff=True).order_by("username").values_list("username", flat=True)
        raise wrong_use(
            f"there is no account {username[:SHOWN]!r}; operators are: {', '.join(known[:20]) or 'none'}"
        )
    return found


def _told(done: PasswordReset) -> list[str]:
    factor = "removed" if done.second_factor_removed else "as it was"
    return [
        f"Password of {done.username}: {done.password} (shown only now)",
        f"Sessions ended: {done.sessions_ended}. Wrong logins forgotten: {done.lockouts_lifted}. "
        f"Second factor: {factor}.",
    ]
