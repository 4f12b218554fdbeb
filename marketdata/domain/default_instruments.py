"""The symbols that the arena knows from the start, with the limits of Binance USD-M perpetuals as of late 2025.

They serve paper books only: an order for a real venue takes its limits from that venue's own list.
"""

from __future__ import annotations

from decimal import Decimal

from marketdata.domain.instruments import InstrumentSpec

# symbol: tick, step (= smallest order), smallest notional, leverage, largest market order
_LIMITS: dict[str, tuple[str, str, str, int, str]] = {
    "BTCUSDT": ("0.1", "0.001", "100", 125, "120"),
    "ETHUSDT": ("0.01", "0.001", "20", 125, "2000"),
    "SOLUSDT": ("0.01", "0.01", "5", 100, "5000"),
    "BNBUSDT": ("0.01", "0.01", "5", 75, "2000"),
    "XRPUSDT": ("0.0001", "0.1", "5", 100, "200000"),
    "DOGEUSDT": ("0.00001", "1", "5", 75, "2000000"),
    "ADAUSDT": ("0.0001", "1", "5", 75, "300000"),
    "AVAXUSDT": ("0.001", "1", "5", 75, "5000"),
}


def default_specs() -> dict[str, InstrumentSpec]:
    """Return the known symbols by name, most traded first."""
    return {
        symbol: InstrumentSpec(
            symbol=symbol,
            tick=Decimal(tick),
            step=Decimal(step),
            min_quantity=Decimal(step),
            min_notional=Decimal(notional),
            max_leverage=leverage,
            max_quantity=Decimal(largest),
            base_asset=symbol.removesuffix("USDT"),
        )
        for symbol, (tick, step, notional, leverage, largest) in _LIMITS.items()
    }
