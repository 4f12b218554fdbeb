"""The engine against what other tools answered to the same trading; ``make oracles`` writes the files, docs/accounting.md describes them.

The tools count in binary floating point, so their answers carry its error. Each check states what it allows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from marketdata.domain.facts import Quote
from tests.oracles.sequences import MARKETS
from tests.trading import model
from tests.trading.builders import T0, D, funded, make_rules, spec
from trading.domain.engine import step
from trading.domain.events import OrderAsked, VenueReport
from trading.domain.fees import execution_fee
from trading.domain.intents import OrderIntent, Side
from trading.domain.margin import account_figures
from trading.domain.outcome import Outcome
from trading.domain.rules import BookRules

VECTORS = Path(__file__).parents[1] / "oracles" / "vectors"
REQUIREMENTS = VECTORS.parent / "requirements.txt"
UNIT = D("0.00000001")


def read(name: str) -> dict[str, Any]:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def numbered(name: str) -> list[Any]:
    vectors = read(name)["vectors"]
    return [pytest.param(vector, id=f"{number}") for number, vector in enumerate(vectors)]


def rules_of(vector: dict[str, Any]) -> BookRules:
    return make_rules(
        fee_bps_taker=D(vector["fee_rate"]) * 10_000,
        instruments=tuple(
            spec(symbol, tick=tick, step=unit, min_quantity=unit, min_notional=D(0))
            for symbol, (_, tick, unit) in MARKETS.items()
        ),
    )


def outcomes_of(vector: dict[str, Any], capital: str) -> Iterator[Outcome]:
    """Yield what the engine makes of each fill: asked, accepted and filled at the vector's price, which is the mark from then on."""
    rules = rules_of(vector)
    state = funded(rules, capital)
    for number, fill in enumerate(vector["fills"]):
        quantity, price = D(fill["quantity"]), D(fill["price"])
        side = Side.BUY if quantity > 0 else Side.SELL
        intent = OrderIntent(symbol=fill["symbol"], side=side, quantity=abs(quantity), leverage=1)
        market = Quote(fill["symbol"], T0, price, price, price)
        asked = step(state, OrderAsked(T0, f"o{number}", intent, market), rules)
        assert not asked.denials, str(asked.denials[0])
        report = VenueReport(
            at=T0,
            client_order_id=f"o{number}",
            trade_id=f"o{number}:1",
            quantity=abs(quantity),
            price=price,
            fee=execution_fee(abs(quantity), price, rules=rules),
            reference_price=price,
        )
        outcome = step(asked.state, report, rules)
        yield outcome
        state = outcome.state


def near(found: Decimal, told: float | str, *, units: int, relative: str = "0") -> bool:
    """Tell whether ``found`` is what was told, give or take some units of 1e-8 and a share of it."""
    wanted = D(told) if isinstance(told, str) else D(repr(told))
    return abs(found - wanted) <= units * UNIT + abs(wanted) * D(relative)


@pytest.mark.parametrize("vector", numbered("nautilus_netting"))
def test_nautilus_nets_the_same(vector):
    # nautilus keeps the average in binary: 2 units a fill cover that, its own rounding of each profit and fee (a flip has two) and ours.
    capital = read("nautilus_netting")["about"]["capital"]
    told = zip(outcomes_of(vector, capital), vector["expected"], strict=True)

    for number, (outcome, expected) in enumerate(told, start=1):
        fill, units = outcome.fills[0], 2 * number
        held = outcome.state.positions.get(fill.symbol)
        closed = [position for position in outcome.positions if position.is_closed]
        assert outcome.state.quantity(fill.symbol) == D(expected["quantity"])
        assert near(fill.fee, expected["fees"], units=2)
        assert near(outcome.state.wallet, expected["balance"], units=units)
        assert (held is None, not closed) == (
            expected["average"] is None,
            expected["closed"] is None,
        )
        if held:
            average = held.entry_cost / abs(held.quantity)
            assert near(average, expected["average"], units=0, relative="1e-9")
            assert near(held.net_result, expected["realised"], units=units)
        if closed:
            assert near(closed[0].net_result, expected["closed"], units=units)


@pytest.mark.parametrize("vector", numbered("vectorbt_orders"))
def test_vectorbt_has_the_same_cash_value_and_closed_positions(vector):
    # vectorbt never rounds: a unit and a half a fill is our rounding (notional, fee, released cost); 1e-12 is the error of its doubles
    # at cash of 1e7, and as much of the money that passed through a position.
    about, expected = read("vectorbt_orders")["about"], vector["expected"]
    cash = D(about["capital"])
    closed = []

    for number, outcome in enumerate(outcomes_of(vector, about["capital"])):
        fill, figures = outcome.fills[0], account_figures(outcome.state)
        cash -= fill.quantity * fill.side.sign * fill.price + fill.fee
        closed += [position for position in outcome.positions if position.is_closed]
        units = 2 * (number + 1)
        assert near(outcome.state.quantity(fill.symbol), expected["quantity"][number], units=1)
        assert near(cash, expected["cash"][number], units=units, relative="1e-12")
        assert near(figures.equity, expected["value"][number], units=units, relative="1e-12")

    for position, (entry, leaving, profit) in zip(closed, expected["closed"], strict=True):
        slack = D("1e-12") * (position.entered_cost + position.exited_proceeds) / UNIT
        assert near(
            position.entered_cost / position.entered_quantity, entry, units=0, relative="1e-9"
        )
        assert near(
            position.exited_proceeds / position.exited_quantity, leaving, units=0, relative="1e-9"
        )
        assert near(position.net_result, profit, units=2 * len(vector["fills"]) + int(slack))


@pytest.mark.parametrize("vector", numbered("ccxt_rounding"))
def test_ccxt_puts_quantities_and_prices_on_the_same_unit(vector):
    # Decimal text in, decimal text out: exact.
    value, unit = D(vector["value"]), D(vector["unit"])
    market = spec(tick=unit, step=unit)

    assert market.floor_quantity(value) == D(vector["expected"]["down"])
    assert market.round_price(value) == D(vector["expected"]["nearest"])


Case = dict[str, Any]


def model_liquidation_price(case: Case, tiers: list[list[Any]]) -> Fraction | None:
    return model.liquidation_price(
        [
            model.Tier(Fraction(floor), Fraction(rate), Fraction(cum))
            for floor, rate, _, cum in tiers
        ],
        sign=-1 if case["is_short"] else 1,
        size=Fraction(case["quantity"]),
        entry=Fraction(case["entry"]),
        wallet=Fraction(case["wallet"]),
    )


def model_funding(case: Case, rate: str, mark: str) -> Fraction:
    sign = -1 if case["is_short"] else 1
    return model.funding(sign, Fraction(case["quantity"]), Fraction(mark), Fraction(rate))


# Whoever computes these answers to the same vectors: name it here.
LIQUIDATION_PRICES: dict[str, Callable[[Case, list[list[Any]]], Fraction | Decimal | None]] = {
    "model": model_liquidation_price,
}
FUNDINGS: dict[str, Callable[[Case, str, str], Fraction | Decimal]] = {"model": model_funding}


@pytest.mark.parametrize("source", LIQUIDATION_PRICES)
@pytest.mark.parametrize("vector", numbered("freqtrade_liquidation"))
def test_freqtrade_liquidates_at_the_same_price(vector, source):
    # freqtrade divides doubles, and a high leverage takes the difference of two near numbers: 1e-9 of the price.
    tiers = read("freqtrade_liquidation")["about"]["tiers"][vector["symbol"]]
    told = vector["expected"]["price"]

    price = LIQUIDATION_PRICES[source](vector, tiers)

    if told <= 0:
        assert price is None
    else:
        assert price is not None
        assert abs(Fraction(price) - Fraction(told)) <= Fraction(told) / 10**9


def test_tiers_taken_at_the_entry_would_give_other_prices():
    """The vectors tell the two readings of the tiers apart, else they would not show that ours is the right one."""
    vectors = read("freqtrade_liquidation")["vectors"]
    apart = [v for v in vectors if v["expected"]["price"] != v["expected"]["tier_at_entry"]]

    assert len(apart) >= 10


@pytest.mark.parametrize("source", FUNDINGS)
@pytest.mark.parametrize("vector", numbered("freqtrade_funding"))
def test_freqtrade_sums_the_same_funding(vector, source):
    # Each stamp is rounded to 1e-8 here and not there; 1e-12 of the sum of its absolute parts is the error of doubles.
    opened, closed = (datetime.fromisoformat(vector[name]) for name in ("opened", "closed"))
    payments = [
        FUNDINGS[source](vector, stamp["rate"], stamp["mark"])
        for stamp in vector["stamps"]
        # freqtrade counts the stamps of both ends.
        if opened <= datetime.fromisoformat(stamp["at"]) <= closed
    ]

    paid = sum(map(Fraction, payments), Fraction(0))

    slack = Fraction(len(payments), 10**8) + sum(map(abs, map(Fraction, payments))) / 10**12
    assert abs(paid - Fraction(vector["expected"]["received"])) <= slack


def test_every_vectors_file_is_read_and_says_where_it_comes_from():
    text = Path(__file__).read_text(encoding="utf-8")
    files = sorted(VECTORS.glob("*.json"))

    assert files
    for path in files:
        about = read(path.stem)["about"]
        assert f'numbered("{path.stem}")' in text
        assert about["kind"] == path.stem
        assert f"{about['oracle']}=={about['version']}" in REQUIREMENTS.read_text(encoding="utf-8")
        datetime.fromisoformat(about["date"])
