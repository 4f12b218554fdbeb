"""Fields of every app: numbers that keep every digit on both databases, and secrets that are encrypted there."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models

from marketdata.domain.canonical import canonical_decimal, parse_decimal
from marketdata.secrets import Sealed, Secret, open_sealed, seal

SetType = TypeVar("SetType")
GetType = TypeVar("GetType")


class ExactDecimalField(models.Field[SetType, GetType]):
    """A price, quantity or rate: ``numeric`` on PostgreSQL, canonical text on SQLite.

    Never sum or order it in SQL: SQLite would compare text. Values come back canonical (no trailing zeros).
    """

    description = "Decimal number kept exactly"

    # Read by the type checker: the types of values, made optional for null=True.
    _pyi_private_set_type: Decimal | int | str | models.expressions.Combinable
    _pyi_private_get_type: Decimal

    def db_type(self, connection: Any) -> str:
        return "numeric" if connection.vendor == "postgresql" else "text"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Decimal | None:
        if value is None:
            return None
        if connection.vendor == "sqlite" and isinstance(value, str):
            # Written canonical by get_db_prep_value; candles are read by the ten thousand.
            return Decimal(value)
        return Decimal(canonical_decimal(Decimal(value)))

    def to_python(self, value: Any) -> Decimal | None:
        if value is None or value == "":
            return None
        if isinstance(value, float):
            raise ValidationError(f"a decimal string is wanted, not the float {value!r}")
        try:
            return parse_decimal(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def get_prep_value(self, value: Any) -> Decimal | None:
        return self.to_python(super().get_prep_value(value))

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        number = value if prepared else self.get_prep_value(value)
        if number is None or connection.vendor == "postgresql":
            return number
        return canonical_decimal(number)

    def value_to_string(self, obj: models.Model) -> str:
        number: Any = self.value_from_object(obj)
        return "" if number is None else canonical_decimal(number)

    def formfield(self, **kwargs: Any) -> Any:
        from django import forms

        return super().formfield(
            **{"form_class": forms.DecimalField, "widget": forms.TextInput, **kwargs}
        )


class EncryptedTextField(models.Field[SetType, GetType]):
    """A secret that the database holds encrypted (:mod:`marketdata.secrets`); None where there is none.

    Set a ``Secret`` and save the row; read back it is ``Sealed``, to be opened with :meth:`open` where it is sent. Its row is known
    by ``bound_to``, a field that has its value before the row is stored and never changes. No form, serializer or dictionary of the
    row shows it, and the only question that a query may ask is whether there is one.
    """

    description = "Secret, encrypted at rest"

    _pyi_private_set_type: Secret | Sealed | None
    _pyi_private_get_type: Secret | Sealed | None

    def __init__(self, *args: Any, bound_to: str, **kwargs: Any) -> None:
        self.bound_to = bound_to
        super().__init__(*args, **{**kwargs, "null": True, "editable": False})

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["null"], kwargs["editable"]
        return name, path, args, {**kwargs, "bound_to": self.bound_to}

    def db_type(self, connection: Any) -> str:
        return "text"

    def place(self, row: models.Model) -> str:
        """Return what the secret of ``row`` is bound to: table, field and row."""
        return f"{row._meta.db_table}.{self.attname}:{getattr(row, self.bound_to)}"

    def open(self, row: models.Model) -> Secret | None:
        """Return the row's secret in the clear, None where there is none.

        Raises:
            SecretError: If it cannot be opened.
        """
        held: Any = self.value_from_object(row)
        return open_sealed(held, place=self.place(row)) if isinstance(held, Sealed) else held

    def pre_save(self, model_instance: models.Model, add: bool) -> Sealed | None:
        held: Secret | Sealed | None = super().pre_save(model_instance, add)
        if isinstance(held, Secret):
            held = seal(held, place=self.place(model_instance))
            setattr(model_instance, self.attname, held)
        return held

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Sealed | None:
        return None if value is None else Sealed(value)

    def to_python(self, value: Any) -> Secret | Sealed | None:
        if value is None or value == "":
            return None
        if not isinstance(value, (Secret, Sealed)):
            raise ValidationError("a Secret is wanted, secrets are not read from text")
        return value

    def get_prep_value(self, value: Any) -> str | None:
        held = super().get_prep_value(value)
        if held is None:
            return None
        if not isinstance(held, Sealed):
            # Only saving its row tells what a secret is bound to; an update of many rows does not.
            raise TypeError(f"set {self.attname} to a Secret on a row and save the row")
        return held.token

    def value_to_string(self, obj: models.Model) -> str:
        return ""

    def get_lookup(self, lookup_name: str) -> Any:
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None
