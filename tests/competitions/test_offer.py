"""What a competition's fields make of the rules: the terms of the account, its margin tiers, and what they do in a season."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from django.utils import timezone

from competitions.domain.offer import offer_problems
from competitions.models import Competition, Leg
from competitions.services.contexts import account_view, build_contexts
from competitions.services.driving import drive
from competitions.services.duplicating import duplicate_season
from competitions.services.market import contract_of
from competitions.services.proposing import propose
from competitions.services.setup import draw_contract, problems_of, rules_of
from competitions.services.verifying import verify_season
from marketdata.models import Instrument, MarginTier
from tests.builders import Model, baselines, make_model, make_season, start_season, store_market
from tests.competitions.played import make_draft, play
from tests.fakes.season_server import SeasonServer
from tests.trading.builders import account, holding
from trading.domain.drawdown import drawdown_pct
from trading.domain.rules import BookRules
from trading.domain.tier_tables import VERSION
from trading.models import Standing

TERMS = {
    "acts_between_rounds": True,
    "resting_orders": True,
    "margin_mode": "isolated",
    "stop_out_basis": "open",
    "clearance_fee_bps": Decimal("12.5"),
    "leverage_limits": {"ETHUSDT": 3, "BTCUSDT": 5},
    "max_decisions_per_hour": 4,
    "drawdown_warn_pct": Decimal(10),
    "drawdown_stop_pct": Decimal(20),
    "drawdown_close_pct": Decimal(30),
}
NIGHTS = {
    "margin_model": "cfd",
    "overnight_bps_long": Decimal("0.8"),
    "overnight_bps_short": Decimal("-0.25"),
    "overnight_hour_utc": 22,
}
VALUES = {
    "max_leverage": 10,
    "leverage_limits": {},
    "acts_between_rounds": True,
    "margin_model": "perpetual",
    "margin_mode": "cross",
}


@pytest.mark.django_db
def test_every_term_of_the_account_comes_into_the_rules():
    rules = rules_of(make_draft(**TERMS))

    for name, value in TERMS.items():
        wanted = tuple(sorted(value.items())) if isinstance(value, dict) else value
        assert getattr(rules, name) == wanted, name
    nights = rules_of(make_draft("nights", **NIGHTS))
    assert {name: getattr(nights, name) for name in NIGHTS} == NIGHTS


@pytest.mark.django_db
def test_a_draft_without_them_has_the_rules_that_it_had():
    draft = make_draft()

    plain = json.loads(rules_of(draft).to_json())

    older = BookRules(instruments=rules_of(draft).instruments)
    assert plain.keys() == json.loads(older.to_json()).keys()


@pytest.mark.django_db
def test_a_duplicate_has_the_same_terms():
    season = play(rounds=1, roster=baselines("cash"), **TERMS)

    again = duplicate_season(season, name="Again", actor="mara", now=timezone.now())

    again.refresh_from_db()
    assert rules_of(again) == rules_of(season)
    assert propose(again, now=timezone.now()).changed == 0


# --- margin tiers -----------------------------------------------------------------------------------


def tier(symbol: str, version: str, floor: str, cap: str | None, rate: str, amount: str, most: int):
    MarginTier.objects.create(
        instrument=Instrument.objects.get(symbol=symbol),
        version=version,
        notional_floor=Decimal(floor),
        notional_cap=None if cap is None else Decimal(cap),
        maintenance_rate=Decimal(rate),
        maintenance_amount=Decimal(amount),
        max_leverage=most,
    )


@pytest.fixture
def draft(db) -> Competition:
    return make_draft(acts_between_rounds=True)


def test_without_stored_tiers_the_arenas_own_table_counts(draft):
    tables = rules_of(draft).tiers

    assert {table.symbol for table in tables} == {"BTCUSDT", "ETHUSDT", "SOLUSDT"}
    assert {table.version for table in tables} == {VERSION}


def test_the_version_that_was_stored_last_counts(draft):
    tier("BTCUSDT", "2026-10-01", "0", None, "0.02", "0", 25)
    # A later table, its second step stored first.
    tier("BTCUSDT", "venue 2026-11-05", "1000", None, "0.02", "10", 25)
    tier("BTCUSDT", "venue 2026-11-05", "0", "1000", "0.01", "0", 50)

    table = rules_of(draft).tier_table("BTCUSDT")

    assert (table.version, table.as_of) == ("venue 2026-11-05", date(2026, 11, 5))
    assert [(step.floor, step.rate, step.max_leverage) for step in table.tiers] == [
        (0, Decimal("0.01"), 50),
        (1000, Decimal("0.02"), 25),
    ]
    assert rules_of(draft).tier_table("ETHUSDT").version == VERSION


def test_a_symbol_that_nobody_has_a_table_of_has_one_tier(draft):
    Instrument.objects.filter(symbol="SOLUSDT").update(symbol="NEWUSDT", max_leverage=20)

    rules = rules_of(draft)

    assert "NEWUSDT" not in {table.symbol for table in rules.tiers}
    (step,) = rules.tier_table("NEWUSDT").tiers
    assert (step.rate, step.max_leverage) == (Decimal("0.025"), 20)


def test_a_broken_stored_table_keeps_the_season_from_starting(draft):
    tier("BTCUSDT", "1", "0", "1000", "0.01", "0", 50)
    tier("BTCUSDT", "1", "2000", None, "0.02", "10", 25)

    assert "the table of BTCUSDT, tier 2: floor must be the cap below (1000), was 2000" in (
        problems_of(draft)
    )


def test_tiers_are_no_part_of_a_contract_under_which_they_do_not_count(db):
    assert rules_of(make_draft()).tiers == ()
    cfd = make_draft("cfd", acts_between_rounds=True, margin_model="cfd")
    assert rules_of(cfd).tiers == ()


# --- what does not fit ------------------------------------------------------------------------------


def problems(**changes) -> list[tuple[str, str]]:
    return list(offer_problems({**VALUES, **changes}, ["BTCUSDT", "ETHUSDT"]))


def test_what_fits_has_no_problems():
    assert problems() == []
    assert problems(**{**TERMS, "clearance_fee_bps": Decimal(5)}) == []
    cfd = {**NIGHTS, "margin_mode": "cross", "drawdown_close_pct": Decimal(30)}
    assert problems(**cfd) == []


@pytest.mark.parametrize("limit", [0, 11, "5", 2.5, True, None])
def test_a_leverage_limit_is_a_whole_number_up_to_the_highest(limit):
    ((name, words),) = problems(leverage_limits={"BTCUSDT": limit})

    assert name == "leverage_limits"
    assert words == (
        f"BTCUSDT must have a whole number from 1 to the highest leverage (10), was {limit}"
    )


def test_fields_that_were_refused_by_themselves_are_not_asked_about():
    assert list(offer_problems({}, [])) == []
    assert list(offer_problems({"leverage_limits": {"BTCUSDT": 5}}, ["BTCUSDT"])) == []
    assert list(offer_problems({"drawdown_close_pct": Decimal(5)}, [])) == []


# --- in a season ------------------------------------------------------------------------------------

SAYER = Model("sayer", "says-what-it-is-told")
OPENING = json.dumps(
    {
        "summary": "A little of both.",
        "instructions": [
            {"action": "open_long", "symbol": symbol, "margin_fraction": "0.02", "leverage": 2}
            for symbol in ("BTCUSDT", "ETHUSDT")
        ],
    }
)


@pytest.mark.django_db
def test_verifying_counts_the_decisions_of_an_hour_by_itself():
    with SeasonServer() as server:
        server.say = OPENING
        # Rounds of a quarter of an hour: two an hour may open, so of six the first, second, fifth and sixth.
        season = make_season(
            "paced",
            store_market(120 + 120),
            [make_model(SAYER, server.url)],
            interval_seconds=900,
            max_decisions_per_hour=2,
            drawdown_stop_pct=Decimal(50),
        )
        season = start_season(season)
        list(drive(season, rounds=6))

    legs = Leg.objects.filter(turn__round__competition=season).order_by(
        "turn__round__number", "index"
    )
    refused = "TOO_MANY_DECISIONS limit=2 made=2 per=1h"
    assert [(leg.turn.round.number, leg.denial) for leg in legs if leg.denial] == [
        (number, refused) for number in (3, 3, 4, 4)
    ]
    assert legs.filter(verdict="FILLED").count() == 8
    assert verify_season(season).problems == []


@pytest.mark.django_db
def test_verifying_keeps_the_peak_by_itself():
    with SeasonServer() as server:
        server.say = OPENING
        season = start_season(
            make_season(
                "fallen",
                store_market(120 + 60),
                [make_model(SAYER, server.url)],
                # Fees alone take an account below its start.
                drawdown_stop_pct=Decimal("0.00001"),
            )
        )
        list(drive(season, rounds=3))

    denied = Leg.objects.filter(denial__startswith="DRAWDOWN_ABOVE_LIMIT")
    assert denied.exists()
    assert verify_season(season).problems == []


@pytest.mark.django_db
def test_a_participant_is_warned_of_its_drawdown():
    season = play(rounds=2, roster=baselines("buy_and_hold"), drawdown_warn_pct=Decimal("0.00001"))
    participant = season.participants.get()
    # As if it had once been worth twice as much as it started with.
    Standing.objects.update(peak=Decimal(20_000))
    round_ = season.rounds.order_by("-number").first()

    context = build_contexts(round_, contract_of(season), [participant])[participant.ordinal]

    assert context.account.drawdown_tier == "WARN"
    equity = context.account.equity
    assert context.account.drawdown_pct == drawdown_pct(Decimal(20_000), equity)


@pytest.mark.django_db
def test_a_season_without_drawdown_rules_reads_no_peak():
    season = play(rounds=1, roster=baselines("cash"))
    participant = season.participants.get()

    context = build_contexts(season.rounds.get(), contract_of(season), [participant])[1]

    assert (context.account.drawdown_pct, context.account.drawdown_tier) == (None, "NONE")


@pytest.mark.django_db
def test_what_is_told_of_an_isolated_account_is_what_orders_are_checked_against():
    draft = make_draft(acts_between_rounds=True, margin_mode="isolated")
    contract = draw_contract(draft, now=timezone.now())
    # 1 bought at 60000 with 10x and marked at 61000: 6000 put up, and the gain of 1000.
    state = account("10000", holding("1", "60000", "BTCUSDT", leverage=10))

    view = account_view(
        state.with_marks({"BTCUSDT": Decimal(61_000)}), contract, at=contract.starts_at
    )

    assert (view.equity, view.used_margin, view.free_margin) == (11_000, 7_000, 4_000)
