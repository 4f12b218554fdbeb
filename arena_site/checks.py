"""System checks of the arena: what is set up wrong is told at the start.

Errors end every command; those marked ``deploy`` are asked by ``check --deploy`` alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from cryptography.fernet import Fernet
from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connection

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]", "::1", ".localhost", "testserver"})
SECRET_KEY_LENGTH = 32

Apps = Sequence[AppConfig] | None


def _is_sqlite() -> bool:
    return connection.vendor == "sqlite"


@register(Tags.security)
def check_secret_key(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """E001: processes that share sessions need one key. E002: it must not be short."""
    if not settings.SECRET_KEY_IS_SET:
        if _is_sqlite():
            return []
        return [_missing_secret_key()]
    length = len(settings.SECRET_KEY)
    if length < SECRET_KEY_LENGTH:
        return [
            Error(
                f"SECRET_KEY must have at least {SECRET_KEY_LENGTH} characters, had {length}.",
                hint="Generate one: python -c 'import secrets; print(secrets.token_urlsafe(50))'",
                id="arena.E002",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def check_deployed_secret_key(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """E001 again: a deployment keeps its key, on SQLite too."""
    if settings.SECRET_KEY_IS_SET or not _is_sqlite():
        return []
    return [_missing_secret_key()]


def _missing_secret_key() -> Error:
    return Error(
        "SECRET_KEY is not set: each process would make its own, and sessions end with it.",
        hint="Set SECRET_KEY, or SECRET_KEY_FILE to the path of a file that holds it.",
        id="arena.E001",
    )


@register(Tags.security)
def check_debug(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """E003: DEBUG shows settings and source to whoever reaches the page."""
    public = sorted(set(settings.ALLOWED_HOSTS) - LOOPBACK_HOSTS)
    if not settings.DEBUG or not public:
        return []
    return [
        Error(
            f"DEBUG is on while ALLOWED_HOSTS names {', '.join(public)}.",
            hint="Unset DEBUG, or allow only 127.0.0.1 and localhost.",
            id="arena.E003",
        )
    ]


@register(Tags.security)
def check_encryption_key(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """E004: every part of ARENA_ENCRYPTION_KEY is a Fernet key."""
    for position, key in enumerate(settings.ARENA_ENCRYPTION_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            return [
                Error(
                    f"ARENA_ENCRYPTION_KEY part {position} is not a Fernet key: "
                    f"wanted 44 characters of URL-safe base64, had {len(key)} characters.",
                    hint=(
                        "Generate one: python -c 'import base64, os; "
                        "print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"
                    ),
                    id="arena.E004",
                )
            ]
    return []


@register(Tags.security, deploy=True)
def check_encryption_key_is_set(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """E008: a deployment has a key for secrets at rest."""
    if settings.ARENA_ENCRYPTION_KEYS:
        return []
    return [
        Error(
            "ARENA_ENCRYPTION_KEY is not set: no secret can be stored.",
            hint="Run scripts/setup_env.py once; it writes a .env with generated keys.",
            id="arena.E008",
        )
    ]


@register(Tags.files)
def check_var_dir(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """E005: SQLite and the lock file need a directory that can be written."""
    if not _is_sqlite():
        return []
    folder = settings.VAR_DIR
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return []
    found = "is not writable" if folder.exists() else "does not exist and cannot be made"
    return [
        Error(
            f"The directory {folder} {found}.",
            hint="Make it writable, or set ARENA_VAR_DIR to one that is.",
            id="arena.E005",
        )
    ]


@register(Tags.database)
def check_live_needs_postgres(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """E006: real money is not kept in an SQLite file. E007: nor shown with DEBUG on."""
    if not settings.ARENA_ALLOW_LIVE:
        return []
    problems: list[CheckMessage] = []
    if _is_sqlite():
        problems.append(
            Error(
                "ARENA_ALLOW_LIVE is set, but the database is SQLite: live venues need PostgreSQL.",
                hint="Set DATABASE_URL=postgres://…, or unset ARENA_ALLOW_LIVE.",
                id="arena.E006",
            )
        )
    if settings.DEBUG:
        problems.append(
            Error("ARENA_ALLOW_LIVE and DEBUG are both on.", hint="Unset one.", id="arena.E007")
        )
    return problems


@register(Tags.security)
def check_allowed_hosts(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """E009: the origin of a socket is compared with ALLOWED_HOSTS, so * lets any page in."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Error(
            "ALLOWED_HOSTS contains *: any web page could open the arena's sockets.",
            hint="Name the hosts under which the arena is reached.",
            id="arena.E009",
        )
    ]


@register(Tags.files)
def check_static_files(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """E010: a named static root has been filled; without it every page would fail."""
    root = settings.STATIC_ROOT
    if root is None or (root / "staticfiles.json").is_file():
        return []
    return [
        Error(
            f"ARENA_STATIC_ROOT is {root}, but no static files were collected there.",
            hint="Run manage.py collectstatic, or unset ARENA_STATIC_ROOT.",
            id="arena.E010",
        )
    ]
