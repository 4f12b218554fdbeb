"""Margin tiers: the larger a position, the more of its value must stay covered, and the less leverage it may have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any

from marketdata.domain.canonical import parse_decimal
from marketdata.domain.instruments import InstrumentSpec, round_money
from trading.domain.money import ZERO, exact, figure, round_ratio


@dataclass(frozen=True, slots=True)
class MarginTier:
    """One step of a table: notionals above ``floor`` up to ``cap`` (None: without end).

    ``rate`` is the maintenance margin as a fraction of notional. ``amount`` is what a venue calls *cum*: it takes back what lower tiers
    ask less, so that maintenance margin = notional * rate - amount has no jumps.
    """

    floor: Decimal
    cap: Decimal | None
    rate: Decimal
    amount: Decimal
    max_leverage: int

    def holds(self, notional: Decimal) -> bool:
        return self.floor < notional and (self.cap is None or notional <= self.cap)


@dataclass(frozen=True, slots=True)
class TierTable:
    """The tiers of one symbol, lowest first, as a venue published them; ``version`` and ``as_of`` tell which state that is.

    Raises:
        ValueError: Naming the tier, if the tiers leave gaps, their rates do not rise, or maintenance margin would jump between them.
    """

    symbol: str
    version: str
    as_of: date
    tiers: tuple[MarginTier, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", tuple(self.tiers))
        _check_table(self)

    @property
    def cap(self) -> Decimal | None:
        """Return the largest notional that the table allows, None for any."""
        return self.tiers[-1].cap

    def tier_at(self, notional: Decimal) -> MarginTier:
        """Return the tier of an unsigned notional: the first one at 0, the last one beyond its cap."""
        if notional < 0:
            raise ValueError(f"a notional is unsigned, was {notional}")
        if notional == 0:
            return self.tiers[0]
        return next((tier for tier in self.tiers if tier.holds(notional)), self.tiers[-1])

    @exact
    def maintenance_margin(self, notional: Decimal) -> Decimal:
        """Return what must stay covered at an unsigned notional: notional * rate - amount of its tier."""
        tier = self.tier_at(notional)
        return round_money(notional * tier.rate - tier.amount)

    def as_canonical(self) -> dict[str, Any]:
        """Return the fields for canonical JSON; a tier is a list in the order of its fields."""
        return {
            "symbol": self.symbol,
            "version": self.version,
            "as_of": self.as_of.isoformat(),
            "tiers": [
                [tier.floor, tier.cap, tier.rate, tier.amount, tier.max_leverage]
                for tier in self.tiers
            ],
        }

    @classmethod
    def from_canonical(cls, fields: dict[str, Any]) -> TierTable:
        """Return the table that :meth:`as_canonical` wrote, after a round trip through JSON."""
        return cls(
            symbol=fields["symbol"],
            version=fields["version"],
            as_of=date.fromisoformat(fields["as_of"]),
            tiers=tuple(_tier_from(values) for values in fields["tiers"]),
        )


@lru_cache(maxsize=1024)  # asked for at every mark
@exact
def default_table(spec: InstrumentSpec) -> TierTable:
    """Return the one tier of a symbol whose table is not known: half of what its highest leverage asks as margin."""
    rate = round_ratio(1 / (2 * Decimal(spec.max_leverage)))
    tier = MarginTier(ZERO, None, rate, ZERO, spec.max_leverage)
    return TierTable(spec.symbol, "instrument", date.min, (tier,))


def _tier_from(values: list[Any]) -> MarginTier:
    floor, cap, rate, amount, max_leverage = values
    return MarginTier(
        floor=parse_decimal(floor),
        cap=None if cap is None else parse_decimal(cap),
        rate=parse_decimal(rate),
        amount=parse_decimal(amount),
        max_leverage=max_leverage,
    )


@exact
def _check_table(table: TierTable) -> None:
    if not table.symbol or not table.version:
        raise ValueError("a tier table needs a symbol and a version, found none")
    if not table.tiers:
        raise ValueError(f"the table of {table.symbol} needs at least one tier, found none")
    problems = [*_first_problems(table.tiers[0])]
    for number, tier in enumerate(table.tiers, start=1):
        problems += [f"tier {number}: {problem}" for problem in _tier_problems(tier)]
        if problems:
            raise ValueError(f"the table of {table.symbol}, {problems[0]}")
    for number, (lower, tier) in enumerate(pairwise(table.tiers), start=2):
        for problem in _step_problems(lower, tier):
            raise ValueError(f"the table of {table.symbol}, tier {number}: {problem}")


def _first_problems(tier: MarginTier) -> Iterator[str]:
    if tier.floor != 0 or tier.amount != 0:
        yield f"tier 1: floor and amount must be 0, was {tier.floor} and {tier.amount}"


def _tier_problems(tier: MarginTier) -> Iterator[str]:
    numbers = [tier.floor, tier.rate, tier.amount, *([] if tier.cap is None else [tier.cap])]
    if not all(isinstance(number, Decimal) and number.is_finite() for number in numbers):
        yield f"its figures must be finite decimals, was {', '.join(map(str, numbers))}"
        return
    if not 0 < tier.rate < 1:
        yield f"rate must be above 0 and below 1, was {tier.rate}"
    if tier.cap is not None and tier.cap <= tier.floor:
        yield f"cap must be above the floor ({tier.floor}), was {tier.cap}"
    if type(tier.max_leverage) is not int or tier.max_leverage < 1:
        yield f"max_leverage must be a whole number of at least 1, was {tier.max_leverage!r}"
    elif tier.rate * tier.max_leverage > 1:
        yield f"rate {tier.rate} asks for more than the margin at {tier.max_leverage}x"


def _step_problems(lower: MarginTier, tier: MarginTier) -> Iterator[str]:
    if tier.floor != lower.cap:
        yield f"floor must be the cap below ({lower.cap}), was {tier.floor}"
    if tier.rate <= lower.rate:
        yield f"rate must be above the one below ({lower.rate}), was {tier.rate}"
    if tier.max_leverage > lower.max_leverage:
        yield f"max_leverage must be at most the one below ({lower.max_leverage}), was {tier.max_leverage}"
    wanted = lower.amount + tier.floor * (tier.rate - lower.rate)
    if tier.amount != wanted:
        yield (
            f"amount must be {figure(wanted)} for a maintenance margin without jumps, "
            f"was {figure(tier.amount)}"
        )
