"""The frozen rules of a book: what every account in it may do, and what it pays."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

from marketdata.domain.canonical import canonical_json, parse_decimal
from marketdata.domain.instruments import InstrumentSpec

HUNDRED = Decimal(100)
Choice = TypeVar("Choice", bound=StrEnum)


class MarginModel(StrEnum):
    PERPETUAL = "perpetual"
    CFD = "cfd"


class FillRule(StrEnum):
    """Which quote an order is filled on; the words are explained in docs/accounting.md."""

    ARRIVAL = "arrival"
    SNAPSHOT = "snapshot"
    NEXT_BAR = "next_bar"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookRules:
    """What an account may do and pays.

    Rates ``*_bps`` are hundredths of a percent of notional; ``*_pct`` are percent. ``max_position_size_pct`` bounds one position's
    initial margin over equity, ``max_margin_usage_pct`` all used margin over equity. ``margin_buffer`` multiplies the margin that
    an order must leave room for. ``margin_requirement_pct`` and ``maintenance_margin_pct`` belong to the ``cfd`` model.
    Equal rules have equal canonical JSON: symbols are kept sorted.
    """

    margin_model: MarginModel = MarginModel.PERPETUAL
    settlement_asset: str = "USDT"
    fee_bps_taker: Decimal = Decimal(5)
    fee_bps_maker: Decimal = Decimal(2)
    slippage_bps: Decimal = Decimal(1)
    max_leverage: int = 10
    default_leverage: int = 1
    max_position_size_pct: Decimal = Decimal(50)
    max_open_positions: int = 5
    max_margin_usage_pct: Decimal = Decimal(90)
    margin_buffer: Decimal = Decimal(1)
    margin_requirement_pct: Decimal = Decimal(10)
    maintenance_margin_pct: Decimal = Decimal(5)
    allow_short: bool = True
    allow_pyramiding: bool = True
    resting_orders: bool = False
    fill_rule: FillRule = FillRule.ARRIVAL
    instruments: tuple[InstrumentSpec, ...] = field(default=())

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.instruments, key=lambda spec: spec.symbol))
        object.__setattr__(self, "instruments", ordered)
        object.__setattr__(self, "margin_model", _choice(MarginModel, "margin_model", self))
        object.__setattr__(self, "fill_rule", _choice(FillRule, "fill_rule", self))
        self._check_rates()
        self._check_limits()
        self._check_instruments()

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(spec.symbol for spec in self.instruments)

    def find_spec(self, symbol: str) -> InstrumentSpec | None:
        """Return the limits of ``symbol``, None when the book does not trade it."""
        return next((spec for spec in self.instruments if spec.symbol == symbol), None)

    def spec(self, symbol: str) -> InstrumentSpec:
        """Return the limits of ``symbol``; raise KeyError naming the symbols there are."""
        found = self.find_spec(symbol)
        if found is None:
            raise KeyError(f"the book trades {', '.join(self.symbols)}, not {symbol}")
        return found

    def leverage_limit(self, spec: InstrumentSpec) -> int:
        """Return the highest leverage allowed on the symbol."""
        return min(self.max_leverage, spec.max_leverage)

    def to_json(self) -> str:
        """Return the canonical JSON; equal rules give equal bytes."""
        plain: dict[str, Any] = {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if entry.name != "instruments"
        }
        plain["margin_model"] = str(self.margin_model)
        plain["fill_rule"] = str(self.fill_rule)
        plain["instruments"] = [spec.as_canonical() for spec in self.instruments]
        return canonical_json(plain)

    @classmethod
    @lru_cache(maxsize=64)  # a book's rules never change, and every order asks for them
    def from_json(cls, text: str) -> BookRules:
        """Return the rules written by :meth:`to_json`.

        Raises:
            ValueError: If the text is not a JSON object, or a field is unknown, missing or out of its range.
        """
        plain = json.loads(text)
        names = {entry.name for entry in fields(cls)}
        if not isinstance(plain, dict) or set(plain) != names:
            found = sorted(set(plain) ^ names) if isinstance(plain, dict) else type(plain).__name__
            raise ValueError(f"rules need exactly the fields of BookRules; differing: {found}")
        for name in _DECIMALS:
            plain[name] = parse_decimal(plain[name])
        plain["instruments"] = tuple(map(InstrumentSpec.from_canonical, plain["instruments"]))
        return cls(**plain)

    def _check_rates(self) -> None:
        for name in _DECIMALS:
            value = getattr(self, name)
            if not isinstance(value, Decimal) or not value.is_finite():
                raise ValueError(f"{name} must be a finite decimal, was {value!r}")
        for name in ("fee_bps_taker", "slippage_bps"):
            if not 0 <= getattr(self, name) <= 1000:
                raise ValueError(f"{name} must be between 0 and 1000, was {getattr(self, name)}")
        if not abs(self.fee_bps_maker) <= 1000:
            raise ValueError(f"fee_bps_maker must be within +-1000, was {self.fee_bps_maker}")
        for name in ("max_position_size_pct", "max_margin_usage_pct", "margin_requirement_pct"):
            if not 0 < getattr(self, name) <= HUNDRED:
                raise ValueError(
                    f"{name} must be above 0 and at most 100, was {getattr(self, name)}"
                )
        if not 0 < self.maintenance_margin_pct <= self.margin_requirement_pct:
            raise ValueError(
                "maintenance_margin_pct must be above 0 and at most margin_requirement_pct "
                f"({self.margin_requirement_pct}), was {self.maintenance_margin_pct}"
            )
        if self.margin_buffer < 1:
            raise ValueError(f"margin_buffer must be at least 1, was {self.margin_buffer}")

    def _check_limits(self) -> None:
        if self.max_leverage < 1:
            raise ValueError(f"max_leverage must be at least 1, was {self.max_leverage}")
        if not 1 <= self.default_leverage <= self.max_leverage:
            raise ValueError(
                f"default_leverage must be between 1 and max_leverage ({self.max_leverage}), "
                f"was {self.default_leverage}"
            )
        if self.max_open_positions < 1:
            raise ValueError(
                f"max_open_positions must be at least 1, was {self.max_open_positions}"
            )
        if self.resting_orders:
            raise ValueError("resting_orders must be false: stops do not rest in the book yet")
        if not self.settlement_asset:
            raise ValueError("settlement_asset must name a currency, was empty")

    def _check_instruments(self) -> None:
        if not self.instruments:
            raise ValueError("a book needs at least one instrument, found none")
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError(f"each symbol may be listed once, found {', '.join(self.symbols)}")
        for spec in self.instruments:
            if spec.quote_asset != self.settlement_asset:
                raise ValueError(
                    f"{spec.symbol} settles in {spec.quote_asset}, the book in {self.settlement_asset}"
                )
            if spec.tick <= 0 or spec.step <= 0:
                raise ValueError(
                    f"{spec.symbol} needs tick and step above 0, was {spec.tick} and {spec.step}"
                )


_DECIMALS = (
    "fee_bps_taker",
    "fee_bps_maker",
    "slippage_bps",
    "max_position_size_pct",
    "max_margin_usage_pct",
    "margin_buffer",
    "margin_requirement_pct",
    "maintenance_margin_pct",
)


def _choice(kind: type[Choice], name: str, rules: BookRules) -> Choice:
    value = getattr(rules, name)
    try:
        return kind(value)
    except ValueError:
        raise ValueError(
            f"{name} must be one of {', '.join(item.value for item in kind)}, was {value!r}"
        ) from None
