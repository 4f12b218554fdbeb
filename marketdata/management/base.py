"""What the arena's commands share: help with exit codes and examples, a word to who stops them, wrong use told apart."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
)

from marketdata.management.output import write_json

INTERRUPTED = 130
# What is typed too long is shown in part.
SHOWN = 60


def wrong_use(message: str) -> CommandError:
    """Return the error of a call that names something that does not exist or does not fit; nothing was done. Exit code 2, as argparse's."""
    return CommandError(message, returncode=2)


class _HelpFormatter(DjangoHelpFormatter):
    """Keeps the lines of an epilog."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" not in text:
            return super()._fill_text(text, width, indent)
        return "".join(indent + line for line in text.splitlines(keepends=True))


class ArenaCommand(BaseCommand):
    """A command that documents its exit codes, can answer in JSON if it ``has_json``, and ends on Ctrl+C in one line."""

    exit_codes: ClassVar[Mapping[int, str]] = {0: "done"}
    examples: ClassVar[tuple[str, ...]] = ()
    has_json: ClassVar[bool] = False
    # What a person who pressed Ctrl+C must know.
    interrupted: ClassVar[str] = "stopped"

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the parser, its help ending with exit codes and examples."""
        kwargs.setdefault("formatter_class", _HelpFormatter)
        kwargs.setdefault("epilog", self._epilog())
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        if self.has_json:
            parser.add_argument(
                "--json", action="store_true", help="answer with one JSON document on stdout"
            )
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run, and tell a stop by Ctrl+C in words."""
        try:
            return super().execute(*args, **options)
        except KeyboardInterrupt:
            raise CommandError(self.interrupted, returncode=INTERRUPTED) from None

    def write_json(self, document: object) -> None:
        """Write the command's one JSON document."""
        write_json(self.stdout, document)

    def _epilog(self) -> str:
        codes = {**self.exit_codes, 2: "wrong use: nothing was done"}
        lines = ["exit codes:", *(f"  {code}  {words}" for code, words in sorted(codes.items()))]
        if self.examples:
            lines += ["", "examples:", *(f"  manage.py {line}" for line in self.examples)]
        return "\n".join(lines)


def positive(text: str) -> int:
    """Return a whole number of at least one; raise ArgumentTypeError naming what was found."""
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) < 1:
        raise ArgumentTypeError(
            f"a whole number from 1 to 999999999 is wanted, was {text[:SHOWN]!r}"
        )
    return int(text)
