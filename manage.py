#!/usr/bin/env python
"""Run the arena's commands: ``python manage.py arena`` starts everything."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run one management command with the arena's settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arena_site.settings")

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
