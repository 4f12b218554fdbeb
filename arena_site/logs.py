"""Log records as single lines: what an answer or a client sent cannot forge a record."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime

from arena_site.secrecy import scrubbed

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape_controls(line: str) -> str:
    r"""Return the line with control and direction characters written out (``\n``, ``\x1b``)."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), line)


class OneLineFormatter(logging.Formatter):
    """Formats a record, its traceback included, as one line in UTC."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the record's time in UTC, to the millisecond."""
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, without any secret of the environment."""
        return escape_controls(scrubbed(super().format(record)))
