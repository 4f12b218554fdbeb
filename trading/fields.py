"""Money as a whole number of 1e-8 units."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models

from marketdata.domain.canonical import parse_decimal
from marketdata.domain.instruments import MONEY_UNIT
from trading.domain.money import MONEY_CAP

# What a bigint of 1e-8 units surely holds; sums over a long holding may pass the account's cap.
STORED_LIMIT = Decimal(90_000_000_000)

SetType = TypeVar("SetType")
GetType = TypeVar("GetType")


class MoneyField(models.Field[SetType, GetType]):
    """An amount of the settlement currency: Decimal in Python, an integer of 1e-8 units in the database.

    Amounts beyond +-9e10 or finer than 1e-8 are refused, never rounded: rounding is the engine's business.
    """

    description = "Money in units of 1e-8"

    _pyi_private_set_type: Decimal | int | str | models.expressions.Combinable
    _pyi_private_get_type: Decimal

    def get_internal_type(self) -> str:
        return "BigIntegerField"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Decimal | None:
        # Sums of bigint come back as Decimal on PostgreSQL, hence int().
        return None if value is None else Decimal(int(value)).scaleb(-8)

    def to_python(self, value: Any) -> Decimal | None:
        if value is None or value == "":
            return None
        if isinstance(value, float):
            raise ValidationError(f"a decimal string is wanted, not the float {value!r}")
        try:
            number = parse_decimal(str(value))
        except ValueError as error:
            raise ValidationError(str(error)) from error
        # Before quantize, which cannot write numbers of more than 28 digits.
        if abs(number) > STORED_LIMIT:
            raise ValidationError(f"money is at most {STORED_LIMIT}, was {number}")
        if number != number.quantize(MONEY_UNIT):
            raise ValidationError(f"money has at most 8 decimals, was {number}")
        return number

    def get_prep_value(self, value: Any) -> int | None:
        number = self.to_python(super().get_prep_value(value))
        return None if number is None else int(number.scaleb(8))

    def value_to_string(self, obj: models.Model) -> str:
        number = self.value_from_object(obj)
        return "" if number is None else format(number, "f")

    def formfield(self, **kwargs: Any) -> Any:
        from django import forms

        wanted: dict[str, Any] = {
            "form_class": forms.DecimalField,
            "decimal_places": 8,
            "max_digits": 18,
            "max_value": MONEY_CAP,
        }
        return super().formfield(**{**wanted, **kwargs})
