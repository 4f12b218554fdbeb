"""Typed reading of the environment: every wrong value is refused by name.

This is read before Django exists, so it knows nothing of Django but the exception.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = ("1", "true", "yes", "on")
FALSE_WORDS = ("0", "false", "no", "off", "")
SECRET_SUFFIXES = ("_KEY", "_SECRET", "_TOKEN", "_URL", "_PASSWORD")

# Every ARENA_* variable that means something. Names under ARENA_TEST_ belong to the test suite.
ARENA_NAMES = frozenset(
    {
        "ARENA_ALLOW_LIVE",
        "ARENA_ENCRYPTION_KEY",
        "ARENA_HTTPS",
        "ARENA_PROXY_COUNT",
        "ARENA_REQUIRE_TOTP",
        "ARENA_STATIC_ROOT",
        "ARENA_VAR_DIR",
    }
)

_LINE = re.compile(r"^(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)$")


def load_env_file(path: Path, environ: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables of a ``.env`` file that the environment does not set already.

    A missing file is fine. Lines are ``NAME=value``, quotes around the value are dropped,
    ``#`` starts a comment line (or, after a space, ends an unquoted value).

    Raises:
        ImproperlyConfigured: If a line is none of these, naming the file and the line number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.match(stripped)
        if match is None:
            # The line itself is not shown: it may hold a secret.
            raise ImproperlyConfigured(f"{path.name} line {number} is not of the form NAME=value")
        environ.setdefault(match["name"], _unquote(match["value"]))


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value.split(" #", 1)[0].strip()


def load_secret_files(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set NAME from the file that NAME_FILE points at, for names that may hold a secret.

    Raises:
        ImproperlyConfigured: If both are given, or the file cannot be read.
    """
    for name_file in [name for name in environ if name.endswith("_FILE")]:
        name = name_file.removesuffix("_FILE")
        if not name.endswith(SECRET_SUFFIXES) or not environ[name_file]:
            continue
        if environ.get(name):
            raise ImproperlyConfigured(f"both {name} and {name_file} are set, wanted only one")
        path = Path(environ[name_file])
        try:
            environ[name] = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name_file} must name a readable file, was {str(path)!r} ({error.strerror})"
            ) from error


def refuse_unknown(environ: Mapping[str, str] = os.environ) -> None:
    """Refuse ARENA_* variables that mean nothing, with the nearest name that does.

    Raises:
        ImproperlyConfigured: At the first unknown name.
    """
    known = ARENA_NAMES | {f"{name}_FILE" for name in ARENA_NAMES if name.endswith("_KEY")}
    for name in sorted(environ):
        if not name.startswith("ARENA_") or name.startswith("ARENA_TEST_") or name in known:
            continue
        raise ImproperlyConfigured(f"unknown setting {name}{_hint(name, known)}")


def _hint(name: str, known: Iterable[str]) -> str:
    # PORT and LOG_LEVEL carry no prefix, and are the ones people prefix by mistake.
    plain = ("PORT", "LOG_LEVEL", "DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL")
    candidates = {word.removeprefix("ARENA_"): word for word in (*plain, *known)}
    # Without the prefix, which would make any two names look alike.
    near = difflib.get_close_matches(name.removeprefix("ARENA_"), candidates, n=1, cutoff=0.6)
    return f", did you mean {candidates[near[0]]}?" if near else ""


def text(name: str, default: str = "") -> str:
    """Return a variable without surrounding blanks; empty counts as not set."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool = False) -> bool:
    """Return a yes/no variable.

    Raises:
        ImproperlyConfigured: If it is neither a word for yes nor one for no.
    """
    value = text(name).lower()
    if not value:
        return default
    if value in TRUE_WORDS:
        return True
    if value in FALSE_WORDS:
        return False
    raise ImproperlyConfigured(f"{name} must be 1 or 0, was {value!r}")


def integer(name: str, default: int, *, minimum: int, maximum: int) -> int:
    """Return a whole number in ``[minimum, maximum]``.

    Raises:
        ImproperlyConfigured: If it is not a whole number or out of range.
    """
    value = text(name)
    if not value:
        return default
    wanted = f"a whole number from {minimum} to {maximum}"
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be {wanted}, was {value!r}") from None
    if not minimum <= number <= maximum:
        raise ImproperlyConfigured(f"{name} must be {wanted}, was {number}")
    return number


def choice(name: str, default: str, *, options: tuple[str, ...]) -> str:
    """Return one of ``options`` (upper case), compared without regard to case.

    Raises:
        ImproperlyConfigured: If it is none of them.
    """
    value = text(name, default).upper()
    if value not in options:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(options)}, was {value!r}")
    return value


def names(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """Return the comma-separated parts of a variable, without blanks and empty parts."""
    value = text(name)
    if not value:
        return list(default)
    return [part.strip() for part in value.split(",") if part.strip()]


def address(name: str, default: str = "", *, schemes: tuple[str, ...]) -> str:
    """Return a URL without a trailing slash, or the default.

    Raises:
        ImproperlyConfigured: If its scheme is none of ``schemes`` or it names no host.
    """
    value = text(name, default)
    if not value:
        return ""
    parts = urlsplit(value)
    if parts.scheme not in schemes or not parts.hostname:
        found = f"{parts.scheme}://…" if parts.scheme else "no scheme"
        wanted = " or ".join(f"{scheme}://host" for scheme in schemes)
        # Only the scheme is shown: such addresses carry passwords.
        raise ImproperlyConfigured(f"{name} must look like {wanted}, was {found}")
    return value.rstrip("/")


def database(name: str, *, default: Path) -> dict[str, Any]:
    """Return Django's settings of the database that the variable names.

    ``sqlite:///relative/or//absolute`` or ``postgres://user:password@host:port/name``; query
    parameters become connection options. Not set means SQLite at ``default``.

    Raises:
        ImproperlyConfigured: If it is neither, or the port is no number.
    """
    value = text(name)
    if not value:
        return _sqlite(default)
    parts = urlsplit(value)
    if parts.scheme in ("sqlite", "sqlite3"):
        if not parts.path.strip("/"):
            raise ImproperlyConfigured(f"{name} must name a file as sqlite:///path, named none")
        return _sqlite(Path(unquote(parts.path[1:])))
    if parts.scheme in ("postgres", "postgresql"):
        return _postgres(name, value)
    raise ImproperlyConfigured(
        f"{name} must start with postgres:// or sqlite:///, was {parts.scheme or 'no scheme'}"
    )


def _sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {
            # With the default DEFERRED a transaction that reads first and writes later fails
            # under threads ("database is locked"); IMMEDIATE queues it.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": (
                "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;"
                "PRAGMA cache_size=-20000;PRAGMA temp_store=MEMORY;"
            ),
        },
    }


def _postgres(name: str, value: str) -> dict[str, Any]:
    parts = urlsplit(value)
    try:
        port = parts.port
    except ValueError:
        raise ImproperlyConfigured(f"{name} must have a port from 1 to 65535") from None
    if not parts.path.strip("/"):
        raise ImproperlyConfigured(f"{name} must end in /database-name, named none")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(port or ""),
        # The pool refuses persistent connections.
        "CONN_MAX_AGE": 0,
        "OPTIONS": {
            "pool": {"min_size": 1, "max_size": 12, "timeout": 10},
            **dict(parse_qsl(parts.query)),
        },
    }
