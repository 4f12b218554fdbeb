"""Small markets and contexts with literal figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from agents.domain.context import AccountView, DecisionContext, PositionView, RulesView
from marketdata.domain.facts import Candle, Funding, Quote
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.views import MarketView, SeriesView, SymbolView

AS_OF = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)

SPECS = {
    "BTCUSDT": InstrumentSpec(
        "BTCUSDT",
        Decimal("0.1"),
        Decimal("0.001"),
        Decimal("0.001"),
        Decimal(100),
        125,
        base_asset="BTC",
    ),
    "ETHUSDT": InstrumentSpec(
        "ETHUSDT",
        Decimal("0.01"),
        Decimal("0.001"),
        Decimal("0.001"),
        Decimal(20),
        100,
        base_asset="ETH",
    ),
    "SOLUSDT": InstrumentSpec(
        "SOLUSDT", Decimal("0.01"), Decimal(1), Decimal(1), Decimal(5), 75, base_asset="SOL"
    ),
}
LAST = {"BTCUSDT": "60000", "ETHUSDT": "2500", "SOLUSDT": "150"}


def make_candles(closes: Sequence[Any], seconds: int = 60) -> tuple[Candle, ...]:
    """Candles of which the last closed at AS_OF."""
    first = AS_OF - timedelta(seconds=seconds * len(closes))
    return tuple(
        Candle(
            first + timedelta(seconds=seconds * index),
            Decimal(close),
            Decimal(close) + 1,
            Decimal(close) - 1,
            Decimal(close),
            Decimal("12.5"),
        )
        for index, close in enumerate(closes)
    )


def make_symbol(symbol: str, closes: Sequence[Any] | None = None, **indicators: Any) -> SymbolView:
    spec, last = SPECS[symbol], Decimal(LAST[symbol])
    candles = make_candles(closes if closes is not None else [last] * 60)
    return SymbolView(
        spec=spec,
        quote=Quote(symbol, AS_OF, last - spec.tick, last + spec.tick, last),
        funding=Funding(symbol, AS_OF, Decimal("0.0001")),
        series={"1m": SeriesView("1m", candles, indicators)},
    )


def make_market(*views: SymbolView, simulated: bool = True) -> MarketView:
    chosen = views or tuple(make_symbol(symbol) for symbol in SPECS)
    return MarketView(AS_OF, simulated, {view.spec.symbol: view for view in chosen})


def make_rules(**changes: Any) -> RulesView:
    fields: dict[str, Any] = {
        "settlement_asset": "USDT",
        "max_leverage": 10,
        "default_leverage": 1,
        "max_position_size_pct": Decimal(30),
        "max_open_positions": 6,
        "max_margin_usage_pct": Decimal(80),
        "margin_buffer": Decimal(1),
        "fee_bps_taker": Decimal(5),
        "slippage_bps": Decimal(1),
        "allow_short": True,
        "allow_pyramiding": True,
        "resting_orders": False,
        "fill_rule": "next_bar",
        "instruments": tuple(SPECS.values()),
        "interval_seconds": 900,
    }
    return RulesView(**{**fields, **changes})


def make_account(*positions: PositionView, equity: str = "10000") -> AccountView:
    return AccountView(
        wallet=Decimal(equity),
        equity=Decimal(equity),
        free_margin=Decimal(equity),
        used_margin=Decimal(0),
        positions=positions,
    )


def make_position(symbol: str = "BTCUSDT", side: str = "LONG", **changes: Any) -> PositionView:
    fields: dict[str, Any] = {
        "symbol": symbol,
        "side": side,
        "quantity": Decimal("0.05"),
        "entry": Decimal(59000),
        "mark": Decimal(60000),
        "unrealised": Decimal(50),
        "leverage": 2,
        "age_minutes": 45,
    }
    return PositionView(**{**fields, **changes})


def make_context(**changes: Any) -> DecisionContext:
    fields: dict[str, Any] = {
        "competition_name": "Spring season",
        "round_number": 1,
        "total_rounds": 200,
        "as_of": AS_OF,
        "market": make_market(),
        "rules": make_rules(),
        "account": make_account(),
        "seed_material": "season-1|3",
    }
    return DecisionContext(**{**fields, **changes})
