"""Secrets at rest: sealed by Fernet under the keys of the environment, and bound to the place they were stored in.

Fernet authenticates what it encrypts but nothing beside it, so the place (table, field, row) stands in front of the value, inside
the ciphertext: a sealed text that somebody copied into another row does not open there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

HINT_LENGTH = 4
# Of a shorter secret four characters would be too large a part.
LEAST_LENGTH_FOR_HINT = 12
MAKE_A_KEY = (
    "python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"
)


class SecretError(Exception):
    """A secret cannot be sealed or opened; the message says what is wanted and never holds the secret."""


class _Unspoken:
    """What is neither printed nor sent anywhere; copies are the same object."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("secrets are not pickled: pass the row's id instead")


@dataclass(frozen=True, slots=True, repr=False)
class Secret(_Unspoken):
    """A secret in the clear, as it was entered or opened."""

    _value: str

    def __post_init__(self) -> None:
        if not self._value:
            raise ValueError("a secret must not be empty; None stands for none")

    def reveal(self) -> str:
        """Return the secret itself, for the one place that has to send it."""
        return self._value

    @property
    def hint(self) -> str:
        """Return the last four characters, empty when the secret is shorter than twelve."""
        return self._value[-HINT_LENGTH:] if len(self._value) >= LEAST_LENGTH_FOR_HINT else ""


@dataclass(frozen=True, slots=True, repr=False)
class Sealed(_Unspoken):
    """A secret as the database holds it."""

    token: str


def seal(secret: Secret, *, place: str) -> Sealed:
    """Encrypt under the first key, for ``place`` alone.

    Raises:
        SecretError: If there is no usable key.
    """
    plain = f"{place}\n{secret.reveal()}".encode()
    return Sealed(_box(encryption_keys()).encrypt(plain).decode("ascii"))


def open_sealed(sealed: Sealed, *, place: str, keys: Sequence[str] | None = None) -> Secret:
    """Decrypt what was sealed for ``place``, with the keys of the environment unless others are given.

    Raises:
        SecretError: If there is no usable key, none that fits, or the text was sealed for another place.
    """
    wanted = encryption_keys() if keys is None else keys
    try:
        plain = _box(wanted).decrypt(sealed.token.encode("ascii", "replace")).decode()
    except (InvalidToken, UnicodeDecodeError):
        count = f"the {len(wanted)} keys" if len(wanted) > 1 else "the key"
        raise SecretError(
            f"what is stored in {place} cannot be opened with {count} of ARENA_ENCRYPTION_KEY; "
            "wanted the key it was stored under, or the secret entered anew"
        ) from None
    found, _, value = plain.partition("\n")
    if found != place or not value:
        raise SecretError(
            f"what is stored in {place} was sealed for another place and is not used; enter the secret anew"
        )
    return Secret(value)


def encryption_keys() -> list[str]:
    """Return the keys of the environment, newest first.

    Raises:
        SecretError: If there is none.
    """
    keys: list[str] = settings.ARENA_ENCRYPTION_KEYS
    if not keys:
        raise SecretError(
            f"ARENA_ENCRYPTION_KEY is not set, and secrets are stored under it alone; make one with {MAKE_A_KEY}, "
            "put it into .env and restart"
        )
    return keys


def _box(keys: Sequence[str]) -> MultiFernet:
    boxes = []
    for position, key in enumerate(keys, start=1):
        try:
            boxes.append(Fernet(key))
        except ValueError:
            raise SecretError(
                f"ARENA_ENCRYPTION_KEY part {position} is not a Fernet key: wanted 44 characters of URL-safe base64, "
                f"had {len(key)} characters"
            ) from None
    return MultiFernet(boxes)
