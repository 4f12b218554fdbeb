"""What a symbol's venue asks of prices and sizes, and the one quantiser that obeys it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal
from enum import StrEnum
from typing import Any

MONEY_UNIT = Decimal("0.00000001")


class AssetClass(StrEnum):
    CRYPTO = "CRYPTO"
    STOCK = "STOCK"
    PREDICTION = "PREDICTION"


def round_money(value: Decimal) -> Decimal:
    """Return ``value`` in units of 1e-8, halves to even."""
    return value.quantize(MONEY_UNIT, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class InstrumentSpec:
    """The frozen trading limits of one symbol.

    ``tick`` and ``step`` are the smallest moves of price (quote currency) and quantity (base units); ``min_notional`` is in the
    quote currency; ``max_leverage`` is a whole multiplier; ``max_quantity`` None means no upper limit.
    """

    symbol: str
    tick: Decimal
    step: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    max_leverage: int
    max_quantity: Decimal | None = None
    asset_class: AssetClass = AssetClass.CRYPTO
    base_asset: str = ""
    quote_asset: str = "USDT"

    def floor_quantity(self, quantity: Decimal) -> Decimal:
        """Return ``quantity`` rounded down (towards zero) to a whole number of steps."""
        return (quantity / self.step).to_integral_value(rounding=ROUND_DOWN) * self.step

    def round_price(self, price: Decimal) -> Decimal:
        """Return ``price`` on the nearest tick, halves up."""
        return (price / self.tick).to_integral_value(rounding=ROUND_HALF_UP) * self.tick

    def price_against_buyer(self, price: Decimal) -> Decimal:
        """Return ``price`` on the tick at or above it: what a buyer pays."""
        return (price / self.tick).to_integral_value(rounding=ROUND_UP) * self.tick

    def price_against_seller(self, price: Decimal) -> Decimal:
        """Return ``price`` on the tick at or below it: what a seller gets."""
        return (price / self.tick).to_integral_value(rounding=ROUND_DOWN) * self.tick

    def as_canonical(self) -> dict[str, Any]:
        """Return the fields for canonical JSON (the contract)."""
        return {
            "symbol": self.symbol,
            "tick": self.tick,
            "step": self.step,
            "min_quantity": self.min_quantity,
            "min_notional": self.min_notional,
            "max_leverage": self.max_leverage,
            "max_quantity": self.max_quantity,
            "asset_class": str(self.asset_class),
            "base_asset": self.base_asset,
            "quote_asset": self.quote_asset,
        }

    @classmethod
    def from_canonical(cls, fields: dict[str, Any]) -> InstrumentSpec:
        """Return the spec that :meth:`as_canonical` wrote, after a round trip through JSON."""
        maximum = fields["max_quantity"]
        return cls(
            symbol=fields["symbol"],
            tick=Decimal(fields["tick"]),
            step=Decimal(fields["step"]),
            min_quantity=Decimal(fields["min_quantity"]),
            min_notional=Decimal(fields["min_notional"]),
            max_leverage=fields["max_leverage"],
            max_quantity=None if maximum is None else Decimal(maximum),
            asset_class=AssetClass(fields["asset_class"]),
            base_asset=fields["base_asset"],
            quote_asset=fields["quote_asset"],
        )
