"""How values are written in JSON: decimals as strings, times as UTC, pages with a cursor, one shape of error."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Annotated, Any

from ninja import Schema
from pydantic import PlainSerializer

from marketdata.domain.canonical import canonical_time

DECIMALS = Decimal("1e-12")


def decimal_text(value: Decimal) -> str:
    """Return ``value`` without exponent or trailing zeros, averages and ratios rounded to 12 decimals."""
    with localcontext() as context:
        context.prec = 60
        number = value.quantize(DECIMALS, rounding=ROUND_HALF_EVEN)
    text = format(number, "f").rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


Amount = Annotated[Decimal, PlainSerializer(decimal_text, return_type=str)]
Instant = Annotated[datetime, PlainSerializer(canonical_time, return_type=str)]


class ErrorOut(Schema):
    """What every error answers with; ``errors`` names the places of bad input."""

    detail: str
    code: str
    request_id: str
    errors: list[FaultOut] | None = None


class FaultOut(Schema):
    """One place of bad input: where, what was found and what is wanted."""

    where: str
    message: str


class ApiError(Exception):
    """An answer other than success: ``code`` is for programs, the message for people; ``where`` is the place of bad input.

    ``retry_after`` is in how many seconds asking again makes sense.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        where: str = "",
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.where = where
        self.retry_after = retry_after


# Declared on every operation, beside what it answers when all is well.
READ_ERRORS: dict[Any, Any] = {401: ErrorOut, 404: ErrorOut, 422: ErrorOut}
WRITE_ERRORS: dict[Any, Any] = {**READ_ERRORS, 403: ErrorOut, 409: ErrorOut}
