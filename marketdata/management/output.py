"""How commands say what they found: tables for people, one JSON document for programs."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from io import StringIO
from pathlib import Path
from typing import IO, Any, cast
from uuid import UUID

from django.core.management.base import OutputWrapper
from rich.console import Console
from rich.table import Table
from rich.text import Text

UNKNOWN = "—"
# A file or a pipe has no width: nothing is cut and nothing is wrapped.
PIPED_WIDTH = 100_000
# Controls and marks of direction could clear a terminal or make a text read otherwise than it is.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "off": "dim"}


def table(
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    styles: Mapping[str, str] = STYLES,
) -> Table:
    """Return a table without lines; columns named in ``right`` are flush right. A cell of a word of ``styles`` gets its colour.

    On a narrow terminal long words go on in the next line, so that no part of a slug is lost.
    """
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for heading in headings:
        justify: Any = "right" if heading in right else "left"
        made.add_column(heading, justify=justify, overflow="fold", header_style="dim")
    for row in rows:
        made.add_row(*(_text(value, styles) for value in row))
    return made


def _text(value: object, styles: Mapping[str, str]) -> Text:
    # No markup is read: a stranger's name may look like some.
    words = UNKNOWN if value is None else spelled(str(value))
    return Text(words, style=styles.get(words, ""))


def spelled(text: str) -> str:
    r"""Return ``text`` with control and direction characters written out (``\n``, ``\x1b``)."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def write_tables(stdout: OutputWrapper, tables: Sequence[Table], *, no_color: bool = False) -> None:
    """Write tables with an empty line between them: coloured on a terminal (unless NO_COLOR is set), plain and uncut elsewhere."""
    is_terminal = stdout.isatty()
    buffer = StringIO()
    console = console_on(cast("IO[str]", buffer), is_terminal=is_terminal, no_color=no_color)
    for place, item in enumerate(tables):
        if place:
            console.print()
        console.print(item)
    lines = (line.rstrip() if not is_terminal else line for line in buffer.getvalue().splitlines())
    write_line(stdout, "\n".join(lines))


def write_line(stdout: OutputWrapper, text: str) -> None:
    """Write text, with a question mark for what the terminal's encoding lacks."""
    encoding = getattr(stdout, "encoding", None) or "utf-8"
    stdout.write(text.encode(encoding, "replace").decode(encoding))


def console_on(file: IO[str], *, is_terminal: bool, no_color: bool = False) -> Console:
    """Return a console on ``file``: as wide as the terminal, or as wide as it takes."""
    plain = not is_terminal or no_color or bool(os.environ.get("NO_COLOR"))
    width = None if is_terminal else PIPED_WIDTH
    return Console(
        file=file,
        force_terminal=is_terminal,
        color_system=None if plain else "auto",
        width=width,
        highlight=False,
    )


def write_json(stdout: OutputWrapper, document: object) -> None:
    """Write one JSON document: decimals as strings without exponent, times in UTC with Z, keys in the order given."""
    stdout.write(json.dumps(_plain(document), indent=2))


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, UUID | Path | date):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def utc_text(value: datetime) -> str:
    """Return a time as ISO 8601 in UTC with Z."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
