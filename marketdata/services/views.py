"""The market as prompts show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from marketdata.domain.facts import Funding, Quote, Timeframe
from marketdata.domain.indicators import WINDOW, series_values
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.views import MarketView, SeriesView, SymbolView
from marketdata.feeds import open_feed
from marketdata.models import Feed
from marketdata.services.series import chain_state, series_start, table_of, window

SHOWN_INDICATORS = (
    "ema20",
    "ema50",
    "rsi7",
    "rsi14",
    "macd",
    "macd_hist",
    "atr14",
    "bb_high",
    "bb_low",
)


def market_view(
    feed: Feed,
    specs: Sequence[InstrumentSpec],
    timeframes: Sequence[str],
    *,
    as_of: datetime,
    quotes: Mapping[str, Quote],
    funding: Mapping[str, Funding] | None = None,
    candle_count: int = 60,
    history_from: datetime | None = None,
    indicators: Sequence[str] = SHOWN_INDICATORS,
    indicator_length: int = 10,
) -> MarketView:
    """Return what a participant may know at ``as_of``: quotes, closed candles and indicators; nothing later.

    Built from stored rows after a snapshot was captured, so equal snapshots give equal views.

    Args:
        feed: The competition's feed.
        specs: Its symbols.
        timeframes: Codes such as ``"15m"``.
        as_of: Market time of the snapshot.
        quotes: Those of the snapshot (``CapturedSnapshot.quotes``, or ``quotes_of`` its manifest); missing symbols show None.
        funding: Those of the snapshot, likewise.
        candle_count: Candles a series, at most 250.
        history_from: As given to ``capture_snapshot``.
        indicators: Names out of ``marketdata.domain.indicators.NAMES``.
        indicator_length: Values an indicator, ending at the last candle.
    """
    if not 0 <= candle_count <= WINDOW:
        raise ValueError(f"0 to {WINDOW} candles can be shown, {candle_count} were asked for")
    market = open_feed(feed)

    def series_view(symbol: str, timeframe: Timeframe) -> SeriesView:
        start = series_start(timeframe, history_from=history_from, as_of=as_of)
        state = chain_state(
            market, kind=feed.kind, symbol=symbol, timeframe=timeframe, start=start, as_of=as_of
        )
        candles = window(market, symbol, timeframe, start=start, as_of=as_of)
        table = table_of(state, lambda: candles)
        return SeriesView(
            timeframe=str(timeframe),
            candles=tuple(candles[-candle_count:] if candle_count else ()),
            indicators=series_values(table, indicators, indicator_length),
        )

    return MarketView(
        as_of=as_of,
        simulated=feed.is_simulated,
        symbols={
            spec.symbol: SymbolView(
                spec=spec,
                quote=quotes.get(spec.symbol),
                funding=(funding or {}).get(spec.symbol),
                series={
                    str(timeframe): series_view(spec.symbol, timeframe)
                    for timeframe in map(Timeframe, timeframes)
                },
            )
            for spec in specs
        },
    )
