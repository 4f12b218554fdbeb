"""A market that never was: prices and volumes out of a seed, the same for every asker.

Every random number is a hash of (seed, stream, counter) and every formula is plain arithmetic, so that a minute's moves depend on the
minute alone: not on what was asked before, nor in which pieces. A symbol moves with one factor common to all and a noise of its own,
in seconds; volatility and drift wander smoothly over hours; now and then the price jumps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from marketdata.domain.default_instruments import default_specs
from marketdata.domain.facts import Candle

Floats = npt.NDArray[np.float64]
Counters = npt.NDArray[np.uint64]

SECONDS = 60
# (period in minutes, weight): a day, four hours, three quarters of an hour.
_VOLATILITY_WAVES = ((1440, 0.5), (240, 0.3), (45, 0.2))
_DRIFT_PERIOD = 180
_DRIFT_PER_SECOND = 0.06


@dataclass(frozen=True, slots=True)
class Character:
    """How a symbol behaves.

    ``start`` is its first price, ``volatility`` the spread of one second's move (fraction of the price), ``common`` the share of it
    (0 to 1) that comes from the market as a whole, ``turnover`` the mean quote volume of a minute.
    """

    start: Decimal
    tick: Decimal
    step: Decimal
    volatility: float
    common: float
    turnover: float


# symbol: start, volatility per second, common share, turnover per minute
_KNOWN: dict[str, tuple[str, float, float, float]] = {
    "BTCUSDT": ("97500", 6.0e-5, 0.86, 9e6),
    "ETHUSDT": ("3420", 8.0e-5, 0.80, 6e6),
    "SOLUSDT": ("178", 1.05e-4, 0.72, 3e6),
    "BNBUSDT": ("905", 7.0e-5, 0.70, 1.2e6),
    "XRPUSDT": ("2.35", 1.0e-4, 0.66, 1.5e6),
    "DOGEUSDT": ("0.1835", 1.15e-4, 0.70, 1.0e6),
    "ADAUSDT": ("0.655", 1.05e-4, 0.66, 7e5),
    "AVAXUSDT": ("18.4", 1.1e-4, 0.68, 6e5),
}


def character_of(symbol: str) -> Character:
    """Return the known behaviour of a symbol; any other starts at 100 in ticks of 0.01."""
    if symbol in _KNOWN:
        start, volatility, common, turnover = _KNOWN[symbol]
        spec = default_specs()[symbol]
        return Character(Decimal(start), spec.tick, spec.step, volatility, common, turnover)
    return Character(Decimal(100), Decimal("0.01"), Decimal("0.001"), 9e-5, 0.65, 5e5)


@lru_cache(maxsize=256)
def _stream(seed: int, name: str) -> np.uint64:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "big"))


def _bits(seed: int, name: str, counters: Counters) -> Counters:
    """Return 64 hashed bits for each counter (splitmix64's finaliser, applied twice)."""
    mixed = counters * np.uint64(0x9E3779B97F4A7C15) + _stream(seed, name)
    for _ in range(2):
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return mixed


def _uniform(seed: int, name: str, counters: Counters) -> Floats:
    """Return numbers in [0, 1)."""
    return (_bits(seed, name, counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _bell(seed: int, name: str, counters: Counters) -> Floats:
    """Return numbers of mean 0 and spread 1, bell-shaped and within +-3.47: the sum of four uniform lanes of 16 bits."""
    bits = _bits(seed, name, counters)
    lanes = sum(
        ((bits >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.float64)
        for shift in (0, 16, 32, 48)
    )
    # The spread of the sum: sqrt(4 * (65536**2 - 1) / 12).
    return np.asarray((lanes - 131070.0) / 37837.22, dtype=np.float64)


def _wave(seed: int, name: str, minutes: Counters, period: int) -> Floats:
    """Return a smooth wandering between 0 and 1: hashed values every ``period`` minutes, eased between."""
    knots = minutes // np.uint64(period)
    at = (minutes % np.uint64(period)).astype(np.float64) / period
    ease = at * at * (3.0 - 2.0 * at)
    before = _uniform(seed, name, knots)
    after = _uniform(seed, name, knots + np.uint64(1))
    return before + (after - before) * ease


def volatility_factor(seed: int, minutes: Counters) -> Floats:
    """Return by what the usual volatility is multiplied in each minute since the epoch: about 0.4 to 3, smooth."""
    level = sum(
        weight * _wave(seed, f"volatility:{period}", minutes, period)
        for period, weight in _VOLATILITY_WAVES
    )
    return np.asarray(0.3 + 2.8 * level * level, dtype=np.float64)


def _jumps(seed: int, name: str, minutes: Counters, *, every: int, largest: float) -> Floats:
    """Return log-moves by (minute, second): zero but for about one minute in ``every``."""
    moves = np.zeros((len(minutes), SECONDS))
    chance = _uniform(seed, f"jump:{name}", minutes)
    size = _uniform(seed, f"jump-size:{name}", minutes)
    bits = _bits(seed, f"jump-place:{name}", minutes)
    (hit,) = np.nonzero(chance < 1.0 / every)
    sign = np.where(bits[hit] & np.uint64(1), 1.0, -1.0)
    second = ((bits[hit] >> np.uint64(8)) % np.uint64(SECONDS)).astype(np.intp)
    moves[hit, second] = sign * (0.003 + largest * size[hit] * size[hit])
    return moves


def minute_paths(seed: int, symbol: str, minutes: Counters) -> Floats:
    """Return the price by (minute, second) as a multiple of the close before that minute."""
    character = character_of(symbol)
    seconds: Counters = np.add.outer(
        minutes * np.uint64(SECONDS), np.arange(SECONDS, dtype=np.uint64)
    )
    own_share = (1.0 - character.common * character.common) ** 0.5
    noise = character.common * _bell(seed, "market", seconds) + own_share * _bell(
        seed, f"own:{symbol}", seconds
    )
    drift = _DRIFT_PER_SECOND * (
        character.common * (_wave(seed, "drift", minutes, _DRIFT_PERIOD) - 0.5)
        + own_share * (_wave(seed, f"drift:{symbol}", minutes, _DRIFT_PERIOD) - 0.5)
    )
    scale = character.volatility * volatility_factor(seed, minutes)
    moves = (noise + drift[:, None]) * scale[:, None]
    moves += _jumps(seed, "market", minutes, every=480, largest=0.012)
    moves += _jumps(seed, symbol, minutes, every=900, largest=0.016)
    # Added second by second along the minute, so that the sum does not depend on what else was asked.
    path = np.cumsum(moves, axis=1)
    # exp() to the third power: its rounding differs between machines, that of + and * does not.
    return np.asarray(1.0 + path + path * path / 2.0 + path * path * path / 6.0)


def _volumes(seed: int, symbol: str, minutes: Counters, moves: Floats) -> Floats:
    """Return the base volume of each minute: more when the market is nervous or the minute moved."""
    character = character_of(symbol)
    base = character.turnover / float(character.start)
    luck = 0.4 + 1.2 * _uniform(seed, f"volume:{symbol}", minutes)
    nervous = volatility_factor(seed, minutes)
    stretch = 1.0 + np.abs(moves) / (character.volatility * 8.0)
    return np.asarray(base * luck * nervous * stretch / 2.0)


def price_in_minute(
    seed: int, symbol: str, *, minute: int, second: int, previous_close: Decimal
) -> Decimal:
    """Return the price at a second (0 to 59) of a minute since the epoch, given the close before that minute."""
    character = character_of(symbol)
    path = minute_paths(seed, symbol, np.array([minute], dtype=np.uint64))[0]
    ticks = int(previous_close / character.tick)
    return _on_tick(ticks * float(path[second])) * character.tick


def minute_candles(
    seed: int, symbol: str, *, first_minute: int, count: int, previous_close: Decimal
) -> Iterator[Candle]:
    """Yield ``count`` one-minute candles from a minute since the epoch on, continuing from the close before it."""
    character = character_of(symbol)
    minutes = np.arange(first_minute, first_minute + count, dtype=np.uint64)
    paths = minute_paths(seed, symbol, minutes)
    volumes = _volumes(seed, symbol, minutes, paths[:, -1] - 1.0)
    rows = zip(
        paths[:, 0].tolist(),
        paths.max(axis=1).tolist(),
        paths.min(axis=1).tolist(),
        paths[:, -1].tolist(),
        volumes.tolist(),
        strict=True,
    )
    open_at = datetime.fromtimestamp(first_minute * SECONDS, tz=UTC)
    ticks = int(previous_close / character.tick)
    step = float(character.step)
    for first, highest, lowest, last, volume in rows:
        close = _on_tick(ticks * last)
        yield Candle(
            open_at=open_at,
            open=_on_tick(ticks * first) * character.tick,
            high=_on_tick(ticks * highest) * character.tick,
            low=_on_tick(ticks * lowest) * character.tick,
            close=close * character.tick,
            volume=max(int(volume / step), 1) * character.step,
        )
        ticks = close
        open_at += timedelta(minutes=1)


def _on_tick(ticks: float) -> int:
    # Never below one tick: a price of zero would end the market.
    return max(int(ticks + 0.5), 1)
