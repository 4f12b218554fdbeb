"""Bring every stored secret under the newest encryption key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser

from marketdata.management.base import ArenaCommand
from marketdata.secrets import SecretError
from marketdata.services import Rotation, rotate_secrets


class Command(ArenaCommand):
    help = (
        "Encrypt every stored secret under the first key of ARENA_ENCRYPTION_KEY; older keys follow it, separated by commas, "
        "until this has run. May run beside the arena, and again after it was broken off."
    )

    exit_codes: ClassVar[Mapping[int, str]] = {
        0: "every stored secret is under the first key",
        1: "some secret is not: it cannot be opened, or (with --check) is under an older key",
        130: "stopped by Ctrl+C: what was renewed stays renewed; run it again",
    }
    examples: ClassVar[tuple[str, ...]] = ("rotate_keys", "rotate_keys --check --json")
    has_json: ClassVar[bool] = True
    interrupted: ClassVar[str] = "stopped: what was renewed stays renewed; run it again"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="write nothing; exit code 1 while a secret is under an older key",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        only_look: bool = options["check"]
        try:
            done = rotate_secrets(only_look=only_look)
        except SecretError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.write_json({"check": only_look, **asdict(done)})
        else:
            self._tell(done, only_look=only_look)
        if done.failures:
            raise CommandError(f"{len(done.failures)} stored secrets cannot be opened")
        if only_look and done.renewed:
            raise CommandError(f"{done.renewed} stored secrets are under an older key")

    def _tell(self, done: Rotation, *, only_look: bool) -> None:
        word = "under an older key" if only_look else "renewed"
        self.stdout.write(f"{done.current} already current, {done.renewed} {word}")
        for failure in done.failures:
            self.stdout.write(self.style.ERROR(failure))
