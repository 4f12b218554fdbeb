"""Setting up a competition in the admin: mistakes are told where they are made."""

from __future__ import annotations

import re
from decimal import Decimal
from html import unescape

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client

from competitions.models import Competition
from competitions.models.competitions import CompetitionStatus
from competitions.services.setup import rules_of
from marketdata.admin_readonly import ReadOnlyAdmin
from tests.builders import baselines, make_instruments, make_synthetic_feed, store_market
from tests.competitions.played import make_draft, play
from tests.logins import prove

pytestmark = pytest.mark.django_db

ADD = "/admin/competitions/competition/add/"
ALL_WRITTEN_BY_THE_SEASON = (
    "round",
    "turn",
    "leg",
    "gap",
    "event",
    "auditevent",
    "participant",
    "lease",
    "heartbeat",
)


@pytest.fixture
def root(client: Client) -> Client:
    client.force_login(get_user_model().objects.create_superuser("root", "", "x"))
    prove(client)
    return client


def form(agents=(), **changes):
    """Return a filled-in form that is right, but for ``changes``."""
    fields = {
        "name": "Autumn",
        "slug": "autumn",
        "visibility": "PUBLIC",
        "feed": "",
        "venue": "paper",
        "instruments": [],
        "timeframes": ["1m"],
        "candle_count": 60,
        "clock": "WALL",
        "interval_seconds": 900,
        "deadline_seconds": 60,
        "pace_seconds": 0,
        "initial_capital": 10000,
        "settlement_asset": "USDT",
        "margin_model": "perpetual",
        "fill_rule": "arrival",
        "fee_bps_taker": 5,
        "fee_bps_maker": 2,
        "slippage_bps": 1,
        "max_leverage": 10,
        "max_position_size_pct": 30,
        "max_open_positions": 6,
        "max_margin_usage_pct": 80,
        "margin_buffer": 1,
        "margin_requirement_pct": 10,
        "maintenance_margin_pct": 5,
        "allow_short": "on",
        "allow_pyramiding": "on",
        "acts_between_rounds": "on",
        "margin_mode": "cross",
        "stop_out_basis": "mark",
        "clearance_fee_bps": 0,
        "leverage_limits": "{}",
        "overnight_bps_long": 0,
        "overnight_bps_short": 0,
        "overnight_hour_utc": 21,
        "seed": 1,
        "participants-TOTAL_FORMS": len(agents),
        "participants-INITIAL_FORMS": 0,
    }
    for place, agent in enumerate(agents):
        fields[f"participants-{place}-agent"] = agent.pk
    return {**fields, **changes}


@pytest.fixture
def right():
    """Return a form that is right."""
    instruments = [row.pk for row in make_instruments(("BTCUSDT", "ETHUSDT"))]
    feed = make_synthetic_feed().pk
    roster = baselines("cash", "random")

    def make(agents=roster, **changes):
        return form(agents, **{"feed": feed, "instruments": instruments, **changes})

    return make


def refused(root, data) -> str:
    response = root.post(ADD, data)
    assert response.status_code == 200, "it was saved"
    assert not Competition.objects.exists()
    return response.content.decode()


def test_a_right_form_makes_a_draft_with_a_roster_in_order(root, right):
    response = root.post(ADD, right())

    assert response.status_code == 302
    made = Competition.objects.get(slug="autumn")
    assert made.status == CompetitionStatus.DRAFT
    assert list(made.participants.order_by("ordinal").values_list("ordinal", "name", "slug")) == [
        (1, "Cash", "cash"),
        (2, "Random", "random"),
    ]


def test_no_participants(root, right):
    assert "at least one participant, found none" in refused(root, right(agents=()))


def test_one_agent_twice_needs_two_addresses(root, right):
    agent = baselines("cash")[0]

    assert "cash twice" in refused(root, right(agents=(agent, agent)))


def test_an_end_before_the_start(root, right):
    body = refused(
        root,
        right(
            starts_at_0="2026-12-02", starts_at_1="00:00", ends_at_0="2026-12-01", ends_at_1="00:00"
        ),
    )

    assert "the end must be after the start, was 2026-12-01 00:00" in body


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"leverage_limits": '{"DOGEUSDT": 5}'},
            "must be of the symbols traded (BTCUSDT, ETHUSDT), found DOGEUSDT",
        ),
        (
            {"leverage_limits": '{"BTCUSDT": 11}'},
            "BTCUSDT must have a whole number from 1 to the highest leverage (10), was 11",
        ),
        ({"leverage_limits": "[5]"}, "must be a JSON object, was list"),
        ({"leverage_limits": "5x"}, "not JSON at line 1, column 2"),
        ({"max_decisions_per_hour": 0}, "greater than or equal to 1"),
        ({"drawdown_stop_pct": 100}, "must be above 0 and below 100, was 100"),
        (
            {"drawdown_warn_pct": 20, "drawdown_stop_pct": 10},
            "must be above the limit before (20) and below 100, was 10",
        ),
        (
            {"drawdown_close_pct": 30, "acts_between_rounds": ""},
            "must be empty while nothing acts between rounds",
        ),
        (
            {"margin_model": "cfd", "margin_mode": "isolated"},
            "must be cross for contracts for difference",
        ),
        (
            {"margin_model": "cfd", "clearance_fee_bps": 125},
            "must be 0 for contracts for difference, which pay the taker fee instead, was 125",
        ),
        ({"overnight_bps_long": "0.8"}, "must be 0 for perpetuals, which pay funding instead"),
        (
            {"margin_model": "cfd", "overnight_bps_short": -1001},
            "must be between -1000 and 1000, was -1001",
        ),
        ({"clearance_fee_bps": 1001}, "must be between 0 and 1000, was 1001"),
        ({"overnight_hour_utc": 24}, "less than or equal to 23"),
    ],
)
def test_a_term_of_the_account_that_does_not_fit_is_told_at_its_field(root, right, changes, words):
    assert words in unescape(refused(root, right(**changes)))


def test_the_terms_of_the_account_are_stored(root, right):
    root.post(
        ADD,
        right(
            resting_orders="on",
            margin_mode="isolated",
            clearance_fee_bps="12.5",
            leverage_limits='{"BTCUSDT": 5}',
            max_decisions_per_hour=4,
            drawdown_warn_pct=10,
            drawdown_stop_pct="20.5",
            drawdown_close_pct=30,
        ),
    )

    rules = rules_of(Competition.objects.get())
    assert (rules.acts_between_rounds, rules.resting_orders) == (True, True)
    assert (rules.margin_mode, rules.clearance_fee_bps) == ("isolated", Decimal("12.5"))
    assert (rules.leverage_limits, rules.max_decisions_per_hour) == ((("BTCUSDT", 5),), 4)
    assert (rules.drawdown_warn_pct, rules.drawdown_stop_pct) == (10, Decimal("20.5"))
    assert rules.drawdown_close_pct == 30


def test_an_emptied_field_of_limits_means_none(root, right):
    root.post(ADD, right(leverage_limits=""))
    assert Competition.objects.get().leverage_limits == {}


def test_a_new_season_is_offered_what_acts_between_rounds(root):
    shown = root.get(ADD).content.decode()
    for name in ("acts_between_rounds", "resting_orders"):
        assert re.search(rf'<input type="checkbox" name="{name}"[^>]* checked', shown), name


def test_a_season_from_before_is_shown_as_it_is(root):
    page = f"/admin/competitions/competition/{make_draft().pk}/change/"
    shown = root.get(page).content.decode()
    assert not re.search(r'name="acts_between_rounds"[^>]* checked', shown)


def test_a_symbol_that_the_feed_does_not_have(root, right):
    feed = store_market(120, symbols=("BTCUSDT",))

    body = refused(root, right(feed=feed.pk, clock="DATA", fill_rule="snapshot"))

    assert "has no ETHUSDT; it has BTCUSDT" in body


def test_a_clock_that_the_feed_cannot_keep(root, right):
    feed = store_market(120, symbols=("BTCUSDT", "ETHUSDT"))

    assert "runs on the DATA clock, was WALL" in refused(root, right(feed=feed.pk))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fill_rule": "next_bar"}, "next_bar needs the data&#x27;s clock"),
        ({"deadline_seconds": 901}, "must not be longer than the interval (900 s), was 901 s"),
        ({"timeframes": ["2m"]}, "2m is not one of the available choices"),
        ({"timeframes": []}, "at least one timeframe is wanted, found none"),
        ({"venue": "binance-live"}, "paper is the only venue that can be armed yet"),
        ({"interval_seconds": 0}, "greater than or equal to 1"),
    ],
)
def test_other_mistakes(root, right, changes, told):
    assert told in refused(root, right(**changes))


def test_a_participant_that_somebody_else_added_meanwhile_is_not_added_again(root, right):
    competition = make_draft()
    page = f"/admin/competitions/competition/{competition.pk}/change/"

    doubled = root.post(page, right(baselines("cash"))).content.decode()
    added = root.post(page, right(baselines("trend")))

    assert "each participant needs an address of its own, found cash twice" in doubled
    assert added.status_code == 302
    assert competition.participants.get(slug="trend").ordinal == 4


def test_timeframes_are_kept_in_the_order_they_had(root, right):
    competition = make_draft(timeframes=["15m", "1m"])
    page = f"/admin/competitions/competition/{competition.pk}/change/"

    shown = root.get(page).content.decode()
    changes = {"name": "Winter", "slug": "winter", "timeframes": ["1m", "15m"]}
    root.post(page, right(baselines("trend"), **changes))

    assert shown.count('name="timeframes"') == 7
    competition.refresh_from_db()
    assert (competition.name, competition.timeframes) == ("Winter", ["15m", "1m"])


def test_an_unreachable_feed_is_named(root, right):
    from marketdata.models import Feed

    pytest.importorskip("marketdata.feeds.binance")
    feed = Feed.objects.create(slug="bin", name="Binance", kind="BINANCE", source="binance")

    assert "the feed bin cannot be asked" in refused(root, right(feed=feed.pk))


def test_a_started_season_cannot_be_changed_or_deleted(root):
    competition = play(rounds=1)
    address = f"/admin/competitions/competition/{competition.pk}/"

    page = root.get(f"{address}change/")

    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    assert root.post(f"{address}change/", form(name="Other")).status_code == 403
    assert root.post(f"{address}delete/", {"post": "yes"}).status_code == 403
    assert Competition.objects.get().name == "Small season"


def test_seasons_are_not_deleted_in_bulk(root):
    play(rounds=1)

    assert "delete_selected" not in root.get("/admin/competitions/competition/").content.decode()


@pytest.mark.parametrize("model", ALL_WRITTEN_BY_THE_SEASON)
def test_what_the_season_writes_is_only_looked_at(root, model):
    play(rounds=1)
    address = f"/admin/competitions/{model}/"

    assert root.get(address).status_code == 200
    assert root.get(f"{address}add/").status_code == 403
    rows = admin.site.get_model_admin(
        next(known for known in admin.site._registry if known._meta.model_name == model)
    )
    assert isinstance(rows, ReadOnlyAdmin)
    found = rows.model.objects.first()
    if found is not None:
        assert root.get(f"{address}{found.pk}/change/").status_code == 200
        assert root.post(f"{address}{found.pk}/delete/", {"post": "yes"}).status_code == 403


def test_reading_the_list_of_turns_takes_few_queries(root, django_assert_max_num_queries):
    play(rounds=4)

    with django_assert_max_num_queries(12):
        root.get("/admin/competitions/turn/")
