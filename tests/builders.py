"""Small markets, agents and seasons with literal figures, for tests that need more than one row.

Used inside tests and by ``tests/season_script.py``, which makes the same season in a process of its own.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from agents import services as agents
from agents.models import Agent, Provider
from agents.models.agents import ProviderKind
from competitions.models import Competition, Participant
from competitions.models.competitions import ClockKind, FillRule
from competitions.models.roles import Role
from competitions.services.control import start_competition
from competitions.services.roles import give_role
from marketdata import services as marketdata
from marketdata.domain.facts import Candle
from marketdata.models import Candle as CandleRow
from marketdata.models import CandleSeries, Feed, Instrument
from marketdata.models.feeds import FeedKind

# The first slot of every season made here; candles begin WARM_UP earlier.
STARTS_AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
WARM_UP = timedelta(minutes=120)
TICKS = {
    "BTCUSDT": ("0.1", 600_000),
    "ETHUSDT": ("0.01", 250_000),
    "SOLUSDT": ("0.01", 15_000),
    "BNBUSDT": ("0.01", 65_000),
    "XRPUSDT": ("0.0001", 22_000),
    "DOGEUSDT": ("0.00001", 18_000),
    "ADAUSDT": ("0.0001", 7_000),
}
SYMBOLS = tuple(TICKS)
FAULTY_SECONDS = 3


# --- candles ------------------------------------------------------------------------------------


def _draws(seed: int) -> Iterator[int]:
    """Yield whole numbers of 31 bits: a linear congruential generator, the same on every machine and Python."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 33


def walk(symbol: str, minutes: int, *, first: datetime, seed: int = 1) -> list[Candle]:
    """Return that many 1-minute candles from ``first`` on: a walk in ticks of up to 0.2 % a minute."""
    tick, ticks = Decimal(TICKS[symbol][0]), TICKS[symbol][1]
    draws = _draws(seed * 1000 + SYMBOLS.index(symbol))
    candles = []
    for minute in range(minutes):
        reach = max(ticks // 500, 2)
        opened, ticks = ticks, ticks + next(draws) % (2 * reach + 1) - reach
        high, low = (
            max(opened, ticks) + next(draws) % reach,
            min(opened, ticks) - next(draws) % reach,
        )
        prices = (tick * value for value in (opened, high, low, ticks))
        volume = Decimal(100 + next(draws) % 900) / 10
        candles.append(Candle(first + timedelta(minutes=minute), *prices, volume))
    return candles


def write_candles(folder: Path, minutes: int, *, symbols: Sequence[str] = SYMBOLS) -> list[Path]:
    """Write a walk per symbol as CSV, the second one packed, the third one as Parquet; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for place, symbol in enumerate(symbols):
        candles = walk(symbol, minutes, first=STARTS_AT - WARM_UP)
        suffix = {1: "csv.gz", 2: "parquet"}.get(place, "csv")
        path = folder / f"{symbol}-1m.{suffix}"
        _write_parquet(path, candles) if suffix == "parquet" else _write_csv(path, candles)
        paths.append(path)
    return paths


def _write_csv(path: Path, candles: Sequence[Candle]) -> None:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["date", "open", "high", "low", "close", "volume"])
        for candle in candles:
            prices = (candle.open, candle.high, candle.low, candle.close, candle.volume)
            rows.writerow([candle.open_at.isoformat(), *(f"{price:f}" for price in prices)])


def _write_parquet(path: Path, candles: Sequence[Candle]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = {"date": [candle.open_at for candle in candles]}
    for name in ("open", "high", "low", "close", "volume"):
        columns[name] = [float(getattr(candle, name)) for candle in candles]
    pq.write_table(pa.table(columns), path)


def import_market(paths: Sequence[Path], source: str = "walk") -> Feed:
    """Import candle files and return the replay feed over them."""
    for path in paths:
        marketdata.import_candles(path, source=source)
    return make_replay_feed(source)


def store_market(
    minutes: int, *, symbols: Sequence[str] = SYMBOLS[:3], source: str = "walk"
) -> Feed:
    """Store the walks straight into the tables, for tests that are not about files; return the replay feed."""
    for symbol in symbols:
        series, _ = CandleSeries.objects.get_or_create(source=source, symbol=symbol, timeframe="1m")
        CandleRow.objects.store(series, walk(symbol, minutes, first=STARTS_AT - WARM_UP))
    return make_replay_feed(source)


def make_replay_feed(source: str) -> Feed:
    feed, _ = Feed.objects.get_or_create(
        slug=f"replay-{source}",
        defaults={"name": f"Replay of {source}", "kind": FeedKind.REPLAY, "source": source},
    )
    return feed


def make_synthetic_feed(seed: int = 7) -> Feed:
    feed, _ = Feed.objects.get_or_create(
        slug=f"synthetic-{seed}",
        defaults={
            "name": "Synthetic market",
            "kind": FeedKind.SYNTHETIC,
            "source": f"synthetic-{seed}",
            "seed": seed,
        },
    )
    return feed


# --- who decides --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Model:
    """A language model of the fake server; ``protocol`` is ``anthropic`` or ``openai``."""

    slug: str
    model: str
    protocol: str = "openai"
    timeout_seconds: int = 45


# One of each temper, over both protocols; ``cycle`` meets every fault in turn (tests.fakes.season_server).
TRADER = Model("trader", "trader-a", "anthropic")
SLOW = Model("slow", "slow-0.05-b", "openai")
FAULTY = Model("faulty", "cycle-c", "anthropic", FAULTY_SECONDS)
MODELS = (TRADER, SLOW, FAULTY)


def make_model(model: Model, url: str) -> Agent:
    """Return an agent that asks the fake server at ``url`` (without a path); needs no key."""
    kind = (
        ProviderKind.ANTHROPIC if model.protocol == "anthropic" else ProviderKind.OPENAI_COMPATIBLE
    )
    address = url if model.protocol == "anthropic" else f"{url}/v1"
    provider, _ = Provider.objects.update_or_create(
        slug=f"fake-{model.protocol}",
        defaults={"name": f"Fake {model.protocol}", "kind": kind, "base_url": address},
    )
    agent, _ = Agent.objects.get_or_create(
        slug=model.slug,
        defaults={
            "name": model.slug.title(),
            "provider": provider,
            "model": model.model,
            "parameters": {"max_tokens": 2000},
            "template": agents.ensure_template(),
            "timeout_seconds": model.timeout_seconds,
        },
    )
    return agent


def baselines(*models: str) -> list[Agent]:
    """Return the baselines by their names, all five when none is named."""
    agents.ensure_defaults()
    found = Agent.objects.baselines().order_by("model")
    return list(found.filter(model__in=models) if models else found)


def make_user(name: str, role: str | None = None, **fields: Any) -> User:
    """Return an account with that role: viewer, operator, administrator or none."""
    user = User.objects.create_user(name, **fields)
    return give_role(user, Role(role) if role else None, actor="test", now=timezone.now())


# --- seasons ------------------------------------------------------------------------------------


def make_instruments(symbols: Sequence[str] = SYMBOLS) -> list[Instrument]:
    known = marketdata.default_specs()
    marketdata.ensure_instruments(known[symbol] for symbol in symbols)
    return list(Instrument.objects.filter(symbol__in=symbols))


def make_season(
    slug: str,
    feed: Feed,
    roster: Sequence[Agent],
    *,
    symbols: Sequence[str] = SYMBOLS[:3],
    **fields: Any,
) -> Competition:
    """Return a draft: on a replay or synthetic market, 5-minute slots from STARTS_AT on the data's clock unless told otherwise.

    Its name does not depend on the slug: models are told the name, and the same season made twice must be the same.
    """
    defaults: dict[str, Any] = {
        "name": "Small season",
        "feed": feed,
        "clock": ClockKind.DATA,
        "timeframes": ["1m"],
        "candle_count": 20,
        "interval_seconds": 300,
        "deadline_seconds": 60,
        "fill_rule": FillRule.NEXT_BAR,
        "starts_at": STARTS_AT,
        "max_rounds": 6,
    }
    competition = Competition.objects.create(slug=slug, **{**defaults, **fields})
    competition.instruments.set(make_instruments(symbols))
    for ordinal, agent in enumerate(roster, start=1):
        Participant.objects.create(
            competition=competition, ordinal=ordinal, slug=agent.slug, name=agent.name, agent=agent
        )
    return competition


def start_season(competition: Competition, *, now: datetime | None = None) -> Competition:
    """Start a draft and return it as it then is."""
    return start_competition(competition, actor="test", now=now or timezone.now())


def make_main_season(
    slug: str, feed: Feed, url: str, *, symbols: Sequence[str] = SYMBOLS, **fields: Any
) -> Competition:
    """Return the draft of the main job: five baselines and three models of the fake server at ``url``."""
    roster = [*baselines(), *(make_model(model, url) for model in MODELS)]
    options: dict[str, Any] = {"timeframes": ["1m", "5m"], **fields}
    return make_season(slug, feed, roster, symbols=symbols, **options)
