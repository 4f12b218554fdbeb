"""The one arithmetic of money: wide enough not to round before it is told to, the same in every thread."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import wraps
from typing import ParamSpec, TypeVar

from marketdata.domain.canonical import canonical_decimal

MONEY_CAP = Decimal(1_000_000_000)
"""Largest start capital of an account and largest value of one position."""

BPS = Decimal(10_000)
ZERO = Decimal(0)
CENT = Decimal("0.01")
RATIO_UNIT = Decimal("0.0000000001")

_CONTEXT = Context(prec=80, rounding=ROUND_HALF_EVEN)

Params = ParamSpec("Params")
Result = TypeVar("Result")


def exact(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Run ``function`` with 80 digits, whatever the caller's decimal context is."""

    @wraps(function)
    def run(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        with localcontext(_CONTEXT):
            return function(*args, **kwargs)

    return run


def round_ratio(value: Decimal) -> Decimal:
    """Return a ratio or percentage with at most 10 decimals, halves to even."""
    return value.quantize(RATIO_UNIT, rounding=ROUND_HALF_EVEN)


def figure(value: Decimal | int) -> str:
    """Return a number as it stands in denials and checks; one too long to store is cut to 12 digits."""
    number = Decimal(value)
    try:
        return canonical_decimal(number)
    except ValueError:
        return f"{number:.11E}"


def money_figure(value: Decimal) -> str:
    """Return an amount with at least 2 decimals: ``655.00``, ``412.081``."""
    return format(value.quantize(CENT), "f") if value == value.quantize(CENT) else figure(value)
