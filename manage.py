#!/usr/bin/env python
"""Run the arena's commands: ``python manage.py arena`` starts everything."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db.utils import OperationalError, ProgrammingError


def main() -> None:
    """Run one management command with the arena's settings.

    What the person who called it can put right is told in one line; ``--traceback`` shows all.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arena_site.settings")
    if "--traceback" in sys.argv:
        execute_from_command_line(sys.argv)
        return
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"settings: {error}")
    except (OperationalError, ProgrammingError) as error:
        if not _lacks_tables(error) and isinstance(error, ProgrammingError):
            raise
        sys.exit(_database_trouble(error))


def _lacks_tables(error: Exception) -> bool:
    words = str(error)
    return "no such table" in words or ("relation" in words and "does not exist" in words)


def _database_trouble(error: Exception) -> str:
    from django.db import connection

    place = connection.settings_dict
    # Never the address itself: it carries a password.
    where = ":".join(part for part in (place["HOST"], place["PORT"]) if part)
    name = f"{connection.vendor} {place['NAME']}" + (f" at {where}" if where else "")
    if _lacks_tables(error):
        return f"database {name} has no tables yet: run manage.py prepare first"
    return f"database {name}: {str(error).strip()} (DATABASE_URL says where it is)"


if __name__ == "__main__":
    main()
