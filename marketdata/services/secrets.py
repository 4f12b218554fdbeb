"""Bringing stored secrets under a new key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models, transaction

from marketdata.fields import EncryptedTextField
from marketdata.secrets import Sealed, SecretError, encryption_keys, open_sealed, seal


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a renewal found: secrets by whether the first key already opened them, and one message for each that no key opens."""

    current: int
    renewed: int
    failures: tuple[str, ...]


def rotate_secrets(*, only_look: bool = False) -> Rotation:
    """Seal every stored secret under the first key of ARENA_ENCRYPTION_KEY, each row in a transaction of its own.

    It may be broken off at any time and run again, beside a running arena. With ``only_look`` nothing is written, and ``renewed``
    counts what would be.

    Raises:
        SecretError: If there is no usable key at all.
    """
    keys = encryption_keys()
    counts = {True: 0, False: 0}
    failures = []
    for model, field in secret_fields():
        for pk in _rows_with(model, field):
            try:
                is_current = _renew(model, field, pk, keys=keys, only_look=only_look)
            except SecretError as error:
                failures.append(str(error))
                continue
            if is_current is not None:
                counts[is_current] += 1
    return Rotation(current=counts[True], renewed=counts[False], failures=tuple(failures))


def secret_fields() -> Iterator[tuple[type[models.Model], EncryptedTextField[Any, Any]]]:
    """Yield every encrypted field of the project with its model."""
    for model in apps.get_models():
        for field in model._meta.local_concrete_fields:
            if isinstance(field, EncryptedTextField):
                yield model, field


def _rows_with(model: type[models.Model], field: EncryptedTextField[Any, Any]) -> list[Any]:
    rows = model._base_manager.filter(**{f"{field.name}__isnull": False})
    return list(rows.order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def _renew(
    model: type[models.Model],
    field: EncryptedTextField[Any, Any],
    pk: Any,
    *,
    keys: list[str],
    only_look: bool,
) -> bool | None:
    """Return whether the secret was current already; None when the row lost it meanwhile."""
    row = model._base_manager.select_for_update().filter(pk=pk).first()
    sealed = None if row is None else field.value_from_object(row)
    if row is None or not isinstance(sealed, Sealed):
        return None
    place = field.place(row)
    secret = open_sealed(sealed, place=place, keys=keys)
    if _opens(sealed, place, key=keys[0]):
        return True
    if not only_look:
        model._base_manager.filter(pk=pk).update(**{field.name: seal(secret, place=place)})
    return False


def _opens(sealed: Sealed, place: str, *, key: str) -> bool:
    try:
        open_sealed(sealed, place=place, keys=[key])
    except SecretError:
        return False
    return True
