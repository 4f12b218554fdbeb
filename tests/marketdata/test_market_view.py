"""What prompts are given of the market."""

from __future__ import annotations

from datetime import timedelta

import pytest

from marketdata.domain.indicators import compute_indicators
from marketdata.services import capture_snapshot, market_view
from tests.marketdata.markets import BTC, ETH, T0, candle, make_feed, store, walk

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def _view(feed, *, at=60, quotes=None, specs=(BTC,), timeframes=("1m", "15m"), **options):
    return market_view(
        feed, specs, timeframes, as_of=T0 + at * MINUTE, quotes=quotes or {}, **options
    )


def test_a_series_is_its_last_closed_candles_with_indicators():
    candles = walk(60)
    store(candles)

    series = _view(make_feed(), candle_count=30, indicator_length=4).symbols["BTCUSDT"].series

    assert series["1m"].candles == tuple(candles[30:])
    assert [bar.open_at.minute for bar in series["15m"].candles] == [0, 15, 30, 45]
    assert len(series["1m"].indicators["rsi14"]) == 4
    assert series["1m"].indicators["rsi14"][-1] == compute_indicators(candles)["rsi14"]
    assert series["15m"].indicators["rsi14"] == (None, None, None, None)


def test_a_planted_spike_of_the_future_is_nowhere_in_it():
    spike = candle(T0 + 60 * MINUTE, "731963", "894527", "612349", "731963", volume="958171")
    store([*walk(60), spike, *walk(100, start=T0 + 61 * MINUTE)])
    feed = make_feed()

    # One second before the spike has closed.
    as_of = T0 + 61 * MINUTE - timedelta(seconds=1)
    captured = capture_snapshot(feed, [BTC], ["1m", "5m", "15m"], as_of=as_of, now=as_of)
    view = market_view(
        feed, [BTC], ["1m", "5m", "15m"], as_of=as_of, quotes=captured.quotes, candle_count=250
    )

    text = repr(view) + repr(captured.manifest)
    for trace in ("731963", "894527", "612349", "958171"):
        assert trace not in text
    assert view.symbols["BTCUSDT"].quote == captured.quotes["BTCUSDT"]


def test_indicators_of_prompt_and_snapshot_are_the_same():
    store(walk(300))
    feed = make_feed()
    as_of = T0 + 300 * MINUTE
    captured = capture_snapshot(feed, [BTC], ["5m"], as_of=as_of, now=as_of)

    series = market_view(feed, [BTC], ["5m"], as_of=as_of, quotes={}).symbols["BTCUSDT"].series

    for name, values in series["5m"].indicators.items():
        assert values[-1] == captured.manifest["indicators"]["BTCUSDT"]["5m"][name]


def test_candles_before_the_history_of_the_season_are_left_out():
    store(walk(60))

    series = _view(make_feed(), history_from=T0 + 50 * MINUTE).symbols["BTCUSDT"].series

    assert len(series["1m"].candles) == 10
    assert series["15m"].candles == ()


def test_a_symbol_that_is_not_there_shows_nothing():
    store(walk(10))

    view = _view(make_feed(), specs=(BTC, ETH), at=10)

    assert list(view.symbols) == ["BTCUSDT", "ETHUSDT"]
    assert view.symbols["ETHUSDT"].quote is None
    assert view.symbols["ETHUSDT"].series["1m"].candles == ()
    assert view.simulated is True


def test_equal_questions_get_equal_answers():
    store(walk(60))
    feed = make_feed()

    assert _view(feed) == _view(feed)


@pytest.mark.parametrize("count", [-1, 251])
def test_more_candles_than_there_may_be_are_refused(count):
    with pytest.raises(ValueError, match=rf"0 to 250 candles can be shown, {count} were asked for"):
        _view(make_feed(), candle_count=count)
