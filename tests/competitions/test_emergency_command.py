"""manage.py emergency_close: what it tells, when it may say that all is well, and that it may be repeated."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from competitions.models import AuditEvent, Competition
from competitions.models.competitions import ClockKind, FillRule
from competitions.services import control, market
from competitions.services.driving import drive
from marketdata.models import Feed
from marketdata.models.feeds import FeedKind
from tests.builders import baselines, make_season, start_season, store_market
from tests.competitions.test_turns import crash_at
from tests.fakes.binance_rest import BinanceServer
from trading.models import Book, OperatorAct, Order, Position
from trading.services import closing

pytestmark = pytest.mark.django_db(transaction=True)


def season_with_positions(slug: str = "season", **fields: Any) -> Competition:
    """Return a running season in which buy and hold has opened three positions."""
    season = start_season(make_season(slug, store_market(160), baselines("buy_and_hold"), **fields))
    list(drive(season, rounds=1))
    assert Position.objects.open().filter(account__book=season.book).count() == 3
    return season


def close(*arguments: str) -> tuple[str, CommandError | None]:
    told = StringIO()
    try:
        call_command("emergency_close", *arguments, stdout=told)
    except CommandError as error:
        return told.getvalue(), error
    return told.getvalue(), None


def test_every_position_is_listed_and_the_reason_is_kept():
    season_with_positions()

    told, error = close("--competition", "season", "--reason", "  fire\n in the house ")

    assert error is None
    lines = told.splitlines()
    assert lines[:2] == [
        "Positions",
        "competition  participant   symbol   quantity  closed  what became of it",
    ]
    assert [line.split()[4] for line in lines[2:5]] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert lines[-1] == "season       CLOSED   HALTED           0               0  —"
    assert AuditEvent.objects.get(action="emergency close").detail == {
        "reason": "fire in the house"
    }
    assert Competition.objects.get().stop_reason.endswith(": fire in the house")


def test_a_repeated_close_finds_nothing_and_orders_nothing():
    season_with_positions()
    close("--competition", "season")
    orders, acts = Order.objects.count(), OperatorAct.objects.count()

    told, error = close("--competition", "season")

    assert error is None
    assert told.splitlines()[-1].startswith("season       NOTHING TO CLOSE  HALTED")
    assert (Order.objects.count(), OperatorAct.objects.count()) == (orders, acts)


def test_the_document_has_one_shape_whatever_happened():
    season_with_positions()

    first, again = (json.loads(close("--competition", "season", "--json")[0]) for _ in range(2))

    assert list(first) == list(again) == ["ok", "at", "competitions"]
    (closed,), (repeated,) = first["competitions"], again["competitions"]
    assert list(closed) == list(repeated)
    assert [line["filled"] for line in closed["positions"]] == [
        line["quantity"] for line in closed["positions"]
    ]
    assert {key: value for key, value in closed.items() if key != "positions"} == {
        "slug": "season",
        "outcome": "CLOSED",
        "book_state": "HALTED",
        "is_safe": True,
        "message": "",
        "still_open": [],
        "waiting_orders": 0,
    }
    assert (repeated["outcome"], repeated["positions"]) == ("NOTHING TO CLOSE", [])
    assert first["at"].endswith("Z")


def test_a_part_is_never_told_as_success(monkeypatch):
    season_with_positions()
    real = control.closing_quotes

    def without_ether(*args: Any, **kwargs: Any) -> market.ClosingQuotes:
        quotes = dict(real(*args, **kwargs).quotes)
        del quotes["ETHUSDT"]
        return market.ClosingQuotes(quotes)

    with monkeypatch.context() as patch:
        patch.setattr(control, "closing_quotes", without_ether)
        told, error = close("--all", "--json")

    assert error is not None
    assert str(error) == "NOT FLAT OR NOT HALTED: season; run the same line again"
    document = json.loads(told)
    (closed,) = document["competitions"]
    assert (document["ok"], closed["outcome"], closed["book_state"]) == (False, "PARTIAL", "HALTED")
    assert [line["message"] for line in closed["positions"]] == [
        "closed",
        "no quote of ETHUSDT, still open",
        "closed",
    ]
    (left,) = closed["still_open"]
    assert (left["participant"], left["symbol"]) == ("buy-and-hold", "ETHUSDT")
    assert close("--all")[1] is None
    assert not Position.objects.open().exists()


def test_a_season_that_fails_does_not_keep_the_others_open(monkeypatch, caplog):
    first = season_with_positions("first")
    second = season_with_positions("second")

    with monkeypatch.context() as patch:
        crash_at(patch, control, "closing_quotes")
        told, error = close("--all")

    assert "NOT FLAT OR NOT HALTED: first;" in str(error)
    assert "ConnectionAbortedError: the process ended before closing_quotes" in told
    assert "emergency close failed slug=first" in caplog.text
    left = {row.account.book_id for row in Position.objects.open().select_related("account")}
    assert left == {first.book_id}
    assert set(Book.objects.values_list("state", flat=True)) == {"HALTED"}
    assert close("--all")[1] is None
    assert Competition.objects.get(pk=second.pk).status == "STOPPED"


def test_all_seasons_are_halted_before_the_first_feed_is_asked(monkeypatch):
    for slug in ("first", "second"):
        season_with_positions(slug)
    real, seen = control.closing_quotes, []

    def looking(*args: Any, **kwargs: Any) -> market.ClosingQuotes:
        seen.append(set(Book.objects.values_list("state", flat=True)))
        return real(*args, **kwargs)

    monkeypatch.setattr(control, "closing_quotes", looking)

    assert close("--all", "--reason", "fire")[1] is None

    assert seen == [{"HALTED"}, {"HALTED"}]
    assert AuditEvent.objects.filter(action="emergency close").count() == 2


def test_ctrl_c_between_two_orders_says_what_to_do_and_the_next_call_finishes(monkeypatch):
    season_with_positions()
    real, calls = closing.place_order, iter(range(10))

    def interrupted(*args: Any, **kwargs: Any) -> Order:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(closing, "place_order", interrupted)
        told, error = close("--all")

    assert (told, error and error.returncode) == ("", 130)
    assert "run the same line again" in str(error)
    assert Position.objects.open().count() == 2
    assert close("--all")[1] is None
    assert not Position.objects.open().exists()


def test_a_feed_that_fails_leaves_the_last_quotes_and_is_told():
    with BinanceServer() as server:
        feed = Feed.objects.create(
            slug="binance",
            name="Binance",
            kind=FeedKind.BINANCE,
            source="binance-usdm",
            base_url=server.url,
        )
        season = make_season(
            "season",
            feed,
            baselines("buy_and_hold"),
            symbols=("BTCUSDT", "ETHUSDT"),
            clock=ClockKind.WALL,
            fill_rule=FillRule.SNAPSHOT,
            starts_at=None,
            interval_seconds=6,
            deadline_seconds=6,
        )
        list(drive(start_season(season), rounds=1))
        assert Position.objects.open().count() == 2
        server.fault = "html"

        told, error = close("--all")

    assert error is None
    assert "the feed gave no quotes of now (Binance answered HTTP 502 at" in told
    assert "; those of round 1 were used" in told
    assert not Position.objects.open().exists()


def test_an_ended_season_keeps_its_positions_and_says_that_nothing_can_be_traded():
    season = season_with_positions()
    control.stop_competition(season, actor="mara", reason="", now=season.started_at)
    orders = Order.objects.count()

    told, error = close("--competition", "season")

    assert error is not None
    assert error.returncode == 1
    assert "REFUSED" in told
    assert "its book has ended: nothing can be traded in it any more" in told
    assert Order.objects.count() == orders
    assert close("--all")[0].startswith("nothing to close")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--competition", "saison"), "no started competition 'saison'; started are: season"),
        (("--all", "--reason", "x" * 201), "--reason must have at most 200 characters, had 201"),
    ],
)
def test_wrong_use_changes_nothing(arguments, message):
    season_with_positions()

    told, error = close(*arguments)

    assert (told, str(error), error and error.returncode) == ("", message, 2)
    assert Position.objects.open().count() == 3
    assert Competition.objects.get().status == "RUNNING"
