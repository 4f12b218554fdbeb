"""Log records as single lines: what an answer or a client sent cannot forge a record."""

from __future__ import annotations

import logging
import re
import time

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape_controls(line: str) -> str:
    r"""Return the line with control and direction characters written out (``\n``, ``\x1b``)."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), line)


class OneLineFormatter(logging.Formatter):
    """Formats a record, its traceback included, as one line in UTC."""

    converter = time.gmtime
    default_msec_format = "%s.%03dZ"
    default_time_format = "%Y-%m-%dT%H:%M:%S"

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        return escape_controls(super().format(record))
