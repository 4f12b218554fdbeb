#!/usr/bin/env python3
"""Write the secret files that docker-compose.yml mounts; those already there are left alone.

Needs nothing but Python.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path


def make_secrets() -> dict[str, str]:
    """Return the content of each file; the two addresses carry the passwords."""
    postgres, redis = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    return {
        "secret_key": secrets.token_urlsafe(50),
        "arena_encryption_key": base64.urlsafe_b64encode(os.urandom(32)).decode("ascii"),
        "postgres_password": postgres,
        "redis_password": redis,
        "database_url": f"postgres://arena:{postgres}@postgres:5432/arena",
        "redis_url": f"redis://:{redis}@redis:6379/0",
        "providers.env": "# ANTHROPIC_API_KEY=…\n# OPENAI_API_KEY=…\n",
    }


def setup_secrets(folder: Path) -> bool:
    """Write all files into a fresh private folder; return False if there is one already."""
    try:
        # Containers read the mounted files under another user id, so the files are readable and
        # the folder keeps everybody else on the host out.
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return False
    for name, value in make_secrets().items():
        path = folder / name
        path.write_text(value, encoding="utf-8")
        path.chmod(0o600 if name == "providers.env" else 0o644)
    return True


def main() -> None:
    """Set up secrets/ beside docker-compose.yml, or the folder named as argument."""
    default = Path(__file__).resolve().parent.parent / "secrets"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    if setup_secrets(folder):
        print(f"Wrote {folder.name}/ (for you alone). Now: docker compose up --build")
    else:
        print(f"{folder.name}/ is there already; nothing was changed.")


if __name__ == "__main__":
    main()
