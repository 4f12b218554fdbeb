"""Makes seasons in the database of the environment and tells their figures: ``python -m tests.season_script``."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import django

ALL_SYMBOLS = "BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT,XRPUSDT,DOGEUSDT,ADAUSDT"


def make(options: argparse.Namespace) -> None:
    from tests.builders import import_market, make_main_season

    paths = sorted(options.candles.glob("*-1m.*"))
    feed = import_market(paths)
    make_main_season(
        options.slug,
        feed,
        options.url,
        symbols=options.symbols.split(","),
        max_rounds=options.rounds,
        interval_seconds=options.interval,
        deadline_seconds=options.deadline,
        timeframes=options.timeframes.split(","),
        **({"starts_at": None} if options.earliest else {}),
    )


def extra(options: argparse.Namespace) -> None:
    from django.utils import timezone

    from competitions.models import Competition
    from competitions.services.extra import open_extra_round

    season = Competition.objects.get(slug=options.slug)
    wanted = season.participants.filter(slug__in=options.participants)
    open_extra_round(season, wanted, actor="test", now=timezone.now())


def live(options: argparse.Namespace) -> None:
    """Make and start a season on the wall clock: the five baselines, and models of the fake server over both protocols in turn."""
    from competitions.models.competitions import ClockKind
    from tests.builders import (
        Model,
        baselines,
        make_model,
        make_season,
        make_synthetic_feed,
        start_season,
    )
    from trading.domain.rules import FillRule

    models = [
        Model(f"model-{place}", f"jitter-50-600-{place}", ("anthropic", "openai")[place % 2])
        for place in range(1, options.models + 1)
    ]
    season = make_season(
        options.slug,
        make_synthetic_feed(),
        [*baselines(), *(make_model(model, options.url) for model in models)],
        clock=ClockKind.WALL,
        fill_rule=FillRule.ARRIVAL,
        starts_at=None,
        interval_seconds=options.interval,
        deadline_seconds=options.interval,
        max_rounds=options.rounds,
        acts_between_rounds=True,
        resting_orders=True,
    )
    start_season(season)


def facts(options: argparse.Namespace) -> None:
    json.dump(facts_of(options.slug), sys.stdout)


def facts_of(slug: str) -> dict[str, Any]:
    """Return counts of what happened in a season, with its digest and what verifying it finds."""
    from agents.models import Completion
    from competitions.models import Competition, Leg, Turn
    from competitions.services.verifying import verify_season
    from trading.models import Order

    season = Competition.objects.get(slug=slug)
    turns = Turn.objects.filter(round__competition=season)
    outcomes = Counter(turns.values_list("participant__slug", "outcome"))
    report = verify_season(season)
    assert season.book is not None
    keys = Completion.objects.filter(turn_key__startswith=f"{season.book.code}-")
    orders = Order.objects.filter(account__book=season.book)
    return {
        "status": season.status,
        "rounds": season.rounds.filter(state="CLOSED").count(),
        "turns": turns.count(),
        "unsettled": turns.unsettled().count(),
        "outcomes": {f"{slug} {outcome}": count for (slug, outcome), count in outcomes.items()},
        "denied": Leg.objects.filter(turn__in=turns, verdict="DENIED").count(),
        "completions": Counter(keys.values_list("status", flat=True)),
        "fills": orders.filter(status="FILLED").count(),
        "unfinished": orders.unfinished().count(),
        "digest": season.season_digest,
        "contract": season.contract_hash,
        "problems": report.problems,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("slug")
    making.add_argument("candles", type=Path)
    making.add_argument("url")
    making.add_argument("--rounds", type=int, default=6)
    making.add_argument("--interval", type=int, default=300)
    making.add_argument("--deadline", type=int, default=60)
    making.add_argument("--timeframes", default="1m,5m")
    making.add_argument("--symbols", default=ALL_SYMBOLS)
    making.add_argument("--earliest", type=int, default=0, help="1: start where the candles allow")
    making.set_defaults(work=make)
    extras = commands.add_parser("extra")
    extras.add_argument("slug")
    extras.add_argument("participants", nargs="+")
    extras.set_defaults(work=extra)
    living = commands.add_parser("live")
    living.add_argument("slug")
    living.add_argument("url")
    living.add_argument("--models", type=int, default=15)
    living.add_argument("--rounds", type=int, default=50)
    living.add_argument("--interval", type=int, default=2)
    living.set_defaults(work=live)
    telling = commands.add_parser("facts")
    telling.add_argument("slug")
    telling.set_defaults(work=facts)
    options = parser.parse_args()
    django.setup()
    options.work(options)


if __name__ == "__main__":
    main()
