"""The market part of a prompt: the same for everybody in the round."""

from __future__ import annotations

from decimal import Decimal

from agents.domain.context import DecisionContext
from agents.domain.prompts.numbers import decimals_of, fixed, minute, price, quantity
from marketdata.domain.facts import Candle, Timeframe
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.views import MarketView, SeriesView, SymbolView

FULL_CANDLES = 12
INDICATOR_VALUES = 10

_PRICE_LIKE = ("ema", "sma", "bb_", "atr", "macd")
_VOLUME_LIKE = ("volume",)
_RETURN_LIKE = ("return_",)


def market_blocks(context: DecisionContext, *, with_candles: bool = True) -> dict[str, str]:
    """Return the placeholders that tell of the market and the round; ``market`` only with candles."""
    rounds = f" of {context.total_rounds}" if context.total_rounds else ""
    extra = ", an extra turn after it" if context.is_extra else ""
    blocks = {
        "as_of": minute(context.as_of),
        "round": f"{context.round_number}{rounds}{extra}",
        "market_kind": (
            "simulated market (replayed or generated prices)"
            if context.market.simulated
            else "live market prices"
        ),
    }
    if with_candles:
        blocks["market"] = render_market(context.market)
    return blocks


def render_market(market: MarketView) -> str:
    """Return the whole market as text, symbols in alphabetical order, timeframes from short to long."""
    symbols = [market.symbols[symbol] for symbol in sorted(market.symbols)]
    return "\n\n".join(_symbol(view) for view in symbols)


def _symbol(view: SymbolView) -> str:
    spec = view.spec
    lines = [f"## {spec.symbol}", _quote_line(view)]
    if view.funding is not None:
        rate = fixed(view.funding.rate * 100, 4, signed=True)
        lines.append(f"funding rate {rate} % at {minute(view.funding.at)}")
    ordered = sorted(view.series.values(), key=lambda series: Timeframe(series.timeframe).seconds)
    for series in ordered:
        lines.extend(_series(spec, series))
    return "\n".join(lines)


def _quote_line(view: SymbolView) -> str:
    if view.quote is None:
        return "no quote at this time"
    bid, ask, mark = (
        price(view.spec, value) for value in (view.quote.bid, view.quote.ask, view.quote.mark)
    )
    return f"bid {bid} | ask {ask} | mark {mark}"


def _series(spec: InstrumentSpec, series: SeriesView) -> list[str]:
    candles = series.candles
    if not candles:
        return [f"### {series.timeframe}: no closed candle yet"]
    closed_at = candles[-1].open_at + Timeframe(series.timeframe).delta
    closes = " ".join(price(spec, candle.close) for candle in candles)
    shown = candles[-FULL_CANDLES:]
    return [
        f"### {series.timeframe}: {len(candles)} closed candles, oldest to newest, the last closed {minute(closed_at)}",
        f"closes: {closes}",
        f"last {len(shown)} in full (opened UTC, open, high, low, close, volume):",
        *(_candle(spec, candle) for candle in shown),
        *(
            f"{name}: {_indicator(spec, name, values[-INDICATOR_VALUES:])}"
            for name, values in sorted(series.indicators.items())
        ),
    ]


def _candle(spec: InstrumentSpec, candle: Candle) -> str:
    prices = " ".join(
        price(spec, value) for value in (candle.open, candle.high, candle.low, candle.close)
    )
    opened = candle.open_at.strftime("%m-%d %H:%M")
    return f"{opened} {prices} {quantity(spec, candle.volume)}"


def _indicator(spec: InstrumentSpec, name: str, values: tuple[str | None, ...]) -> str:
    return " ".join("n/a" if value is None else _value(spec, name, value) for value in values)


def _value(spec: InstrumentSpec, name: str, text: str) -> str:
    value = Decimal(text)
    if name.startswith(_PRICE_LIKE):
        # One digit finer than the tick: averages and differences fall between ticks.
        return fixed(value, decimals_of(spec.tick) + 1)
    if name.startswith(_VOLUME_LIKE):
        return quantity(spec, value)
    if name.startswith(_RETURN_LIKE):
        return f"{fixed(value * 100, 3, signed=True)}%"
    return fixed(value, 2)
