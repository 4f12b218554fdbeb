"""Tier tables: no gaps, no jumps, and the figures of the shipped ones."""

from __future__ import annotations

import json
from datetime import date
from itertools import pairwise

import pytest

from marketdata.domain.canonical import canonical_json
from marketdata.domain.default_instruments import default_specs
from tests.trading.builders import D, spec
from trading.domain.tier_tables import known_tables
from trading.domain.tiers import MarginTier, TierTable, default_table

GOOD = ((0, 1000, "0.01", 0, 50), (1000, 5000, "0.02", 10, 25), (5000, None, "0.1", 410, 5))


def tier(floor, cap, rate, amount, leverage) -> MarginTier:
    return MarginTier(D(floor), None if cap is None else D(cap), D(rate), D(amount), leverage)


def table(*tiers, symbol: str = "XUSDT") -> TierTable:
    return TierTable(symbol, "v1", date(2026, 9, 1), tuple(tier(*values) for values in tiers))


def test_a_notional_belongs_to_the_tier_that_ends_at_or_above_it():
    tiers = table(*GOOD)

    assert [tiers.tier_at(D(n)).max_leverage for n in ("0", "0.01", "1000", "1000.01", "5000")] == [
        50,
        50,
        50,
        25,
        25,
    ]
    assert tiers.tier_at(D(10) ** 12).max_leverage == 5
    with pytest.raises(ValueError, match="a notional is unsigned, was -1"):
        tiers.tier_at(D(-1))


def test_a_notional_beyond_the_last_cap_is_in_the_last_tier():
    tiers = table((0, 1000, "0.01", 0, 50), (1000, 5000, "0.02", 10, 25))

    assert tiers.cap == D(5000)
    assert tiers.maintenance_margin(D(6000)) == D(110)  # 6000 * .02 - 10


def test_maintenance_margin_is_the_rate_less_what_lower_tiers_ask_less():
    tiers = known_tables()["BTCUSDT"]

    # 1100 * .004; 542_412.06030151 * .005 - 300; 3.5M * .01 - 12000
    assert tiers.maintenance_margin(D(1100)) == D("4.4")
    assert tiers.maintenance_margin(D("542412.06030151")) == D("2412.06030151")
    assert tiers.maintenance_margin(D(3_500_000)) == D(23_000)


@pytest.mark.parametrize(
    ("edge", "margin"), [(300_000, 1200), (800_000, 3700), (3_000_000, 18_000)]
)
def test_maintenance_margin_has_no_jumps_at_the_edges_that_the_venue_publishes(edge, margin):
    lower, upper = (known_tables()["BTCUSDT"].tier_at(D(edge) + extra) for extra in (0, 1))

    assert D(edge) * lower.rate - lower.amount == D(margin)
    assert D(edge) * upper.rate - upper.amount == D(margin)


def test_every_known_symbol_has_a_table_of_the_same_dated_version():
    tables = known_tables()

    assert set(tables) == set(default_specs())
    assert {entry.as_of for entry in tables.values()} == {date(2026, 9, 29)}
    assert {entry.version for entry in tables.values()} == {"binance-usdm-2026-09-29"}
    for entry in tables.values():
        for lower, upper in pairwise(entry.tiers):
            assert lower.cap * lower.rate - lower.amount == lower.cap * upper.rate - upper.amount
    assert tables["DOGEUSDT"].tiers[2] == tier(150_000, 750_000, "0.0125", 655, 40)
    assert tables["ETHUSDT"].tiers[4] == tier(12_000_000, 50_000_000, "0.02", 132_000, 25)


@pytest.mark.parametrize(
    ("tiers", "words"),
    [
        ((), "the table of XUSDT needs at least one tier, found none"),
        (((1, 10, "0.01", 0, 5),), "tier 1: floor and amount must be 0, was 1 and 0"),
        (((0, 10, "0.01", 1, 5),), "tier 1: floor and amount must be 0, was 0 and 1"),
        (((0, 10, "0", 0, 5),), "tier 1: rate must be above 0 and below 1, was 0"),
        (((0, 10, "1", 0, 1),), "tier 1: rate must be above 0 and below 1, was 1"),
        (((0, 10, "NaN", 0, 1),), "tier 1: its figures must be finite decimals"),
        (((0, "Infinity", "0.1", 0, 1),), "tier 1: its figures must be finite decimals"),
        (((0, 0, "0.01", 0, 5),), r"tier 1: cap must be above the floor \(0\), was 0"),
        (((0, 10, "0.01", 0, 0),), "tier 1: max_leverage must be a whole number of at least 1"),
        (((0, 10, "0.01", 0, 2.5),), r"max_leverage must be a whole number .*, was 2\.5"),
        (((0, 10, "0.03", 0, 50),), "tier 1: rate 0.03 asks for more than the margin at 50x"),
        ((GOOD[0], (1001, 5000, "0.02", 10, 25)), r"tier 2: floor must be the cap below \(1000\)"),
        ((GOOD[0], (1000, 5000, "0.01", 0, 25)), r"tier 2: rate must be above the one below"),
        ((GOOD[0], (1000, 5000, "0.02", 10, 51)), r"tier 2: rate 0.02 asks for more"),
        (((0, 9, "0.01", 0, 5), (9, None, "0.02", "0.09", 6)), "tier 2: max_leverage must be at"),
        ((*GOOD[:2], (5000, None, "0.1", 400, 5)), "tier 3: amount must be 410 .*, was 400"),
        (((0, None, "0.01", 0, 50), (1000, 2000, "0.02", 10, 25)), "tier 2: floor must be the cap"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_the_tier(tiers, words):
    with pytest.raises(ValueError, match=words):
        table(*tiers)


def test_a_symbol_without_a_table_asks_half_of_the_margin_at_its_highest_leverage():
    tiers = default_table(spec(max_leverage=50))

    assert tiers.tiers == (tier(0, None, "0.01", 0, 50),)
    # 1 / 150, to 10 decimals
    assert default_table(spec(max_leverage=75)).tiers[0].rate == D("0.0066666667")


def test_a_table_survives_its_json():
    for entry in (table(*GOOD), *known_tables().values(), default_table(spec())):
        text = canonical_json(entry.as_canonical())

        assert TierTable.from_canonical(json.loads(text)) == entry
