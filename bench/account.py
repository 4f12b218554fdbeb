"""How fast the account is: engine steps, settled turns, their cost in a large field, and a tick over 10,000 open positions.

The engine and the tick's own part run in one thread without a database; the rest on SQLite, and on PostgreSQL where bench.turns finds one.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import count as numbers
from typing import Any

import psycopg

from bench.figures import Figure, tell
from bench.stage import temporary_arena, work
from bench.turns import POSTGRES
from marketdata.domain.facts import Candle
from tests.trading.builders import D, account, at, holding, make_rules, quote, spec, tier_table
from trading.domain.acting import Ticks
from trading.domain.engine import step
from trading.domain.events import BarClosed, FundingSettled, OrderAsked, QuoteSeen, VenueReport
from trading.domain.intents import Exits, OrderIntent, Side
from trading.domain.liquidation import liquidate
from trading.domain.resting.bars import walk_bar
from trading.domain.resting.quotes import walk_quote
from trading.domain.rules import BookRules
from trading.domain.state import AccountState
from trading.domain.ticking import Tick

SYMBOLS = tuple(f"S{place}USDT" for place in range(8))
ACCOUNTS, HELD = 2000, 5
SECONDS = 0.5
TRIES = 5
TICK_AIM_SECONDS, PURE_AIM_SECONDS, FIELD_AIM = 1.0, 0.5, 1.3
# Participants, and rounds of each so that a figure rests on some hundred turns.
FIELDS = {5: 8, 50: 2, 500: 1}
LOOKS = 2


def measure() -> list[Figure]:
    """Return the figures; times of the tick are of the processor, so that other work on the machine counts less."""
    return [*_engine(), *_pure_tick(), *_databases()]


# --- without a database -------------------------------------------------------------------------


def make_accounts() -> list[AccountState]:
    """Return accounts with five of eight symbols, long and short at 100, stops and targets far off, one of five trailing."""
    draws = random.Random(1)
    return [_account(draws, ordinal) for ordinal in range(1, ACCOUNTS + 1)]


def _account(draws: random.Random, ordinal: int) -> AccountState:
    held = []
    for seq, symbol in enumerate(draws.sample(SYMBOLS, HELD), start=1):
        size = draws.choice([1, -1]) * D(draws.randint(1000, 9000)) / 1000
        low, high = D(50), D(150)
        trails = seq == 1
        exits = Exits(
            low if size > 0 else high,
            high if size > 0 else low,
            callback_rate=D(5) if trails else None,
        )
        position = holding(size, "100", symbol, leverage=5, seq=seq)
        extreme = D("100.5") if size > 0 else D("99.5")
        held.append(replace(position, exits=exits, trail_extreme=extreme if trails else None))
    return replace(account("10000", *held, marks=dict.fromkeys(SYMBOLS, "100")), ordinal=ordinal)


def make_tick_rules(**changes: Any) -> BookRules:
    """Return rules that act between rounds, half of the symbols with three tiers."""
    steps = ((0, 50_000, "0.004", 0, 50), (50_000, 600_000, "0.005", 50, 20))
    last = (600_000, None, "0.01", "3050", 10)
    tables = tuple(tier_table(*steps, last, symbol=symbol) for symbol in SYMBOLS[:4])
    fields = {"instruments": tuple(map(spec, SYMBOLS)), "tiers": tables, **changes}
    return make_rules(acts_between_rounds=True, **fields)


def _engine() -> list[Figure]:
    rules, state = make_tick_rules(max_position_size_pct=D(100)), make_accounts()[0]
    symbol = sorted(state.positions)[0]
    market = quote("100.1", symbol, spread="0.02")
    intent = OrderIntent(symbol=symbol, side=Side.BUY, quantity=D(1), leverage=5)
    if not state.positions[symbol].is_long:
        intent = replace(intent, side=Side.SELL)
    asked = OrderAsked(market.at, "o1", intent, market)
    waiting = step(state, asked, rules).state
    report = VenueReport(
        at=market.at,
        client_order_id="o1",
        trade_id="o1:1",
        quantity=D(1),
        price=D("100.11"),
        fee=D("0.05"),
        reference_price=D("100.1"),
    )
    bar = BarClosed(symbol, Candle(at(1), D(100), D("100.4"), D("99.6"), D("100.1"), D(0)))
    stamp = FundingSettled(at(0) + timedelta(hours=8), symbol, D("0.0001"), D(100))
    steps: dict[str, Callable[[], Any]] = {
        "orders asked": lambda: step(state, asked, rules),
        "reports": lambda: step(waiting, report, rules),
        "quotes seen": lambda: step(state, QuoteSeen(market), rules),
        "bars with exits": lambda: walk_bar(state, bar, rules, liquidate=_liquidation(rules)),
        "funding stamps": lambda: step(state, stamp, rules),
    }
    return [Figure(f"engine: {name}", _rate(run), "/s") for name, run in steps.items()]


def _liquidation(rules: BookRules) -> Any:
    return lambda state, moment: liquidate(state, rules, at=moment)


def _rate(run: Callable[[], Any]) -> float:
    """Return how often a second of the processor ``run`` runs."""
    started, count = time.process_time(), 0
    while (spent := time.process_time() - started) < SECONDS:
        for _ in range(50):
            run()
        count += 50
    return count / spent


def _least(run: Callable[[], Any]) -> float:
    """Return the fewest seconds of the processor of some tries."""
    times = []
    for _ in range(TRIES):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return min(times)


def _pure_tick() -> list[Figure]:
    states = make_accounts()
    quotes = {symbol: quote("100.1", symbol, spread="0.02") for symbol in SYMBOLS}
    figures = []
    for name, changes in {
        "cross": {},
        "isolated": {"margin_mode": "isolated"},
        "cfd": {"margin_model": "cfd"},
    }.items():
        rules = make_tick_rules(**changes)
        resting = replace(rules, resting_orders=True)
        seconds = _least(partial(_ask_all, states, quotes, resting))
        figures.append(Figure(f"tick {name}", seconds, "s", PURE_AIM_SECONDS))
    walked = _least(partial(_walk_some, states[: ACCOUNTS // 20], quotes, make_tick_rules())) * 20
    return [*figures, Figure("the same by walking all (cross)", walked, "s")]


def _ask_all(states: list[AccountState], quotes: Any, rules: BookRules) -> None:
    tick = Tick(quotes, rules)
    assert not any(map(tick.may_act, states)), "nothing is near"


def _walk_some(states: list[AccountState], quotes: Any, rules: BookRules) -> None:
    for state in states:
        marked = state.with_marks({symbol: seen.mark for symbol, seen in quotes.items()})
        for seen in quotes.values():
            marked = walk_quote(marked, seen, rules, liquidate=_liquidation(rules)).state


# --- with one -----------------------------------------------------------------------------------


def _databases() -> list[Figure]:
    figures = _figures("SQLite", None)
    url = os.environ.get("ARENA_TEST_POSTGRES_URL", POSTGRES)
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        print(f"account: no PostgreSQL at {url}: {error}", file=sys.stderr)
        return figures
    return figures + _figures("PostgreSQL", url)


def _figures(database: str, url: str | None) -> list[Figure]:
    with temporary_arena(url) as arena:
        told: dict[str, Any] = work(arena, "bench.account", "measure", seconds=900)
    few, many = told["turns"][str(min(FIELDS))], told["turns"][str(max(FIELDS))]
    return [
        Figure(f"{database} tick shown to all", told["tick"], "s", TICK_AIM_SECONDS),
        Figure("of it reading", told["read"], "s"),
        Figure(f"and stopping {ACCOUNTS // 100} of them", told["stopped"], "s", TICK_AIM_SECONDS),
        *(
            Figure(f"turns at {count}", 1 / cost, "turns/s")
            for count, cost in told["turns"].items()
        ),
        Figure(f"cost of one at {max(FIELDS)} over {min(FIELDS)}", many / few, "", FIELD_AIM),
        Figure("queries a turn", told["queries"], ""),
    ]


def within() -> dict[str, Any]:
    """Measure what needs this arena's database."""
    tick = _stored_tick()
    costs, queries = _seasons()
    return {"turns": costs, "queries": queries, **tick}


def _seasons() -> tuple[dict[int, float], float]:
    """Play seasons of all sizes in turns; return the seconds of a turn by size, and the queries of one at the middle size."""
    from bench.seasons import many_baselines, replayed
    from competitions.services.driving import drive

    roster = many_baselines(max(FIELDS))
    seasons = {
        count: replayed(f"field-{count}", roster[:count], rounds=1 + LOOKS * rounds + 1)
        for count, rounds in FIELDS.items()
    }
    for season in seasons.values():
        list(drive(season, rounds=1))
    spent = dict.fromkeys(FIELDS, 0.0)
    for _ in range(LOOKS):
        for count, rounds in FIELDS.items():
            started = time.perf_counter()
            list(drive(seasons[count], rounds=rounds))
            spent[count] += time.perf_counter() - started
    costs = {count: spent[count] / (LOOKS * count * FIELDS[count]) for count in FIELDS}
    middle = sorted(FIELDS)[1]
    return costs, _queries(lambda: list(drive(seasons[middle], rounds=1))) / middle


def _queries(run: Callable[[], Any]) -> float:
    from django.db import connection

    asked = []

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        asked.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(count):
        run()
    return float(len(asked))


def _stored_tick() -> dict[str, float]:
    """Store the accounts and show them ticks; return the wall seconds of the fastest: of one that nobody minds, and of one that stops
    a position in each hundredth account.
    """
    from django.utils import timezone

    from trading import services
    from trading.models import Position
    from trading.selectors.holdings import book_states

    book = _store(make_tick_rules(resting_orders=True))
    quotes = {symbol: quote("100.1", symbol, spread="0.02") for symbol in SYMBOLS}
    minutes = numbers(1)

    def show() -> tuple[float, int]:
        told = Ticks(at(next(minutes)), quotes)
        started = time.perf_counter()
        acted = services.advance_book(book, [told], until=told.at, now=timezone.now())
        return time.perf_counter() - started, len(acted)

    started = time.perf_counter()
    states = book_states(book)
    read = time.perf_counter() - started
    assert sum(len(state.positions) for state in states.values()) == ACCOUNTS * HELD
    still = [show() for _ in range(TRIES)]
    assert not any(acted for _, acted in still), "nothing is near"
    stopped = []
    for first in range(1, 4):
        few = range(first, ACCOUNTS + 1, 100)
        held = Position.objects.open().filter(account__book=book, account__ordinal__in=few, seq=1)
        held.filter(is_long=True).update(stop_loss=D(101))
        held.filter(is_long=False).update(stop_loss=D(99))
        seconds, acted = show()
        assert acted == ACCOUNTS // 100
        stopped.append(seconds)
    return {"read": read, "tick": min(still)[0], "stopped": min(stopped)}


def _store(rules: BookRules) -> Any:
    from django.db import transaction

    from trading import services
    from trading.models import Account
    from trading.models.books import Venue
    from trading.services.saving import save_positions

    book = services.open_book(
        venue=Venue.PAPER,
        rules=rules,
        roster=range(1, ACCOUNTS + 1),
        capital=D(10_000),
        market_at=at(0),
        now=at(0),
    )
    rows = {row.ordinal: row for row in Account.objects.filter(book=book)}
    with transaction.atomic():
        for state in make_accounts():
            save_positions(rows[state.ordinal], state.positions.values())
    return book.pk


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        import django

        django.setup()
        print(json.dumps(within()))
    else:
        tell("account", measure)
