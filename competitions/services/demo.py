"""The season that a new arena shows: five baselines and three models, on Binance's public prices or on a synthetic market."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents import services as agents
from agents.models import Agent
from competitions.models import Competition, Participant
from competitions.models.competitions import OFFERED, ClockKind, FillRule, Visibility
from competitions.services.control import start_competition
from marketdata import services as marketdata
from marketdata.feeds import FeedError, open_feed
from marketdata.models import Feed, Instrument
from marketdata.models.feeds import FeedKind

SLUG = "demo"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT")
INTERVAL_SECONDS = 8
MODELS = 3
OPENING_SECONDS = 4


@dataclass(frozen=True, slots=True)
class DemoReport:
    """The demo season, whether it was made just now, and a sentence on where its prices come from."""

    competition: Competition
    created: bool
    feed_note: str


def ensure_demo_season(*, now: datetime, binance_seconds: float = 3.0) -> DemoReport:
    """Return the demo season, made and started if the arena has no competition yet; asks Binance for at most ``binance_seconds``.

    An arena that has any competition gets no demo: the newest one is reported instead.
    """
    known = (
        Competition.objects.filter(slug=SLUG).first()
        or Competition.objects.order_by("-created_at").first()
    )
    if known is not None:
        return DemoReport(known, created=False, feed_note=_note(known.feed))
    agents.ensure_defaults()
    marketdata.ensure_instruments(marketdata.default_specs().values())
    feed, note = _choose_feed(binance_seconds)
    with transaction.atomic():
        competition = _make(feed)
    start_competition(competition, actor="system", now=now)
    competition.refresh_from_db()
    return DemoReport(competition, created=True, feed_note=note)


def _note(feed: Feed) -> str:
    if feed.kind == FeedKind.SYNTHETIC:
        return f"a synthetic market (seed {feed.seed}); every page says SIMULATED"
    if feed.kind == FeedKind.REPLAY:
        return f"a replay of the candles stored as {feed.source}; every page says SIMULATED"
    return "Binance's public prices; all trading is on paper"


def _choose_feed(binance_seconds: float) -> tuple[Feed, str]:
    binance, _ = Feed.objects.get_or_create(
        slug="binance",
        defaults={"name": "Binance USD-M", "kind": FeedKind.BINANCE, "source": "binance-usdm"},
    )
    try:
        _reach(binance, seconds=binance_seconds)
    except FeedError as error:
        synthetic, _ = Feed.objects.get_or_create(
            slug="synthetic",
            defaults={
                "name": "Synthetic market",
                "kind": FeedKind.SYNTHETIC,
                "source": "synthetic-7",
                "seed": 7,
            },
        )
        return synthetic, f"{_note(synthetic)}, because {error}"
    return binance, _note(binance)


def _reach(feed: Feed, *, seconds: float) -> None:
    """Return when the feed gave a quote of every demo symbol within ``seconds``; raise FeedError saying why not."""
    _knock(feed, seconds=seconds)
    specs = [instrument.spec() for instrument in Instrument.objects.filter(symbol__in=SYMBOLS)]
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reach-feed")
    try:
        quotes = pool.submit(open_feed(feed).quotes, specs, timezone.now()).result(timeout=seconds)
    except TimeoutError:
        raise FeedError(f"{feed.name} did not answer within {seconds:g} s") from None
    finally:
        # An answer that comes too late is nobody's business any more.
        pool.shutdown(wait=False)
    missing = [spec.symbol for spec in specs if spec.symbol not in quotes]
    if missing:
        raise FeedError(f"{feed.name} gave no quote of {', '.join(missing)}")


def _knock(feed: Feed, *, seconds: float) -> None:
    """Raise FeedError unless the feed's host takes connections: an arena off the net need not load the venue's client."""
    address = urlsplit(feed.base_url or settings.BINANCE_FAPI_BASE_URL)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=seconds).close()
    except OSError as error:
        raise FeedError(f"{feed.name} did not answer at {address.geturl()}: {error}") from error


def _make(feed: Feed) -> Competition:
    competition = Competition.objects.create(
        slug=SLUG,
        name="Demo season",
        description="Five baselines and three language models trade six perpetuals on paper. "
        "The models sit out until their keys are set; the baselines show the whole way of a decision.",
        feed=feed,
        clock=ClockKind.WALL,
        visibility=Visibility.PUBLIC,
        timeframes=["1m", "15m"],
        interval_seconds=INTERVAL_SECONDS,
        deadline_seconds=INTERVAL_SECONDS,
        initial_capital=Decimal(10000),
        fill_rule=FillRule.ARRIVAL,
        # Asking the venue took its time, and the server has yet to open.
        starts_at=timezone.now() + timedelta(seconds=OPENING_SECONDS),
        **OFFERED,
    )
    competition.instruments.set(Instrument.objects.filter(symbol__in=SYMBOLS))
    models = (
        Agent.objects.exclude(pk__in=Agent.objects.baselines())
        .filter(is_enabled=True)
        .order_by("pk")[:MODELS]
    )
    roster = [*Agent.objects.baselines().order_by("pk"), *models]
    Participant.objects.bulk_create(
        Participant(
            competition=competition, ordinal=place, slug=agent.slug, name=agent.name, agent=agent
        )
        for place, agent in enumerate(roster, start=1)
    )
    return competition
