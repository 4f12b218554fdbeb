"""A contract beside another one: every term is shown, and what differs is marked."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from competitions.domain.agreement import (
    NEXT_SLOT,
    Change,
    agreed_hash,
    differences,
    lines_of,
)
from competitions.domain.contract import Contract, RosterEntry, contract_hash
from marketdata.domain.instruments import InstrumentSpec
from trading.domain.rules import BookRules, FillRule, MarginMode, MarginModel, StopOutBasis
from trading.domain.tiers import default_table

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
BTC = InstrumentSpec(
    symbol="BTCUSDT",
    tick=Decimal("0.1"),
    step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    min_notional=Decimal(100),
    max_leverage=125,
    base_asset="BTC",
)
CASH = RosterEntry(
    ordinal=1,
    name="Cash",
    slug="cash",
    provider_kind="BASELINE",
    provider="baseline",
    model="cash",
    parameters={},
    template_slug="arena-core",
    template_version=1,
    template="a" * 64,
    timeout_seconds=45,
)
CONTRACT = Contract(
    starts_at=NOON,
    ends_at=None,
    max_rounds=6,
    interval_seconds=300,
    deadline_seconds=60,
    clock="DATA",
    venue="paper",
    feed_kind="REPLAY",
    feed_source="walk",
    feed_seed=0,
    feed_spread_bps=2,
    timeframes=("1m",),
    candle_count=20,
    initial_capital=Decimal(10000),
    seed=1,
    rules=BookRules(instruments=(BTC,)),
    roster=(CASH,),
)
# Each term with another value that is allowed.
TERMS = {
    "starts_at": NOON + timedelta(minutes=5),
    "ends_at": NOON + timedelta(days=1),
    "max_rounds": None,
    "interval_seconds": 600,
    "deadline_seconds": 61,
    "clock": "WALL",
    "venue": "binance-demo",
    "feed_kind": "SYNTHETIC",
    "feed_source": "other",
    "feed_seed": 1,
    "feed_spread_bps": 3,
    "timeframes": ("1m", "15m"),
    "candle_count": 21,
    "initial_capital": Decimal("10000.01"),
    "seed": 2,
}
RULES = {
    "margin_model": MarginModel.CFD,
    "fee_bps_taker": Decimal("5.5"),
    "fee_bps_maker": Decimal(-1),
    "slippage_bps": Decimal(2),
    "max_leverage": 11,
    "default_leverage": 2,
    "max_position_size_pct": Decimal(49),
    "max_open_positions": 6,
    "max_margin_usage_pct": Decimal(89),
    "margin_buffer": Decimal("1.2"),
    "margin_requirement_pct": Decimal(11),
    "maintenance_margin_pct": Decimal(4),
    "allow_short": False,
    "allow_pyramiding": False,
    "resting_orders": True,
    "fill_rule": FillRule.SNAPSHOT,
}
# Rules that are written only where they differ from their default.
LATER_RULES = {
    "acts_between_rounds": True,
    "margin_mode": MarginMode.ISOLATED,
    "stop_out_basis": StopOutBasis.OPEN,
    "tiers": (default_table(BTC),),
    "clearance_fee_bps": Decimal(125),
    "clearance_fees": (("BTCUSDT", Decimal(120)),),
    "leverage_limits": (("BTCUSDT", 5),),
    "max_decisions_per_hour": 4,
    "drawdown_warn_pct": Decimal(10),
    "drawdown_stop_pct": Decimal(20),
    "drawdown_close_pct": Decimal(30),
    "overnight_bps_long": Decimal("0.8"),
    "overnight_bps_short": Decimal("-0.2"),
    "overnight_hour_utc": 22,
}


def changed(after: Contract, before: Contract = CONTRACT):
    found = differences(lines_of(before), lines_of(after))
    return [item for item in found if item.change != Change.SAME]


def test_a_contract_differs_in_nothing_from_itself():
    assert changed(CONTRACT) == []
    assert len(differences(lines_of(CONTRACT), lines_of(CONTRACT))) > 30


@pytest.mark.parametrize("name", TERMS)
def test_each_term_that_differs_is_one_marked_line(name):
    after = replace(CONTRACT, **{name: TERMS[name]})

    (line,) = changed(after)

    assert line.change == Change.CHANGED
    assert line.before != line.after


@pytest.mark.parametrize("name", RULES)
def test_each_rule_that_differs_is_one_marked_line(name):
    rules = replace(CONTRACT.rules, **{name: RULES[name]})

    (line,) = changed(replace(CONTRACT, rules=rules))

    assert line.change == Change.CHANGED
    assert line.before != line.after


@pytest.mark.parametrize("name", LATER_RULES)
def test_each_rule_that_is_more_than_the_default_is_told_as_new(name):
    before = CONTRACT
    if name != "acts_between_rounds":  # some of the others need it
        before = replace(CONTRACT, rules=replace(CONTRACT.rules, acts_between_rounds=True))
    rules = replace(before.rules, **{name: LATER_RULES[name]})

    lines = changed(replace(before, rules=rules), before)

    assert lines
    assert {line.change for line in lines} == {Change.NEW}


def test_later_rules_are_told_in_words():
    rules = replace(CONTRACT.rules, **LATER_RULES, margin_model=MarginModel.PERPETUAL)

    told = {line.name: line.says for line in lines_of(replace(CONTRACT, rules=rules))}

    assert {
        "Positions are watched": "yes",
        "What backs a position": "isolated: each position is backed by its own margin alone",
        "Margin of a CFD is counted on": "what the open part of a position cost",
        "Clearance fee": "125 bps of what is liquidated",
        "Clearance fee, BTCUSDT": "120 bps of what is liquidated",
        "Leverage, BTCUSDT": "at most 5x",
        "Margin tiers, BTCUSDT": "instrument: above 0 at 0.4 %, 125x",
        "Rounds that may open or add": "at most 4 an hour",
        "Drawdown, warned at": "10 % below the peak",
        "Drawdown, nothing opened": "from 20 % below the peak",
        "Drawdown, all closed": "at 30 % below the peak",
        "Overnight, a long pays": "0.8 bps of notional",
        "Overnight, a short pays": "-0.2 bps of notional",
        "The night ends at": "22:00 UTC",
    }.items() <= told.items()
    assert "Other" not in {line.section for line in lines_of(replace(CONTRACT, rules=rules))}


def test_no_term_is_left_out_of_these_tests():
    known = {*TERMS, "rules", "roster"}
    assert {entry.name for entry in fields(Contract)} == known
    # No other currency fits the instruments, which have a test of their own.
    wanted = {*RULES, *LATER_RULES, "settlement_asset", "instruments"}
    assert {entry.name for entry in fields(BookRules)} == wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ordinal", 2),
        ("name", "Cash desk"),
        ("provider_kind", "BOT"),
        ("provider", "other"),
        ("model", "trend"),
        ("parameters", {"temperature": "0.7"}),
        ("template_slug", "other"),
        ("template_version", 2),
        ("template", "b" * 64),
        ("timeout_seconds", 46),
    ],
)
def test_a_participant_that_differs_is_one_marked_line(name, value):
    after = replace(CONTRACT, roster=(replace(CASH, **{name: value}),))

    (line,) = changed(after)

    assert (line.section, line.change) == ("Participants", Change.CHANGED)


def test_who_comes_and_who_goes_is_told():
    trend = replace(CASH, slug="trend", name="Trend", model="trend")

    found = changed(replace(CONTRACT, roster=(trend,)))

    assert [(item.name, item.change) for item in found] == [
        ("Trend", Change.NEW),
        ("Cash", Change.GONE),
    ]


def test_an_instrument_whose_limits_moved_is_told():
    rules = replace(CONTRACT.rules, instruments=(replace(BTC, max_leverage=100),))

    (line,) = changed(replace(CONTRACT, rules=rules))

    assert (line.section, line.name) == ("Instruments", "BTCUSDT")
    assert "max leverage 125" in line.before
    assert "max leverage 100" in line.after


def test_lines_are_in_plain_words():
    said = {line.name: line.says for line in lines_of(CONTRACT)}

    assert said["First slot"] == "2026-03-02 12:00:00 UTC"
    assert said["End"] == "—"
    assert said["Clock"] == "the clock of the replayed data"
    assert said["Fill rule"] == "the first quote after the answer"
    assert said["One position"] == "at most 50 % of equity"
    assert said["Short positions"] == "yes"
    assert said["Cash"].startswith("ordinal 1, provider baseline, model cash, parameters —")


def test_a_term_that_nobody_named_is_shown_by_its_own_name():
    # Whatever is added to the contract must not start unseen.
    from competitions.domain import agreement

    line = agreement._line("rules.new_limit_pct", "7")

    assert (line.section, line.name, line.says) == ("Other", "new limit pct", "7")


def test_what_is_agreed_is_the_contract_when_its_start_was_chosen():
    assert agreed_hash(CONTRACT, start_moves=False) == contract_hash(CONTRACT.to_json())


def test_a_start_that_moves_with_the_clock_is_no_part_of_what_is_agreed():
    later = replace(CONTRACT, starts_at=NOON + timedelta(minutes=5))

    agreed = agreed_hash(CONTRACT, start_moves=True)

    assert agreed == agreed_hash(later, start_moves=True)
    assert agreed != agreed_hash(CONTRACT, start_moves=False)
    assert agreed != agreed_hash(replace(later, seed=2), start_moves=True)
    assert NEXT_SLOT in {line.says for line in lines_of(later, start_moves=True)}
