#!/usr/bin/env python3
"""Write a .env with generated keys, or add the keys that one lacks.

Needs nothing but Python: it runs before anything is installed. The file is for its owner only.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
from pathlib import Path

HEADER = """\
# Settings of this arena; .env.example explains every variable.
# Keep it to yourself: with these keys sessions can be forged and stored secrets read.
"""


def generated_values() -> dict[str, str]:
    """Return a fresh value for each key that an arena must have."""
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ARENA_ENCRYPTION_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode("ascii"),
    }


def missing_names(text: str) -> list[str]:
    """Return the keys that the text sets neither directly nor through NAME_FILE."""
    return [
        name
        for name in generated_values()
        if not re.search(rf"^\s*(?:export\s+)?{name}(?:_FILE)?\s*=\s*\S", text, re.MULTILINE)
    ]


def setup_env(path: Path) -> list[str]:
    """Make the file private and complete; return the names that were added."""
    # The mode is given at creation: there is no moment in which others could read it.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        text = file.read()
        missing = missing_names(text)
        if not missing:
            return []
        values = generated_values()
        if not text:
            file.write(HEADER)
        elif not text.endswith("\n"):
            file.write("\n")
        file.writelines(f"{name}={values[name]}\n" for name in missing)
    return missing


def main() -> None:
    """Set up the .env beside manage.py, or the file named as argument."""
    default = Path(__file__).resolve().parent.parent / ".env"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    added = setup_env(path)
    if added:
        print(f"Wrote {', '.join(added)} to {path.name} (readable by you alone).")


if __name__ == "__main__":
    main()
