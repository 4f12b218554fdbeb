"""Number fields that keep every digit on both databases."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models

from marketdata.domain.canonical import canonical_decimal, parse_decimal

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
