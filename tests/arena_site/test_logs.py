"""A log record is one line, whatever text it carries."""

from __future__ import annotations

import logging
import sys

from arena_site.logs import OneLineFormatter


def record(message: str, **kwargs) -> logging.LogRecord:
    return logging.LogRecord("arena", logging.INFO, "f.py", 1, message, None, None, **kwargs)


def test_control_characters_cannot_forge_a_second_record():
    line = OneLineFormatter("%(levelname)s %(message)s").format(
        record("a\r\nERROR b\x1b[31m\u202e")
    )

    assert line == "INFO a\\r\\nERROR b\\x1b[31m\\u202e"


def test_traceback_stays_on_the_line():
    try:
        int("two\nlines")
    except ValueError:
        failed = record("failed")
        failed.exc_info = sys.exc_info()

    line = OneLineFormatter("%(message)s").format(failed)

    assert "\n" not in line
    assert "ValueError: invalid literal" in line


def test_time_is_utc_to_the_millisecond():
    made = record("x")
    made.created, made.msecs = 0.25, 250.0

    assert OneLineFormatter("%(asctime)s").format(made) == "1970-01-01T00:00:00.250+00:00"
